"""Somebody else uses the mailbox while a run is at work: reads, deletes or moves the very same message."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import pytest
import sqlalchemy as sa

from tests.factories import make_raw
from tests.rig.dovecot import DovecotMailbox
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.inbound.runs import RunReport
from webapp.instance import Instance
from webapp.mailserver.base import FetchedMessage, MoveResult, ServerSettings
from webapp.mailserver.imap import ImapMailbox
from webapp.models import Inbound, Placement, Ticket

pytestmark = pytest.mark.dovecot

Act = Callable[[DovecotMailbox, str], None]
ACTS: dict[str, Act] = {
    "reads": lambda mailbox, uid: mailbox.mark_seen(uid),
    "deletes": lambda mailbox, uid: mailbox.expunge(uid),
    "moves": lambda mailbox, uid: mailbox.move(uid, "Elsewhere"),
    "archives": lambda mailbox, uid: mailbox.move(uid, "Archive"),
}


class Meddled(ImapMailbox):
    """Something is done by a second client just before one of the steps."""

    def __init__(self, settings: ServerSettings, step: str, act: Callable[[], None]) -> None:
        super().__init__(settings)
        self._acts = {step: act}

    def fetch(self, keys: Sequence[str]) -> Iterator[FetchedMessage]:
        self._come_to("fetch")
        return super().fetch(keys)

    def mark_read(self, keys: Collection[str]) -> None:
        self._come_to("mark_read")
        super().mark_read(keys)

    def move(self, keys: Collection[str], folder: str) -> MoveResult:
        self._come_to("move")
        return super().move(keys, folder)

    def _come_to(self, step: str) -> None:
        if act := self._acts.pop(step, None):
            act()


@pytest.mark.parametrize("step", ["fetch", "mark_read", "move"])
@pytest.mark.parametrize("act", ACTS)
def test_no_error_nothing_twice_and_the_neighbours_are_done(
    at: Instance, mailbox: DovecotMailbox, parser: ParserProcess, act: str, step: str
) -> None:
    for folder in ("Archive", "Elsewhere"):
        mailbox.create(folder)
    uids = [mailbox.deliver(make_raw(subject=str(n))) for n in range(3)]
    acted: list[str] = []

    def meddle() -> None:
        ACTS[act](mailbox, uids[1])
        acted.append(act)

    report = poll(at, parser, trigger="command", connect=lambda settings: Meddled(settings, step, meddle))
    assert acted == [act]
    assert report.failure is None
    was_read = step != "fetch" or act == "reads"
    assert (report.counts.ticket, report.counts.vanished) == (2 + was_read, int(not was_read))
    placed = {uid: Placement.ARCHIVED for uid in uids}
    if act != "reads":
        placed[uids[1]] = Placement.GONE
    if not was_read:
        del placed[uids[1]]
    assert placements(at) == placed

    again: RunReport = poll(at, parser, trigger="command")
    assert (again.failure, again.counts.processed, again.counts.moved) == (None, 0, 0)
    assert mailbox.contents() == []
    with at.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 2 + was_read
    assert len(mailbox.contents("Archive")) == 2 + (act in ("reads", "archives"))
    assert len(mailbox.contents("Elsewhere")) == (act == "moves")


def placements(instance: Instance) -> dict[str, Placement]:
    with instance.database.reading() as session:
        rows = session.execute(sa.select(Inbound.remote_key, Inbound.placement))
        return {row.remote_key: row.placement for row in rows}
