"""The numbers of the activation step, out of one preview: what each choice would mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from webapp.desk.activation import from_now
from webapp.inbound.preview import Preview
from webapp.inbound.runs import Counts


@dataclass(frozen=True, slots=True)
class ActivationCounts:
    """What turning on means for the messages that are unread now.

    `all` are the outcomes without a date limit, of the `looked` messages. A date only leaves messages alone;
    how many pass it is exact (`newer_than`), what becomes of those is not told: a reply whose original is
    left alone becomes a ticket. A preview with that date in its draft tells it.
    """

    unread: int
    looked: int  # fewer than unread where the preview was limited or stopped
    oldest: datetime | None
    newest: datetime | None
    all: Counts
    from_now: datetime  # the cut-off of "only messages from now on"
    from_now_taken: int  # unread messages that are newer all the same: 0, unless the server's clock is ahead
    _preview: Preview

    @property
    def new_tickets(self) -> int:
        return self.all.ticket + self.all.claim + self.all.quarantined

    @property
    def from_now_left_alone(self) -> int:
        return self.unread - self.from_now_taken

    def newer_than(self, moment: datetime) -> int:
        """How many of the unread messages a date lets through."""
        return self._preview.newer_than(moment)


def count_choices(preview: Preview, *, now: datetime) -> ActivationCounts:
    """Of a preview without a cut-off (`activation.without_cutoff`). Raises ValueError for one with."""
    if preview.cutoff is not None:
        raise ValueError("the preview has a cut-off: what it leaves alone is not known")
    cutoff = from_now(preview.newest, inbox_seen=preview.all_dated, now=now)
    return ActivationCounts(
        unread=preview.unread,
        looked=preview.looked,
        oldest=preview.oldest,
        newest=preview.newest,
        all=preview.counts,
        from_now=cutoff,
        from_now_taken=preview.newer_than(cutoff),
        _preview=preview,
    )
