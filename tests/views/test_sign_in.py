"""Signing in, staying signed in, signing out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.views.browser import PASSWORD, Browser
from webapp.app import create_app
from webapp.config import load_settings
from webapp.desk import accounts
from webapp.instance import Instance
from webapp.models import Account, LoginSession
from webapp.views import current


def cookie(browser: Browser) -> str:
    found = browser.get_cookie("session")
    assert found is not None
    return found.value


def test_it_signs_in(anonymous: Browser, people: dict[str, Account]) -> None:
    answer = anonymous.sign_in("bob")
    assert (answer.status_code, answer.location) == (303, "/")
    page = anonymous.get("/tickets").text
    assert "Bob Best" in page
    assert "technician" in page


@pytest.mark.parametrize("email", ["alice@desk.example", "nobody@desk.example", "<b>@x", ""])
def test_wrong_credentials_get_one_and_the_same_answer(
    anonymous: Browser, people: dict[str, Account], email: str
) -> None:
    answer = anonymous.send("/login", email=email, password="not the right one")
    assert answer.status_code == 422
    assert "The email address or the password is not right." in answer.text
    assert "not the right one" not in answer.text
    assert "<b>@x" not in answer.text


def test_a_sign_in_is_a_new_session(anonymous: Browser, people: dict[str, Account]) -> None:
    token = anonymous.csrf_token()
    before = cookie(anonymous)
    anonymous.sign_in("alice")
    assert cookie(anonymous) != before
    stale = anonymous.post("/logout", data={"csrf_token": token})
    assert stale.status_code == 400  # the token of before the sign-in is worth nothing after it


def test_a_planted_cookie_is_not_signed_in(
    app: Flask, anonymous: Browser, people: dict[str, Account]
) -> None:
    anonymous.get("/login")
    planted = cookie(anonymous)
    anonymous.sign_in("alice")
    attacker = app.test_client()
    attacker.set_cookie("session", planted)
    assert attacker.get("/tickets").status_code == 303


def test_signing_out_ends_the_session_on_the_server(app: Flask, alice: Browser) -> None:
    stolen = cookie(alice)
    alice.send("/logout", page="/tickets")
    assert alice.get("/tickets").status_code == 303
    thief = app.test_client()
    thief.set_cookie("session", stolen)
    assert thief.get("/tickets").status_code == 303


def test_signing_out_leaves_other_browsers_alone(signed_in: Callable[[str], Browser]) -> None:
    here, there = signed_in("alice"), signed_in("alice")
    here.send("/logout", page="/tickets")
    assert there.get("/tickets").status_code == 200


def test_a_new_password_signs_out_everywhere(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        accounts.reset_password(
            session, email="alice@desk.example", password="another long password",
            now=datetime.now(UTC), actor="test",
        )  # fmt: skip
    assert alice.get("/tickets").status_code == 303


def test_a_disabled_account_is_out_at_once(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        session.execute(sa.update(Account).values(enabled=False))
    assert alice.get("/tickets").status_code == 303


def test_idle_hours_end_a_sign_in(alice: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime.now(UTC) + timedelta(hours=12, minutes=1)
    monkeypatch.setattr(current, "now", lambda: later)
    assert alice.get("/tickets").status_code == 303


def test_clicks_keep_a_sign_in_alive(
    alice: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.now(UTC)
    for hours in (10, 20, 30):
        monkeypatch.setattr(current, "now", lambda hours=hours: start + timedelta(hours=hours))
        assert alice.get("/tickets").status_code == 200
    with instance.database.reading() as session:
        seen_at = session.scalars(sa.select(LoginSession.seen_at)).one()
    assert seen_at == start + timedelta(hours=30)


def test_an_ended_session_says_that_entries_were_not_saved(app: Flask, alice: Browser) -> None:
    token = alice.csrf_token("/tickets")
    with app.extensions["instance"].database.writing() as session:
        session.execute(sa.delete(LoginSession))
    answer = alice.post("/logout", data={"csrf_token": token}, follow_redirects=True)
    assert "Your session ended. Sign in again, your entries were not saved." in answer.text


@pytest.mark.parametrize("token", [None, "", "forged"])
def test_a_missing_or_forged_csrf_token_is_a_400_page(alice: Browser, token: str | None) -> None:
    answer = alice.post("/logout", data={} if token is None else {"csrf_token": token})
    assert answer.status_code == 400
    assert "Your session ended" in answer.text
    assert "<h1>" in answer.text
    assert alice.get("/tickets").status_code == 200


def test_somebody_elses_csrf_token_is_refused(alice: Browser, bob: Browser) -> None:
    assert alice.post("/logout", data={"csrf_token": bob.csrf_token("/tickets")}).status_code == 400


def test_guessing_is_slowed_down(anonymous: Browser, people: dict[str, Account]) -> None:
    for _ in range(5):
        assert anonymous.sign_in("alice", "not the right one").status_code == 422
    answer = anonymous.sign_in("alice")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Too many attempts. Try again in" in answer.text


def test_guessing_from_elsewhere_never_locks_the_administrator_out(
    app: Flask, anonymous: Browser, people: dict[str, Account]
) -> None:
    stranger = app.test_client()
    stranger.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert isinstance(stranger, Browser)
    for _ in range(40):
        stranger.sign_in("alice", "not the right one")
    assert stranger.sign_in("alice").status_code == 429
    assert anonymous.sign_in("alice").status_code == 303


def test_signing_in_forgets_earlier_mistakes(anonymous: Browser, people: dict[str, Account]) -> None:
    for _ in range(3):
        for _ in range(4):
            anonymous.sign_in("alice", "not the right one")
        assert anonymous.sign_in("alice").status_code == 303
        anonymous.send("/logout", page="/tickets")


def test_forwarded_addresses_are_not_believed_by_default(app: Flask, people: dict[str, Account]) -> None:
    client = app.test_client()
    assert isinstance(client, Browser)
    token = client.csrf_token()
    statuses = [
        client.post(
            "/login",
            data={"email": "alice@desk.example", "password": "x", "csrf_token": token},
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        ).status_code
        for number in range(7)
    ]
    assert statuses[-1] == 429


def test_forwarded_addresses_of_a_trusted_proxy_are_believed(tmp_path: Path) -> None:
    app = create_app(
        load_settings({}, instance=tmp_path, trusted_proxies=1, public_url="https://desk.example.com")
    )
    answer = app.test_client().get(
        "/tickets",
        base_url="http://127.0.0.1",
        headers={
            "X-Forwarded-For": "203.0.113.5",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "desk.example.com",
        },
    )
    assert answer.status_code == 303
    forged = app.test_client().get("/tickets", headers={"X-Forwarded-Host": "evil.example"})
    assert forged.status_code == 400
    app.extensions["instance"].close()


def test_the_cookie_is_closed_to_scripts_and_other_sites(
    anonymous: Browser, people: dict[str, Account]
) -> None:
    header = anonymous.sign_in("alice").headers["Set-Cookie"]
    assert header.startswith("session=")
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    assert "Secure" not in header  # plain http: the browser would not send it back


def test_over_https_the_cookie_is_bound_to_the_host(tmp_path: Path) -> None:
    app = create_app(load_settings({}, instance=tmp_path, public_url="https://desk.example.com"))
    with app.extensions["instance"].database.writing() as session:
        accounts.renew_setup_code(session, now=datetime.now(UTC))
    answer = app.test_client().get("/setup", base_url="https://desk.example.com")
    header = answer.headers["Set-Cookie"]
    assert header.startswith("__Host-session=")
    assert "Secure" in header
    assert "Path=/" in header
    assert "Domain" not in header
    app.extensions["instance"].close()


def test_the_password_is_never_in_an_answer(anonymous: Browser, people: dict[str, Account]) -> None:
    answer = anonymous.send("/login", email="alice@desk.example", password=PASSWORD + "x")
    assert PASSWORD not in answer.text
