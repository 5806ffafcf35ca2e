"""`servicedesk mail check-archive` on a real Dovecot."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Command
from tests.factories import add_people, make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from webapp.instance import Instance
from webapp.models import Entry, Inbound, RawMessage

pytestmark = pytest.mark.dovecot


@pytest.fixture
def desk(servicedesk: Command, instance: Instance, mailbox: DovecotMailbox) -> Command:
    add_people(instance)
    set_incoming_from(instance, mailbox.settings())
    servicedesk.environ["SERVICEDESK_MAIL_CA_FILE"] = str(mailbox.server.ca_file)
    return servicedesk


def forget(instance: Instance, *subjects: str) -> None:
    """As a database of yesterday: these messages were never processed."""
    with instance.database.writing() as session:
        ids = list(session.scalars(sa.select(Inbound.id).where(Inbound.subject.in_(subjects))))
        for model in (Entry, RawMessage):
            session.execute(sa.delete(model).where(model.inbound_id.in_(ids)))
        session.execute(sa.delete(Inbound).where(Inbound.id.in_(ids)))


def test_what_the_ledger_does_not_know_is_told_and_nothing_is_changed(
    desk: Command, instance: Instance, mailbox: DovecotMailbox
) -> None:
    out_of_office = {"Auto-Submitted": "auto-replied"}
    mailbox.deliver_many([
        make_raw(subject="known"),
        make_raw(subject="lost ticket", message_id="lost@acme.test"),
        make_raw(subject="lost reply of a machine", headers=out_of_office),
    ])  # fmt: skip
    desk.ok("mail", "poll")
    assert desk.ok("mail", "check-archive") == (
        '3 messages of the last 30 days in "Archive" and "Archive/Ignored", all known to the email log.\n'
    )
    forget(instance, "lost ticket", "lost reply of a machine")
    before = (mailbox.contents("Archive"), mailbox.contents("Archive/Ignored"))
    shown = desk.ok("mail", "check-archive")
    assert "3 messages of the last 30 days" in shown
    assert "2 not known to the email log." in shown
    assert "move it back to the inbox and mark it as unread" in shown
    ticket, reply = desk.json("mail", "check-archive")
    assert (ticket["folder"], ticket["subject"], ticket["from_addr"], ticket["message_id"]) == (
        "Archive", "lost ticket", "ann@acme.test", "lost@acme.test",
    )  # fmt: skip
    assert (reply["folder"], reply["subject"]) == ("Archive/Ignored", "lost reply of a machine")
    assert (mailbox.contents("Archive"), mailbox.contents("Archive/Ignored")) == before


def test_the_cure_works(desk: Command, instance: Instance, mailbox: DovecotMailbox) -> None:
    mailbox.deliver(make_raw(subject="lost"))
    desk.ok("mail", "poll")
    forget(instance, "lost")
    [lost] = desk.json("mail", "check-archive")
    with mailbox.inspect() as imap:
        imap.move(lost["key"], "INBOX", folder="Archive")
        [back] = imap.contents()
        imap.store(back.uid, "-FLAGS", "\\Seen")
    assert json.loads(desk.ok("mail", "poll", "--json"))["ticket"] == 1
    assert desk.json("mail", "check-archive") == []


def test_of_equal_messages_as_many_are_known_as_there_are_rows(
    desk: Command, instance: Instance, mailbox: DovecotMailbox
) -> None:
    raw, at = make_raw(message_id=""), datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    mailbox.deliver(raw, received_at=at)
    desk.ok("mail", "poll")
    mailbox.deliver(raw, received_at=at, folder="Archive")
    assert len(desk.json("mail", "check-archive")) == 1
    assert desk.json("mail", "check-archive", "--since", "1") == []


def test_without_an_archive_folder(desk: Command) -> None:
    assert desk.ok("mail", "check-archive") == "There is no archive folder yet.\n"
