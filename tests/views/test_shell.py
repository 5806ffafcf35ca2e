"""The frame of every page, and how times and sizes read."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.config import CHECKOUT
from webapp.desk import options
from webapp.instance import Instance
from webapp.mailserver.base import UNKNOWN_TIME
from webapp.views import current, filters, shell

VENDOR = CHECKOUT / "static" / "vendor"
NOW = datetime(2026, 11, 23, 9, 53, 7, tzinfo=UTC)


@pytest.fixture
def in_sofia(app: Flask, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Flask:
    with instance.database.writing() as session:
        options.set_time_zone(session, "Europe/Sofia")
    monkeypatch.setattr(filters, "now", lambda: NOW)
    return app


def test_a_moment_is_in_the_desks_zone_with_utc_behind_it(in_sofia: Flask) -> None:
    with in_sofia.test_request_context():
        assert filters.moment(NOW) == (
            '<time datetime="2026-11-23T09:53:07Z" title="2026-11-23 09:53:07 UTC">23 Nov 2026, 11:53</time>'
        )


def test_a_time_that_no_server_told_is_no_date(in_sofia: Flask) -> None:
    with in_sofia.test_request_context():
        for told in (filters.moment, filters.clock, filters.ago):
            assert told(UNKNOWN_TIME) == "time not known"


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (timedelta(minutes=10), "11:43"),
        (timedelta(hours=12), "22 Nov, 23:53"),
        (timedelta(days=365), "23 Nov 2025, 11:53"),
    ],
)
def test_a_clock_tells_the_date_only_where_needed(in_sofia: Flask, before: timedelta, told: str) -> None:
    with in_sofia.test_request_context():
        assert f">{told}<" in filters.clock(NOW - before)


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(hours=24), "22 Nov 2026, 11:53"),
        (-timedelta(minutes=5), "23 Nov 2026, 11:58"),
    ],
)
def test_ago(in_sofia: Flask, before: timedelta, told: str) -> None:
    with in_sofia.test_request_context():
        assert f">{told}<" in filters.ago(NOW - before)


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (4_321, "4.3 KB"),
        (240_000, "240 KB"),
        (1_900_000, "1.9 MB"),
    ],
)
def test_sizes(octets: int, told: str) -> None:
    assert filters.size(octets) == told


@pytest.mark.parametrize(
    ("duration", "age", "seconds"),
    [
        (timedelta(milliseconds=87), "0 min", "87 ms"),
        (timedelta(seconds=1.31), "0 min", "1.3 s"),
        (timedelta(minutes=12, seconds=50), "12 min", "770.0 s"),
        (timedelta(hours=47), "47 h", "169200.0 s"),
        (timedelta(days=3), "3 days", "259200.0 s"),
    ],
)
def test_durations(duration: timedelta, age: str, seconds: str) -> None:
    assert (filters.age(duration), filters.seconds(duration)) == (age, seconds)


def test_counts() -> None:
    assert filters.count(1, "message") == "1 message"
    assert filters.count(1234, "message") == "1,234 messages"


def test_every_page_has_its_landmarks(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        ticket = make.make_ticket(session)
        make.make_inbound(session, make.make_mailbox(session), ticket_id=ticket.id)
    for path in ("/tickets", "/tickets/1", "/email-log", "/email-log/1", "/nothing"):
        page = alice.get(path).text
        assert page.startswith("<!doctype html>")
        assert '<html lang="en">' in page
        assert '<a class="skip-link" href="#main">Skip to content</a>' in page
        assert page.count("<h1") == 1
        assert page.count("<main") == 1
        assert " – Service desk</title>" in page
        assert "<header id=" in page
        assert "<footer id=" in page
        assert "Times are shown in UTC (UTC+00:00)." in page
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_the_menu_names_where_one_is(alice: Browser) -> None:
    page = alice.get("/email-log").text
    assert re.search(r'<a href="/email-log" aria-current="page">', page)
    assert not re.search(r'<a href="/tickets" aria-current', page)


def test_plain_http_off_this_machine_is_warned_about(app: Flask, alice: Browser) -> None:
    app.config["TRUSTED_HOSTS"] = ["desk.lan", "localhost"]
    assert "not encrypted" not in alice.get("/tickets").text
    for host in ("desk.lan", "desk.lan:8080"):
        with app.test_request_context(base_url=f"http://{host}"):
            assert shell._is_insecure()
    with app.test_request_context(base_url="https://desk.lan"):
        assert not shell._is_insecure()
    for host in ("localhost:8080", "127.0.0.1:1"):
        app.config["TRUSTED_HOSTS"] = None
        with app.test_request_context(base_url=f"http://{host}"):
            assert not shell._is_insecure()


def test_a_page_costs_few_questions(alice: Browser, instance: Instance) -> None:
    from sqlalchemy import event

    asked: list[str] = []
    event.listen(instance.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    alice.get("/tickets")
    assert len(asked) <= 13


def test_vendored_files_are_the_published_ones() -> None:
    lines = re.findall(r"^([0-9a-f]{64})  (\S+)$", (VENDOR / "VENDOR.txt").read_text(), flags=re.MULTILINE)
    listed = {name: digest for digest, name in lines}
    licences = {"LICENSE", "LICENSE.md", "VENDOR.txt"}
    files = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()}
    assert {name for name in files if Path(name).name not in licences} == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    assert listed["htmx/htmx.min.js"] == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"


def test_every_icon_used_is_in_the_sprite() -> None:
    sprite = (VENDOR / "lucide" / "sprite.svg").read_text()
    used: set[str] = set()
    for path in (CHECKOUT / "templates").rglob("*.html"):
        used |= set(re.findall(r'icon\("([a-z-]+)"', path.read_text()))
    for path in (CHECKOUT / "webapp" / "views").glob("*.py"):
        used |= set(re.findall(r'"((?:circle|copy|file|mail)-[a-z]+)"', path.read_text()))
    assert used
    assert not {name for name in used if f'id="{name}"' not in sprite}


def test_templates_trust_nothing() -> None:
    for path in (CHECKOUT / "templates").rglob("*.html"):
        text = path.read_text()
        assert "|safe" not in text.replace(" ", "")
        assert "autoescape" not in text
        assert "<style" not in text
        assert " style=" not in text
        assert not re.search(r"\son[a-z]+=", text)
        # Nothing is loaded from elsewhere, or sent there; a link that a person follows may lead there.
        assert not re.search(r'(?<!<a )\b(src|srcset|href|action|hx-[a-z]+)="https?:(?!//127)', text)


def test_partials_have_one_root_with_an_id() -> None:
    others = {"_macros", "_activity_chart", "_entry", "_fields", "_parts", "_hints"}
    others |= {"_files", "_invitation", "_mail", "_recipients", "_source"}  # parts of an entry
    others |= {"_office365_facts", "_office365_state"}  # parts of a row
    for path in (CHECKOUT / "templates").rglob("_*.html"):
        if path.stem in others:
            continue
        text = re.sub(r"\{%-? macro.*?\{%-? endmacro -?%\}", "", path.read_text(), flags=re.DOTALL)
        text = re.sub(r"\{%-? set \w+ -?%\}.*?\{%-? endset -?%\}", "", text, flags=re.DOTALL)
        text = re.sub(r"\{%.*?%\}|\{#.*?#\}", "", text, flags=re.DOTALL).strip()
        assert re.match(r'<[a-z]+[^>]* id="[a-z-]+(\{\{ [a-z._]+ \}\})?"', text), path


def test_now_is_aware() -> None:
    assert current.now().tzinfo is UTC
