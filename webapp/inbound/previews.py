"""A preview as a job: watched while it goes, stopped, and kept for the page that asks. One at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from webapp.desk import activation, mail_servers
from webapp.desk.activation import Mailbox
from webapp.desk.jobs import Job, Jobs
from webapp.desk.mail_servers import Draft
from webapp.inbound.preview import Preview, preview
from webapp.instance import Instance
from webapp.mailserver.base import Mailbox as OpenMailbox
from webapp.mailserver.base import ServerSettings
from webapp.mailserver.connect import open_mailbox
from webapp.mailserver.errors import MailServerError
from webapp.mailserver.remedies import explain
from webapp.mailserver.remedy import Remedy

PREVIEWS_A_MINUTE = 6
KEPT_PREVIEWS = 10
FRESH_SECONDS = 120.0
PAGE_LIMIT = 500  # newest messages a page shows


@dataclass(slots=True, eq=False)
class PreviewJob(Job):
    """One preview, running or ended. Told to stop, it ends after its batch, with what was seen until then."""

    mailbox: Mailbox | None = None  # whose inbox, and of which version of the saved row (None: not as saved)
    version: int | None = None
    progress: tuple[int, int] | None = field(default=None, init=False)
    result: Preview | None = field(default=None, init=False)
    remedy: Remedy | None = field(default=None, init=False)  # why it failed, and what to do

    def is_of(self, mailbox: Mailbox, version: int) -> bool:
        """Whether it looked into this mailbox for this version of the saved row."""
        return (self.mailbox, self.version) == (mailbox, version)

    @property
    def age(self) -> float:
        """Seconds since it ended; 0 while it is running."""
        return 0.0 if self.running else time.monotonic() - self._started - self.seconds

    @property
    def done(self) -> int:
        return self.progress[0] if self.progress else 0

    @property
    def total(self) -> int | None:
        return self.progress[1] if self.progress else None

    @property
    def sentence(self) -> str:
        """Why there is no result, in one line; empty where there is one or it is still running."""
        if self.crashed:
            return "The preview itself broke. The log has the details."
        return self.remedy.sentence if self.remedy else ""

    @property
    def cure(self) -> str:
        return self.remedy.cure if self.remedy else ""

    def _tell(self, done: int, total: int) -> None:
        self.progress = (done, total)


class Previews(Jobs[PreviewJob]):
    """The previews of this process."""

    def __init__(
        self,
        instance: Instance,
        *,
        a_minute: int = PREVIEWS_A_MINUTE,
        connect: Callable[[ServerSettings], OpenMailbox] = open_mailbox,
    ) -> None:
        super().__init__("previews", a_minute=a_minute, kept=KEPT_PREVIEWS)
        self._instance, self._connect = instance, connect

    def start(
        self, wanted: Draft, *, limit: int | None = PAGE_LIMIT, version: int | None = None
    ) -> PreviewJob:
        """Begin a preview; one that is still running is stopped. Raises TooManyJobs.

        `version`: that of the saved row, where `wanted` is the row before its activation.
        """
        job = PreviewJob(activation.mailbox_of(wanted.values), version)
        return self.begin(job, lambda: self._work(job, wanted, limit), replaces=lambda other: True)

    def find_fresh(self, mailbox: Mailbox, version: int) -> PreviewJob | None:
        """The newest of this mailbox and version that runs or ended just now; none that was stopped."""
        with self._lock:
            jobs = list(reversed(self._jobs.values()))
        fresh = (job for job in jobs if job.is_of(mailbox, version) and job.age < FRESH_SECONDS)
        return next((job for job in fresh if not job.stopped and not job.crashed), None)

    def _work(self, job: PreviewJob, wanted: Draft, limit: int | None) -> None:
        try:
            job.result = preview(
                self._instance,
                wanted,
                limit=limit,
                progress=job._tell,
                cancelled=lambda: job.stopped,
                connect=self._connect,
            )
        except MailServerError as error:
            job.remedy = explain(error, mail_servers.server_settings(wanted, self._instance))
