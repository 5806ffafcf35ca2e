"""`servicedesk mail preview` on a real Dovecot."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command
from tests.factories import add_people, make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from webapp.instance import Instance

pytestmark = pytest.mark.dovecot


@pytest.fixture
def desk(servicedesk: Command, instance: Instance, mailbox: DovecotMailbox) -> Command:
    add_people(instance)
    set_incoming_from(instance, mailbox.settings(), active="false")  # a preview does not need it on
    servicedesk.environ["SERVICEDESK_MAIL_CA_FILE"] = str(mailbox.server.ca_file)
    return servicedesk


def test_a_table_for_people(desk: Command, mailbox: DovecotMailbox) -> None:
    mailbox.deliver_many([
        make_raw(message_id="a@acme.test", subject="Printer \x1b[31moffline"),
        make_raw(headers={"In-Reply-To": "<a@acme.test>"}),
        make_raw(sender="no-reply@shop.test", subject="Your order"),
    ])  # fmt: skip
    shown = desk.ok("mail", "preview")
    lines = shown.splitlines()
    assert lines[0].split("  ")[0] == "#"
    assert "New ticket" in lines[1]
    assert "Added to the ticket of message 1" in lines[2]
    assert "Archive/Ignored" in lines[3]
    assert "noreply-sender" in lines[3]
    assert "\x1b" not in shown
    assert "3 unread: 1 new ticket, 1 update, 1 ignored." in shown
    assert 'Archive folder "Archive" will be created' in shown
    assert lines[-1] == "Nothing was changed."
    assert mailbox.folders() == {"INBOX"}
    assert [message.seen for message in mailbox.contents()] == [False] * 3


def test_json_is_an_array_and_the_limit_takes_the_newest(desk: Command, mailbox: DovecotMailbox) -> None:
    first, second = mailbox.deliver_many([make_raw(subject="one"), make_raw(subject="two")])
    rows = desk.json("mail", "preview")
    assert [(row["key"], row["disposition"], row["planned_of"]) for row in rows] == [
        (first, "ticket", None), (second, "ticket", None),
    ]  # fmt: skip
    assert {"received_at", "from", "subject", "rule", "saw", "ticket", "trace"} <= rows[0].keys()
    assert rows[0]["trace"][-1] == {"rule": "new-ticket", "fired": True, "saw": "Ann Lee"}
    assert [row["subject"] for row in desk.json("mail", "preview", "--limit", "1")] == ["two"]
    assert "2 unread, looked at the 1 newest: 1 new ticket." in desk.ok("mail", "preview", "--limit", "1")


def test_an_empty_inbox(desk: Command) -> None:
    assert desk.ok("mail", "preview") == "No unread message in the inbox.\n"
    assert desk.json("mail", "preview") == []


def test_a_failure_is_one_line_with_its_cure(
    desk: Command, instance: Instance, mailbox: DovecotMailbox
) -> None:
    set_incoming_from(instance, mailbox.settings(password="wrong"), active="false")
    line = desk.refused("mail", "preview")
    assert line.startswith("The server rejected the user name or password.")
    assert "wrong" not in line


def test_a_row_that_is_not_set_up(servicedesk: Command) -> None:
    assert "are not set up" in servicedesk.refused("mail", "preview")
