"""Suggest settings as a job. It ends by itself within ten seconds or so."""

from __future__ import annotations

from dataclasses import dataclass, field

from webapp.desk.jobs import Job, Jobs
from webapp.mailserver.suggest import Suggestion, suggest

SEARCHES_A_MINUTE = 6
KEPT_SEARCHES = 20


@dataclass(slots=True, eq=False)
class SettingsSearch(Job):
    """One search, running or ended; `found` is None where there is nothing to suggest."""

    address: str
    sending: bool
    found: Suggestion | None = field(default=None, init=False)
    refusal: str = field(default="", init=False)  # the address is none

    @property
    def sentence(self) -> str:
        """What came of it, in one line."""
        if self.crashed:
            return "The search itself broke. The log has the details."
        if self.found:
            return self.found.sentence
        return (
            f"Nothing found for {self.address}. Ask your email administrator or your provider for host name, "
            "port and encryption."
        )


class SettingsSearches(Jobs[SettingsSearch]):
    """The searches of this process."""

    def __init__(self, *, ca_file: str | None = None, a_minute: int = SEARCHES_A_MINUTE) -> None:
        super().__init__("searches", a_minute=a_minute, kept=KEPT_SEARCHES)
        self._ca_file = ca_file

    def start(self, address: str, *, sending: bool) -> SettingsSearch:
        """Raises TooManyJobs."""
        search = SettingsSearch(address, sending)
        return self.begin(search, lambda: self._work(search))

    def _work(self, search: SettingsSearch) -> None:
        try:
            search.found = suggest(
                search.address,
                sending=search.sending,
                cancelled=lambda: search.stopped,
                ca_file=self._ca_file,
            )
        except ValueError as error:
            search.refusal = str(error)
