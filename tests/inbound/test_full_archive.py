"""An archive that takes no more (a real `NO [OVERQUOTA]`): mail comes in all the same, and moves later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import add_people, make_instance, make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from tests.rig.fixtures import DovecotStarter
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.models import Inbound, Placement, Ticket

pytestmark = pytest.mark.dovecot

ARCHIVE = "Full/Done"
ROOM = 6  # messages that everything below "Full/" holds


@pytest.fixture
def mailbox(start_dovecot: DovecotStarter) -> DovecotMailbox:
    """The archive has a quota root of its own, or MOVE would not be counted."""
    return start_dovecot(
        extra=f"""
        mail_plugins = quota
        namespace full {{
          prefix = Full/
          separator = /
          location = maildir:~/Full
        }}
        plugin {{
          quota = maildir:Inbox:ns=
          quota2 = maildir:Archive:ns=Full/
          quota2_rule = *:messages={ROOM}
        }}
        """
    ).mailbox()


@pytest.fixture
def instance(tmp_path: Path, mailbox: DovecotMailbox) -> Iterator[Instance]:
    instance = make_instance(tmp_path / "instance", mail_ca_file=str(mailbox.server.ca_file))
    add_people(instance)
    set_incoming_from(instance, mailbox.settings(), archive_folder=ARCHIVE)
    yield instance
    instance.close()


def subjects(instance: Instance) -> list[str]:
    with instance.database.reading() as session:
        return list(session.scalars(sa.select(Ticket.subject).order_by(Ticket.id)))


def placements(instance: Instance) -> Counter[Placement]:
    with instance.database.reading() as session:
        return Counter(session.scalars(sa.select(Inbound.placement)))


def test_tickets_are_made_once_and_the_mail_is_moved_when_there_is_room(
    instance: Instance, mailbox: DovecotMailbox, parser: ParserProcess
) -> None:
    mailbox.create(ARCHIVE)
    old = [mailbox.deliver(make_raw(subject=f"old {n}"), folder=ARCHIVE) for n in range(ROOM)]
    sent = ["one", "two", "three", "four"]
    mailbox.deliver_many([make_raw(subject=subject) for subject in sent[:3]])

    report = poll(instance, parser, trigger="command")
    assert report.failure is not None
    assert report.failure.sentence.startswith("The mailbox is full.")
    assert not report.failure.needs_a_person
    assert report.next_try_at is not None
    assert subjects(instance) == sent[:3]
    assert placements(instance) == {Placement.PENDING_MOVE: 3}

    mailbox.deliver(make_raw(subject=sent[3]))
    for _ in range(2):  # new mail still comes in, and what is known makes no second ticket
        report = poll(instance, parser, trigger="command")
        assert report.failure is not None
        assert subjects(instance) == sent
        assert placements(instance) == {Placement.PENDING_MOVE: 4}
    assert len(mailbox.contents()) == 4

    mailbox.expunge(old[0], ARCHIVE)  # room for one of the four
    assert poll(instance, parser, trigger="command").failure is not None
    assert len(mailbox.contents(ARCHIVE)) + len(mailbox.contents()) == ROOM - 1 + 4
    for uid in old[1:]:
        mailbox.expunge(uid, ARCHIVE)
    report = poll(instance, parser, trigger="command")
    assert (report.failure, subjects(instance)) == (None, sent)
    assert placements(instance) == {Placement.ARCHIVED: 4}
    assert mailbox.contents() == []
    assert len({message.raw for message in mailbox.contents(ARCHIVE)}) == 4
    assert len(mailbox.contents(ARCHIVE)) == 4
