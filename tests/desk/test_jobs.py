"""What is the same of every job: limited, replaced, kept, stopped, broken, and gone with the process."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from webapp.desk import jobs
from webapp.desk.jobs import Job, Jobs, TooManyJobs


@dataclass(slots=True, eq=False)
class Errand(Job):
    row: str
    found: str = ""


class Errands(Jobs[Errand]):
    """Errands that go on until they are told to stop, or until `go_home`."""

    def __init__(self, *, a_minute: int = 100, kept: int = 10) -> None:
        super().__init__("errands", a_minute=a_minute, kept=kept)
        self.over = threading.Event()

    def start(self, row: str = "one") -> Errand:
        errand = Errand(row)
        return self.begin(errand, lambda: self._walk(errand), replaces=lambda other: other.row == row)

    def go_home(self) -> None:
        self.over.set()

    def _walk(self, errand: Errand) -> None:
        while not (errand.stopped or self.over.wait(0.005)):
            pass
        errand.found = "half" if errand.stopped else "all"


@pytest.fixture
def errands() -> Iterator[Errands]:
    started = Errands()
    yield started
    started.go_home()


def ended(errand: Errand) -> Errand:
    assert errand.wait(5)
    return errand


def test_a_job_is_found_while_it_runs_and_afterwards(errands: Errands) -> None:
    errand = errands.start()
    assert errands.find(errand.job_id) is errand
    assert errands.find("another") is None
    assert (errand.running, errands.running()) == (True, [errand])
    errands.go_home()
    assert ended(errand).found == "all"
    assert (errand.running, errand.stopped, errand.crashed) == (False, False, False)
    assert errands.find(errand.job_id) is errand
    assert errands.running() == []


def test_its_id_cannot_be_guessed(errands: Errands) -> None:
    ids = {errands.start(str(number)).job_id for number in range(20)}
    assert len(ids) == 20
    assert all(len(job_id) >= 16 for job_id in ids)


def test_the_seconds_stop_with_it(errands: Errands) -> None:
    errand = errands.start()
    before = errand.seconds
    assert errand.seconds > before
    errand.stop()
    took = ended(errand).seconds
    time.sleep(0.01)
    assert errand.seconds == took


def test_only_so_many_begin_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    errands = Errands(a_minute=2)
    first, second = errands.start("one"), errands.start("two")
    with pytest.raises(TooManyJobs, match=r"^At most 2 errands a minute. Wait a moment and try again.$"):
        errands.start("one")
    assert errands.running() == [first, second]  # who is refused stops nobody
    monkeypatch.setattr(jobs, "MINUTE", 0.0)  # it is over
    assert errands.start("three").running
    errands.go_home()


def test_a_job_stops_the_one_it_replaces(errands: Errands) -> None:
    first, other = errands.start("one"), errands.start("two")
    second = errands.start("one")
    assert ended(first).found == "half"
    assert first.stopped
    assert errands.running() == [other, second]


def test_a_job_that_has_ended_is_not_stopped_any_more(errands: Errands) -> None:
    errands.go_home()
    errand = ended(errands.start())
    ended(errands.start())
    errand.stop()
    assert not errand.stopped


def test_the_newest_are_kept() -> None:
    errands = Errands(kept=3)
    errands.go_home()
    started = [ended(errands.start(str(number))) for number in range(5)]
    found = [errands.find(errand.job_id) for errand in started]
    assert found == [None, None, *started[2:]]


def test_a_job_that_breaks_ends_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def work() -> None:
        raise RuntimeError("no database")

    with caplog.at_level(logging.ERROR):
        assert ended(Errands().begin(Errand("one"), work)).crashed
    assert [record.message for record in caplog.records] == ["mail-errands broke"]
    assert "no database" in caplog.text


def test_a_job_does_not_keep_the_process() -> None:
    script = (
        "import threading; from webapp.desk.jobs import Job, Jobs\n"
        "begun = threading.Event()\n"
        "Jobs('errands', a_minute=1, kept=1).begin(Job(), lambda: (begun.set(), threading.Event().wait()))\n"
        "begun.wait(); print('goes')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == (b"goes\n", b"")
