"""Messages read again by better code: shown first, written only when somebody wants it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.factories import make_raw, set_incoming
from tests.inbound.conftest import Desk
from webapp.inbound.again import AgainRefused
from webapp.inbound.received import RAW_MESSAGE
from webapp.inbound.replay import Replay, apply_replay, compare, stored_ids
from webapp.models import ActionKind, Attachment, Audit, Entry, Inbound, InboundAction, RawMessage, Ticket

FILES = [("plan.pdf", b"a plan"), ("list.txt", b"a list")]


@pytest.fixture
def taken(desk: Desk) -> Desk:
    """A message that an older parser understood badly."""
    desk.deliver(make_raw(subject="Größe", text="Our printer is offline.\n", files=FILES))
    desk.poll()
    with desk.instance.database.writing() as session:
        session.execute(sa.update(Inbound).values(subject="GrÃ¶Ã\x9fe", from_name="Ann"))
        session.execute(sa.update(Ticket).values(subject="GrÃ¶Ã\x9fe", requester_name="Ann"))
        session.execute(sa.update(Entry).values(body_text="Our pr", reply_text="Our pr", from_name="Ann"))
        session.execute(sa.update(Attachment).where(Attachment.id == 1).values(filename="unnamed"))
        session.execute(sa.delete(Attachment).where(Attachment.id == 2))
    return desk


def look(desk: Desk, inbound_id: int = 1) -> Replay:
    return compare(desk.instance, desk.parser, inbound_id)


def write(desk: Desk, inbound_id: int = 1) -> bool:
    return apply_replay(desk.instance, look(desk, inbound_id), now=desk.now, actor="bob")


def test_nothing_differs_when_nothing_changed(desk: Desk) -> None:
    desk.deliver(make_raw(files=FILES))
    desk.poll()
    replay = look(desk)
    assert (replay.differences, replay.decides_otherwise, replay.can_apply) == ((), False, False)
    assert not write(desk)


def test_then_and_now_side_by_side(taken: Desk) -> None:
    differences = {one.name: (one.before, one.after) for one in look(taken).differences}
    assert differences["subject"] == ("GrÃ¶Ã\x9fe", "Größe")
    assert differences["from_name"] == ("Ann", "Ann Lee")
    assert differences["body_text"] == ("Our pr", "Our printer is offline.")
    assert differences["attachments"] == (
        "unnamed (application/octet-stream, 6 bytes)",
        "plan.pdf (application/octet-stream, 6 bytes)\nlist.txt (text/plain, 6 bytes)",
    )
    assert set(differences) == {"subject", "from_name", "body_text", "reply_text", "attachments"}


def test_looking_changes_nothing(taken: Desk) -> None:
    look(taken)
    assert taken.tickets()[0].subject == "GrÃ¶Ã\x9fe"
    with taken.instance.database.reading() as session:
        assert session.scalars(sa.select(InboundAction)).all() == []


def test_writing_puts_everything_right_once(taken: Desk) -> None:
    before = taken.ledger()[0]
    assert write(taken)
    [ticket] = taken.tickets()
    [entry] = ticket.entries
    assert (ticket.subject, ticket.requester_name) == ("Größe", "Ann Lee")
    assert (entry.body_text, entry.generation) == ("Our printer is offline.", 1)
    assert (entry.attachments[0].id, entry.attachments[0].filename) == (1, "plan.pdf")
    assert [file.filename for file in entry.attachments] == ["plan.pdf", "list.txt"]
    after = taken.ledger()[0]
    assert after.subject == "Größe"
    assert (after.disposition, after.rule, after.trace) == (before.disposition, before.rule, before.trace)
    with taken.instance.database.reading() as session:
        action = session.scalars(sa.select(InboundAction)).one()
        audit = session.scalars(sa.select(Audit).where(Audit.action == "message.replay")).one()
    assert (action.kind, action.actor, action.ticket_id) == (ActionKind.REPLAY, "bob", ticket.id)
    assert audit.subject == "message 1"
    assert not write(taken)


def test_a_subject_that_a_person_chose_stays(taken: Desk) -> None:
    with taken.instance.database.writing() as session:
        session.execute(sa.update(Ticket).values(subject="Printer of the 2nd floor"))
    assert write(taken)
    assert taken.tickets()[0].subject == "Printer of the 2nd floor"


def test_a_file_keeps_its_address_by_what_it_is(desk: Desk) -> None:
    """An older parser had not found the first file, and did not know the name of the last."""
    desk.deliver(make_raw(files=[("contract.pdf", b"AAA"), ("b.txt", b"BBB"), ("c.txt", b"CCC")]))
    desk.poll()
    with desk.instance.database.writing() as session:
        session.execute(sa.delete(Attachment).where(Attachment.filename == "contract.pdf"))
        session.execute(sa.update(Attachment).where(Attachment.filename == "c.txt").values(filename="file"))
    assert files(desk) == {2: "b.txt", 3: "file"}
    assert write(desk)
    assert files(desk) == {2: "b.txt", 3: "c.txt", 4: "contract.pdf"}
    assert [file.filename for file in desk.tickets()[0].entries[0].attachments] == [
        "contract.pdf", "b.txt", "c.txt",
    ]  # fmt: skip


def test_the_whole_message_becomes_no_file_of_it(desk: Desk) -> None:
    """Attached because it could not be read; a link to it must not lead to something else."""
    desk.deliver(make_raw(files=FILES[:1]))
    desk.poll()
    with desk.instance.database.writing() as session:
        session.execute(
            sa.update(Attachment).values(position=RAW_MESSAGE, filename="message.eml", sha256="0")
        )
        session.add(Attachment(entry_id=1, position=9, filename="x", content_type="a/b", size=1, sha256="1"))
    assert write(desk)
    assert files(desk) == {2: "plan.pdf"}


def files(desk: Desk) -> dict[int, str]:
    with desk.instance.database.reading() as session:
        query = sa.select(Attachment.id, Attachment.filename).order_by(Attachment.id)
        return {row.id: row.filename for row in session.execute(query)}


def test_attachments_that_were_too_many_go(taken: Desk) -> None:
    with taken.instance.database.writing() as session:
        for position in (7, 8):
            session.add(
                Attachment(
                    entry_id=1, position=position, filename="x", content_type="a/b", size=1, inline=False,
                    content_id=None, sha256="0" * 64,
                )
            )  # fmt: skip
    assert write(taken)
    assert [file.filename for file in taken.tickets()[0].entries[0].attachments] == ["plan.pdf", "list.txt"]


def test_a_message_without_a_ticket_has_its_row_put_right(desk: Desk) -> None:
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    desk.poll()
    with desk.instance.database.writing() as session:
        session.execute(sa.update(Inbound).values(subject="?"))
    assert [one.name for one in look(desk).differences] == ["subject"]
    assert write(desk)
    assert desk.ledger()[0].subject == "Printer offline"


def test_another_decision_is_told_and_not_taken(desk: Desk) -> None:
    set_incoming(desk.instance, process_unknown="false")
    desk.deliver(make_raw(sender="Carl <carl@new.test>"))
    desk.poll()
    set_incoming(desk.instance, process_unknown="true")
    replay = look(desk)
    assert replay.decides_otherwise
    assert replay.decision.rule == "new-ticket"
    assert not write(desk)
    assert desk.tickets() == []


def test_a_copy_is_not_said_to_be_decided_otherwise(desk: Desk) -> None:
    raw = make_raw()
    for _ in range(2):
        desk.deliver(raw, at=desk.now)
    desk.poll()
    assert not look(desk, 2).decides_otherwise


def test_without_the_original_there_is_nothing_to_read(taken: Desk) -> None:
    with taken.instance.database.writing() as session:
        session.execute(sa.delete(RawMessage))
    with pytest.raises(AgainRefused, match="no longer kept"):
        look(taken)


def test_the_rows_of_a_time(desk: Desk) -> None:
    for _ in range(3):
        desk.deliver(make_raw())
        desk.poll()
    with desk.instance.database.reading() as session:
        moment = session.get_one(Inbound, 2).recorded_at
        assert list(stored_ids(session, since=None)) == [1, 2, 3]
        assert list(stored_ids(session, since=moment)) == [2, 3]
