"""The email log: what became of every message, and why."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.inbound import background
from webapp.inbound.poll import NotPolled
from webapp.instance import Instance
from webapp.models import Disposition, Placement, Setting


def subjects(page: str) -> list[str]:
    return re.findall(r'<th scope="row" class="subject"><a [^>]*>([^<]*)</a>', page)


def plain(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)).strip()


OUTCOMES: list[tuple[dict[str, Any], str]] = [
    ({"rule": "new-ticket"}, "New ticket T-1"),
    ({"rule": "thread"}, "New ticket T-1 – follow-up of a closed ticket"),
    (
        {"defects": ["too large: 62 MB is over the limit of 50 MB"]},
        "New ticket T-1 – too large, only its header was taken in",
    ),
    ({"disposition": Disposition.UPDATE, "rule": "thread"}, "Added to T-1"),
    (
        {"disposition": Disposition.CLAIM, "rule": "thread-claim"},
        "New ticket T-1 – names another ticket, where the sender may not write",
    ),
    (
        {"disposition": Disposition.QUARANTINED, "rule": "quarantine"},
        "Failed – message could not be read; saved for inspection in T-1",
    ),
    ({"disposition": Disposition.REPORT, "rule": "delivery-report", "ticket_id": None}, "Delivery report"),
    *(
        ({"disposition": Disposition.IGNORED, "rule": rule, "saw": saw, "ticket_id": None}, told)
        for rule, saw, told in (
            (
                "noreply-sender",
                "From: no-reply@shop.example",
                "Ignored – sender is a no-reply address (From: no-reply@shop.example)",
            ),
            (
                "auto-submitted",
                "Auto-Submitted: auto-replied",
                "Ignored – automatic message (Auto-Submitted: auto-replied)",
            ),
            (
                "auto-response-suppress",
                "X-Auto-Response-Suppress: All",
                "Ignored – automatic message (X-Auto-Response-Suppress: All)",
            ),
            ("other-automated", "X-Autoreply: yes {0}", "Ignored – automatic message (X-Autoreply: yes {0})"),
            ("unknown-sender", "carl@new.example is unknown", "Ignored – unknown sender"),
            ("own-message", "", "Ignored – sent by this service desk"),
            ("delivery-report", "", "Ignored – delivery report for a message this desk does not know"),
            ("a-rule-of-tomorrow", "", "Ignored – a-rule-of-tomorrow"),
        )
    ),
]


@pytest.mark.parametrize(("values", "told"), OUTCOMES)
def test_each_outcome_in_words(vera: Browser, instance: Instance, values: dict[str, Any], told: str) -> None:
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        mailbox = make.make_mailbox(session)
        make.make_inbound(session, mailbox, **({"ticket_id": ticket.id} | values))
    for path in ("/email-log", "/email-log/1"):
        assert told in plain(vera.get(path).text)


def test_a_duplicate_leads_to_the_first_one(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        mailbox = make.make_mailbox(session)
        first = make.make_inbound(session, mailbox, ticket_id=ticket.id)
        make.make_inbound(
            session, mailbox, disposition=Disposition.DUPLICATE, rule="duplicate",
            duplicate_of_id=first.id, ticket_id=ticket.id,
        )  # fmt: skip
    page = vera.get("/email-log/2").text
    assert "Skipped – already processed on" in plain(page)
    assert 'href="/email-log/1"' in page
    assert 'href="/tickets/1"' in page


@pytest.mark.parametrize(
    ("placement", "folder", "told"),
    [
        (Placement.PENDING_MOVE, "Archive", "Not moved to “Archive” yet; the next run tries again"),
        (Placement.ARCHIVED, "Archive/Ignored", "Moved to “Archive/Ignored”"),
        (Placement.LEFT, "", "Left in the inbox"),
        (Placement.GONE, "", "No longer in the inbox"),
    ],
)
def test_where_a_message_is(
    vera: Browser, instance: Instance, placement: Placement, folder: str, told: str
) -> None:
    with instance.database.writing() as session:
        make.make_inbound(session, make.make_mailbox(session), placement=placement, folder=folder)
    assert told in plain(vera.get("/email-log/1").text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["order", "printer"]),
        ("outcome=ignored", ["order"]),
        ("outcome=nonsense", ["order", "printer"]),
        ("from=SHOP", ["order"]),
        ("from=Ann Lee", ["printer"]),
        ("subject=print", ["printer"]),
        ("subject=%25", []),
        ("period=day", ["order"]),
        ("period=month", ["order", "printer", "old"]),
        ("period=all", ["order", "printer", "old", "ancient"]),
        ("period=nonsense", ["order", "printer"]),
        ("period=all&outcome=ticket&from=ann", ["printer", "old", "ancient"]),
    ],
)
def test_filters(vera: Browser, instance: Instance, query: str, found: list[str]) -> None:
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        for subject, days in (("ancient", 400), ("old", 20), ("printer", 3)):
            make.make_inbound(session, mailbox, subject=subject, recorded_at=make.NOW - timedelta(days=days))
        make.make_inbound(
            session, mailbox, subject="order", from_addr="no-reply@shop.example", from_name="Shop",
            disposition=Disposition.IGNORED, rule="noreply-sender",
        )  # fmt: skip
    assert subjects(vera.get(f"/email-log?{query}").text) == found


def test_pages_keep_the_filter(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        for _ in range(60):
            make.make_inbound(session, mailbox)
    page = vera.get("/email-log?outcome=ticket&period=all").text
    assert len(subjects(page)) == 50
    assert 'href="/email-log?outcome=ticket&amp;period=all&amp;page=2"' in page
    assert len(subjects(vera.get("/email-log?outcome=ticket&period=all&page=2").text)) == 10


def test_empty_states(vera: Browser, instance: Instance) -> None:
    page = plain(vera.get("/email-log").text)
    assert "Incoming email is not set up." in page
    assert "An administrator sets it up" in page
    with instance.database.writing() as session:
        make.make_incoming(session)
        mailbox = make.make_mailbox(session)
    page = plain(vera.get("/email-log").text)
    assert "The parser has not run yet." in page
    with instance.database.writing() as session:
        make.make_run(session, mailbox, counts={})
    assert "found nothing new" in plain(vera.get("/email-log").text)
    with instance.database.writing() as session:
        make.make_inbound(session, mailbox, recorded_at=make.NOW - timedelta(days=30))
    page = plain(vera.get("/email-log").text)
    assert "No messages in this period." in page
    assert "No message matches." in plain(vera.get("/email-log?from=nobody").text)


def test_the_last_run_is_told(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        make.make_run(session, make.make_mailbox(session))
    page = plain(vera.get("/email-log").text)
    assert "Active help@example.com on imap.example.com" in page
    assert re.search(r"Last run \d\d:\d\d , 2\.0 s, 3 messages, 31 older than the specified date", page)
    assert "next run" in page
    assert "Ignored messages are moved to the subfolder “Ignored” of “Archive”, still unread." in page


def test_ignored_mail_may_stay_in_the_inbox(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        session.add(Setting(name="ignored_mail", value="leave"))
    assert "Ignored messages are left in the inbox." in vera.get("/email-log").text


def test_failing_mail_is_told_on_every_page(vera: Browser, instance: Instance) -> None:
    now = datetime.now(UTC)
    with instance.database.writing() as session:
        make.make_incoming(session)
        mailbox = make.make_mailbox(
            session, failing_since=now - timedelta(minutes=12, seconds=5), failures=3,
            last_error="The server rejected the user name or password.",
            last_cure="Enter the password again.", next_poll_at=now + timedelta(minutes=15),
        )  # fmt: skip
        make.make_run(session, mailbox)
    for path in ("/tickets", "/email-log", "/nothing"):
        page = plain(vera.get(path).text)
        assert re.search(
            r"Incoming mail has failed since [\d:, \w]+ \(12 min\): "
            r"The server rejected the user name or password\. Next try ",
            page,
        )
    page = plain(vera.get("/email-log").text)
    assert "Enter the password again." in page
    assert "next try" in page


@pytest.mark.parametrize("values", [{"active": False}, {"host": "other.example.com"}])
def test_old_failures_are_not_told(vera: Browser, instance: Instance, values: dict[str, Any]) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session, **values)
        make.make_mailbox(session, failing_since=make.NOW, last_error="Wrong password.")
    assert "Wrong password." not in vera.get("/tickets").text


def test_the_banner_is_for_people_signed_in(anonymous: Browser, vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        make.make_mailbox(session, failing_since=make.NOW, failures=2, last_error="Wrong password.")
    assert "Wrong password." in vera.get("/tickets").text
    assert "Wrong password." not in anonymous.get("/login").text


def test_the_trace_tells_every_rule_looked_at(vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        mailbox = make.make_mailbox(session)
        make.make_run(session, mailbox)
        make.make_inbound(
            session, mailbox, disposition=Disposition.IGNORED, rule="auto-submitted",
            saw="Auto-Submitted: auto-replied", defects=["charset x-none is not known"],
            trace=[
                {"rule": "before-cutoff", "fired": False, "saw": "no date is set"},
                {"rule": "auto-submitted", "fired": True, "saw": "Auto-Submitted: auto-replied"},
            ],
        )  # fmt: skip
    page = plain(vera.get("/email-log/1").text)
    assert "Received before the specified date before-cutoff No no date is set" in page
    assert "Automatic message: Auto-Submitted auto-submitted Yes Auto-Submitted: auto-replied" in page
    assert "charset x-none is not known" in page
    assert "INBOX/1700000000" in page
    assert "4.3 KB" in page
    assert "2 new, 1 ignored, 31 older than the specified date" in page


def test_only_administrators_see_the_original(alice: Browser, vera: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_inbound(session, make.make_mailbox(session), raw=b"Subject: x\r\n\r\nhello")
    assert "Download original" in alice.get("/email-log/1").text
    assert "Download original" not in vera.get("/email-log/1").text
    assert alice.get("/email-log/1/original").data == b"Subject: x\r\n\r\nhello"
    assert vera.get("/email-log/1/original").status_code == 403


def test_an_original_no_longer_kept_is_said(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_inbound(session, make.make_mailbox(session))
    assert "no longer kept" in alice.get("/email-log/1").text
    assert alice.get("/email-log/1/original").status_code == 404


HTMX = {"HX-Request": "true"}


def run_now(browser: Browser, *, htmx: bool) -> str:
    """What the button is answered with, in a toast or on the page."""
    token = browser.csrf_token("/email-log")
    answer = browser.post(
        "/email-log/run", data={"csrf_token": token}, headers=HTMX if htmx else {}, follow_redirects=not htmx
    )
    assert answer.status_code == (204 if htmx else 200)
    return json.dumps(json.loads(answer.headers["HX-Trigger"])) if htmx else plain(answer.text)


@pytest.mark.parametrize("htmx", [True, False])
def test_run_now_lets_the_parser_look(
    alice: Browser, app: Flask, instance: Instance, monkeypatch: pytest.MonkeyPatch, htmx: bool
) -> None:
    runs: list[str] = []
    monkeypatch.setattr(background, "poll", lambda _instance, _parser, *, trigger: runs.append(trigger))
    with instance.database.writing() as session:
        make.make_incoming(session)
    assert "The parser is looking into the mailbox now." in run_now(alice, htmx=htmx)
    app.extensions["background_poll"].wait(10)
    assert runs == ["button"]


@pytest.mark.parametrize("htmx", [True, False])
def test_run_now_says_what_is_missing(alice: Browser, instance: Instance, htmx: bool) -> None:
    assert "Incoming email is not set up." in run_now(alice, htmx=htmx)
    with instance.database.writing() as session:
        make.make_incoming(session, active=False)
    assert "Incoming email is not active." in run_now(alice, htmx=htmx)


def test_run_now_is_for_administrators(alice: Browser, bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session, active=False)
    assert "Run now" in alice.get("/email-log").text
    assert "Run now" not in bob.get("/email-log").text
    token = bob.csrf_token("/tickets")
    assert bob.post("/email-log/run", data={"csrf_token": token}).status_code == 403


def test_one_run_by_button_at_a_time(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, go_on = [], threading.Event()

    def slow(*_: object, trigger: str) -> None:
        runs.append(trigger)
        go_on.wait(10)

    monkeypatch.setattr(background, "poll", slow)
    by_button = background.BackgroundPoll()
    for _ in range(5):
        by_button.start(instance)
    go_on.set()
    by_button.wait(10)
    assert runs == ["button", "button"]  # the one that went, and one for all who asked meanwhile
    by_button.start(instance)
    by_button.wait(10)
    assert runs == ["button"] * 3


@pytest.mark.parametrize(
    ("error", "logged"),
    [(NotPolled("Not active."), "no run by button"), (ValueError("broken"), "a run by button failed")],
)
def test_a_run_by_button_that_fails_is_logged(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    error: Exception, logged: str,
) -> None:  # fmt: skip
    def fail(*_: object, trigger: str) -> None:
        raise error

    monkeypatch.setattr(background, "poll", fail)
    caplog.set_level("INFO")
    by_button = background.BackgroundPoll()
    by_button.start(instance)
    by_button.wait(10)
    assert logged in caplog.text


@pytest.mark.parametrize(
    ("archive", "values", "told"),
    [
        ("", {}, "the subfolder “Ignored” of the archive folder"),
        ("Done", {}, "the subfolder “Ignored” of “Done”"),
        ("", {"folder": "INBOX.Archiv.Ignored"}, "“INBOX.Archiv.Ignored”"),
        ("Done", {"folder": "INBOX.Done.Ignored"}, "“INBOX.Done.Ignored”"),
        ("Done", {"folder": "Archive/Ignored"}, "the subfolder “Ignored” of “Done”"),  # changed since
        ("", {"folder": "", "placement": Placement.LEFT}, "the subfolder “Ignored” of the archive folder"),
    ],
)
def test_the_folder_of_ignored_mail_is_the_one_it_was_moved_to(
    vera: Browser, instance: Instance, archive: str, values: dict[str, Any], told: str
) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session, archive_folder=archive)
        mailbox = make.make_mailbox(session)
        other = make.make_mailbox(session, host="old.example.com")
        if values:
            make.make_inbound(session, mailbox, disposition=Disposition.IGNORED, **values)
        make.make_inbound(session, other, disposition=Disposition.IGNORED, folder="Old/Ignored")
    assert f"Ignored messages are moved to {told}, still unread." in vera.get("/email-log").text
