"""The security headers of every kind of response."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.app import create_app
from webapp.config import load_settings
from webapp.models import Account

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def broken() -> str:
    raise RuntimeError("boom")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/tickets", 200),
        ("GET", "/email-log", 200),
        ("GET", "/healthz", 200),
        ("GET", "/login", 303),
        ("GET", "/static/app.css", 200),
        ("GET", "/static/vendor/lucide/sprite.svg", 200),
        ("GET", "/static/nothing.css", 404),
        ("GET", "/static/../webapp/app.py", 404),
        ("GET", "/nothing", 404),
        ("GET", "/tickets/99", 404),
        ("GET", "/tickets/99999999999999999999", 404),
        ("GET", "/logout", 405),
        ("POST", "/logout", 400),
        ("POST", "/tickets", 405),
        ("OPTIONS", "/tickets", 200),
        ("HEAD", "/tickets", 200),
        ("GET", "/broken", 500),
    ],
)
def test_every_response_has_them(app: Flask, alice: Browser, method: str, path: str, status: int) -> None:
    app._got_first_request = False
    broken.access = "public"  # type: ignore[attr-defined]
    app.add_url_rule("/broken", "broken", broken)
    answer = alice.open(path, method=method)
    answer.close()
    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert "Strict-Transport-Security" not in answer.headers
    if not (path.startswith("/static") and status == 200):
        assert answer.headers["Cache-Control"] == "no-store"


def test_static_files_are_kept_by_their_hash(anonymous: Browser, people: dict[str, Account]) -> None:
    page = anonymous.get("/login").text
    assert "/static/app.css?v=" in page
    with anonymous.get("/static/app.css") as answer:
        assert "max-age=31536000" in answer.headers["Cache-Control"]


def test_pages_vary_with_htmx(alice: Browser) -> None:
    assert "HX-Request" in alice.get("/tickets").headers["Vary"]


def test_https_is_insisted_on_where_the_desk_is_reached_by_it(tmp_path: Path) -> None:
    app = create_app(load_settings({}, instance=tmp_path, public_url="https://desk.example.com"))
    for path in ("/login", "/nothing", "/static/app.css"):
        answer = app.test_client().get(path, base_url="https://desk.example.com")
        answer.close()
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    app.extensions["instance"].close()


def test_no_page_holds_an_inline_script_or_style(app: Flask, alice: Browser) -> None:
    with app.extensions["instance"].database.writing() as session:
        ticket = make.make_ticket(session)
        make.make_entry(session, ticket)
        make.make_inbound(session, make.make_mailbox(session), ticket_id=ticket.id)
    for path in ("/tickets", "/tickets/1", "/email-log", "/email-log/1", "/nothing"):
        page = alice.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page
        assert "javascript:" not in page
        assert page.count("<script") == page.count("<script src=")
