"""Suggest settings as a job; addresses of known providers need no network."""

from __future__ import annotations

import pytest

from webapp.desk import suggestions
from webapp.desk.jobs import TooManyJobs
from webapp.desk.suggestions import SettingsSearches


def test_a_search_ends_with_what_to_enter() -> None:
    searches = SettingsSearches()
    search = searches.start("help@gmail.com", sending=False)
    assert search.wait(10)
    assert search.found is not None
    assert (search.found.host, search.found.port) == ("imap.gmail.com", 993)
    assert searches.find(search.job_id) is search
    assert searches.find("another") is None


def test_what_is_no_address_is_refused_with_a_sentence() -> None:
    search = SettingsSearches().start("help", sending=True)
    assert search.wait(10)
    assert search.found is None
    assert search.refusal == "Enter one email address, for example help@example.com."


def test_there_are_only_so_many_a_minute() -> None:
    searches = SettingsSearches(a_minute=2)
    for _ in range(2):
        searches.start("help@gmail.com", sending=True)
    with pytest.raises(TooManyJobs, match=r"^At most 2 searches a minute. Wait a moment"):
        searches.start("help@gmail.com", sending=True)


def test_a_search_is_stopped() -> None:
    search = SettingsSearches().start("help@no-such-domain.invalid", sending=True)
    search.stop()
    assert search.stopped
    assert search.wait(5)
    assert search.found is None


def test_a_search_that_breaks_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(suggestions, "suggest", broken)
    search = SettingsSearches().start("help@example.com", sending=True)
    assert search.wait(5)
    assert (search.crashed, search.sentence) == (
        True,
        "The search itself broke. The log has the details.",
    )
