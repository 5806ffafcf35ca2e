"""The pages of the Microsoft sign-in, and that no secret of it is ever seen."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache

from tests.desk.microsoft import connect, now, register, tokens_of
from tests.rig.microsoft_sign_in import (
    CLIENT_SECRET,
    HELP,
    IdentityProvider,
    StandInBrowser,
)
from tests.rig.postgres import copy_database
from tests.views.browser import Browser
from webapp.config import Settings, load_settings
from webapp.desk import mail_servers, microsoft_connections, microsoft_state
from webapp.instance import Instance
from webapp.mailserver import graph_account
from webapp.models import Base, ConnectionState, MailServer, MicrosoftConnection, MicrosoftSignIn, Row

pytestmark = pytest.mark.identity_provider
PAGE = "/oauth/office365/incoming"
CALLBACK = "/oauth/office365/callback"
MAIL = "/settings/service-desk/mail"


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path, identity_provider: IdentityProvider) -> Settings:
    copy_database(empty_database, tmp_path)
    identity_provider.allow(f"http://localhost{CALLBACK}")
    return load_settings({}, instance=tmp_path, public_url="http://localhost", **identity_provider.settings)


@pytest.fixture
def registered(instance: Instance) -> Instance:
    """The incoming row is Office365, with an app registration, and not connected."""
    register(instance)
    return instance


def start(browser: Browser, row: str = "incoming") -> str:
    """Where the browser is sent."""
    answer = browser.get(f"/oauth/office365/start/{row}")
    assert answer.status_code == 303, answer.text
    return answer.location


def come_back(browser: Browser, provider: IdentityProvider, refuse: str = "") -> dict[str, str]:
    return StandInBrowser(provider).answer(start(browser), HELP, refuse=refuse)


def test_start_is_a_redirect_to_microsoft_with_the_public_redirect_address(
    alice: Browser, registered: Instance, identity_provider: IdentityProvider
) -> None:
    address = start(alice)
    assert address.startswith(identity_provider.origin)
    assert parse_qs(urlsplit(address).query)["redirect_uri"] == [f"http://localhost{CALLBACK}"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_on_another_site_begins_no_sign_in(alice: Browser, registered: Instance, site: str) -> None:
    answer = alice.get("/oauth/office365/start/incoming", headers={"Sec-Fetch-Site": site})
    assert answer.location == f"{MAIL}#row-incoming"
    with registered.database.reading() as session:
        assert session.query(MicrosoftSignIn).all() == []


def test_coming_back_leads_to_an_address_without_the_code(
    alice: Browser, registered: Instance, identity_provider: IdentityProvider
) -> None:
    answer = alice.get(CALLBACK, query_string=come_back(alice, identity_provider))
    assert (answer.status_code, answer.location) == (303, PAGE)
    assert answer.headers["Cache-Control"] == "no-store"
    card = alice.get(PAGE)
    assert "Help Desk</strong> &lt;helpdesk@contoso.example&gt;" in card.text
    assert "Use this account" in card.text


def test_cancelled_at_microsoft(
    alice: Browser, registered: Instance, identity_provider: IdentityProvider
) -> None:
    answer = alice.get(CALLBACK, query_string=come_back(alice, identity_provider, "cancel"))
    assert answer.status_code == 200
    assert "Microsoft sign-in was cancelled.</strong> Nothing changed." in answer.text
    assert "Microsoft account found" not in alice.get(PAGE, follow_redirects=True).text


def test_what_microsoft_says_is_text(alice: Browser, registered: Instance) -> None:
    state = parse_qs(urlsplit(start(alice)).query)["state"][0]
    told = {"state": state, "error": "server_error", "error_description": "<script>alert(1)</script>"}
    answer = alice.get(CALLBACK, query_string=told)
    assert "Microsoft said: &lt;script&gt;" in answer.text
    assert "<script>alert" not in answer.text


def test_a_technician_and_a_stranger_change_nothing(
    bob: Browser, alice: Browser, anonymous: Browser, registered: Instance,
    identity_provider: IdentityProvider,
) -> None:  # fmt: skip
    told = come_back(alice, identity_provider)
    assert bob.get(CALLBACK, query_string=told).status_code == 403
    answer = anonymous.get(CALLBACK, query_string=told)
    assert answer.location == f"/login?next={MAIL}"
    page = anonymous.get(answer.location)
    assert "Your session ended while you were at Microsoft. Nothing changed." in page.text
    assert told["code"] not in page.text
    assert alice.get(CALLBACK, query_string=told).location == PAGE  # it is still hers


def test_the_approval_of_an_administrator_elsewhere_is_acknowledged(anonymous: Browser) -> None:
    answer = anonymous.get(CALLBACK, query_string={"admin_consent": "True", "tenant": "x"})
    assert "press <strong>Connect</strong> again" in answer.text
    refused = anonymous.get(CALLBACK, query_string={"admin_consent": "False", "error": "access_denied"})
    assert "was not approved. Nothing changed." in refused.text


def test_the_yes_is_a_form_of_our_own(
    alice: Browser, registered: Instance, identity_provider: IdentityProvider
) -> None:
    alice.get(CALLBACK, query_string=come_back(alice, identity_provider))
    assert alice.post(f"{PAGE}/use").status_code == 400  # no CSRF token
    stale = alice.send(f"{PAGE}/use", page=PAGE, account="another")
    assert stale.status_code == 422
    assert "Another sign-in has taken the place of the one you saw." in stale.text
    mark = re.search(r'name="account" value="(\w+)"', alice.get(PAGE).text)
    assert mark
    answer = alice.send(f"{PAGE}/use", page=PAGE, account=mark[1])
    assert answer.location == f"{MAIL}#row-incoming"
    assert "helpdesk@contoso.example is connected." in alice.get(MAIL).text


def test_without_a_registration_there_is_no_button(alice: Browser, instance: Instance) -> None:
    register(instance)
    with instance.database.writing() as session:
        session.get_one(MailServer, "incoming").client_secret_sealed = ""
    page = alice.get(f"{MAIL}/incoming").text
    assert "Enter the application (client) ID and the client secret, and save." in page
    assert "/oauth/office365/start/incoming" not in page
    answer = alice.get("/oauth/office365/start/incoming")
    assert "Enter tenant ID, application (client) ID and client secret" in answer.text


def test_microsoft_takes_no_plain_http_address(
    tmp_path: Path, empty_database: Path, compiled_templates: FileSystemBytecodeCache
) -> None:
    from webapp.desk.microsoft_registration import can_come_back

    def of(**told: str) -> bool:
        return can_come_back(load_settings({}, instance=tmp_path, **told))

    assert of(public_url="https://desk.example.com")
    assert of(public_url="http://localhost:8080")
    assert of()  # the same machine's browser, at localhost
    assert not of(public_url="http://desk.example.com")


# How it stands.


def set_state(instance: Instance, state: ConnectionState, problem: str = "", minutes: int = 60) -> None:
    with instance.database.writing() as session:
        held = microsoft_connections.find(session, Row.INCOMING)
        assert held is not None
        held.state, held.problem, held.state_since = state, problem, now() - timedelta(minutes=minutes)


def turn_on(instance: Instance, **changes: str) -> None:
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, Row.INCOMING, {"active": "true"} | changes)
        mail_servers.save(session, instance.vault, wanted, now=now(), actor="test")


@pytest.mark.parametrize(
    ("state", "problem", "minutes", "row", "banner"),
    [
        (ConnectionState.CONNECTED, "", 60, "Connected</strong>: helpdesk@", ""),
        (
            ConnectionState.NEEDS_RECONNECT,
            "AADSTS50173: The provided grant has expired.",
            60,
            "Needs reconnect</strong>: helpdesk@",
            "Incoming email: The account&#39;s password was changed",
        ),
        (
            ConnectionState.NEEDS_RECONNECT,
            "The stored sign-in cannot be decrypted.",
            60,
            "The stored sign-in cannot be decrypted. What to do: Press Reconnect",
            "Incoming email: The stored sign-in cannot be decrypted.",
        ),
        (
            ConnectionState.MISCONFIGURED,
            "AADSTS7000222: The provided client secret keys are expired.",
            60,
            "App registration refused</strong>: helpdesk@",
            "Incoming email: The application&#39;s client secret has expired.",
        ),
        (ConnectionState.UNREACHABLE, "", 1, "Microsoft not reachable</strong>: helpdesk@", ""),
        (
            ConnectionState.UNREACHABLE,
            "",
            20,
            "Microsoft not reachable</strong>: helpdesk@",
            "Incoming email: Microsoft&#39;s sign-in service could not be reached.",
        ),
    ],
)  # fmt: skip
def test_each_state_has_its_words_on_the_row_and_above_every_page(
    alice: Browser, bob: Browser, registered: Instance, identity_provider: IdentityProvider,
    state: ConnectionState, problem: str, minutes: int, row: str, banner: str,
) -> None:  # fmt: skip
    connect(registered, identity_provider)
    turn_on(registered)
    set_state(registered, state, problem, minutes)
    page = alice.get(f"{MAIL}/incoming").text
    assert row in page
    waits = state in (ConnectionState.NEEDS_RECONNECT, ConnectionState.MISCONFIGURED)
    assert ("Active, cut off from Microsoft" in page) is waits
    above = banners(alice)
    assert banner in above
    if not banner:
        assert "Microsoft" not in above
        assert "Incoming email" not in above
    assert "Microsoft" not in banners(bob)  # who can do nothing about it


def banners(browser: Browser) -> str:
    page = browser.get("/people").text
    return page[page.index('id="banners"') : page.index("<main")]


def test_a_row_without_an_account_is_told(
    alice: Browser, registered: Instance, identity_provider: IdentityProvider
) -> None:
    connect(registered, identity_provider)
    turn_on(registered)
    with registered.database.writing() as session:
        session.query(MicrosoftConnection).delete()
    assert "Incoming email has no Microsoft account." in banners(alice)


@pytest.mark.parametrize(
    ("days", "tone", "words"),
    [
        (31, "", ""),
        (30, "doubt", "expires in 30 days, on 31 January 2027."),
        (8, "doubt", "expires in 8 days, on 9 January 2027."),
        (7, "bad", "expires in 7 days, on 8 January 2027."),
        (1, "bad", "expires tomorrow."),
        (0, "bad", "expires today."),
        (-1, "bad", "expired on 31 December 2026."),
    ],
)
def test_the_secrets_end_is_told_30_and_7_days_before(days: int, tone: str, words: str) -> None:
    today = date(2027, 1, 1)
    stored = MailServer(
        row="outgoing", protocol="office365", client_secret_expires_on=today + timedelta(days=days)
    )
    warning = microsoft_state.secret_warning(stored, today)
    assert (warning.tone if warning else "") == tone
    assert not words or (warning and warning.headline == f"The client secret of Outgoing email {words}")
    stored.protocol = "smtp"
    assert microsoft_state.secret_warning(stored, today) is None


def test_the_warning_stands_above_every_page(
    alice: Browser, registered: Instance, identity_provider: IdentityProvider
) -> None:
    connect(registered, identity_provider)
    soon = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    turn_on(registered, client_secret_expires_on=soon)
    assert "The client secret of Incoming email expires in 5 days" in banners(alice)
    assert "expires in 5 days" in alice.get(f"{MAIL}/incoming").text


# Secrets.


def test_no_secret_is_in_the_database_a_page_the_log_or_a_trace(
    alice: Browser, registered: Instance, identity_provider: IdentityProvider,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """All of the sign-in, a renewal, a refusal and a crash of our own, with everything logged."""
    caplog.set_level(logging.DEBUG)
    secrets = {"client secret": CLIENT_SECRET}
    pages = [alice.get(f"{MAIL}/incoming/edit").text]
    address = start(alice)
    flow = read_flow(registered)
    secrets |= {"state": flow["state"], "verifier": flow["code_verifier"], "nonce": flow["nonce"]}
    told = StandInBrowser(identity_provider).answer(address, HELP)
    secrets["code"] = told["code"]
    pages.append(alice.get(CALLBACK, query_string=told, follow_redirects=True).text)
    pages.append(alice.get(CALLBACK, query_string=told).text)  # once more
    secrets |= read_tokens(registered, confirmed=False)
    mark = re.search(r'name="account" value="(\w+)"', pages[1])
    assert mark
    pages.append(alice.send(f"{PAGE}/use", page=PAGE, account=mark[1]).text)
    turn_on(registered)
    token = tokens_of(registered).access_token()
    tokens_of(registered).access_token(refused=token)
    secrets |= {f"{name} after": text for name, text in read_tokens(registered, confirmed=True).items()}
    identity_provider.revoke(HELP)
    source = tokens_of(registered)
    with pytest.raises(Exception, match="invalid_grant"):
        source.access_token(refused=source.access_token())
    pages += [alice.get(path).text for path in (MAIL, f"{MAIL}/incoming/edit", PAGE, "/people")]
    pages.append(alice.get(f"{PAGE}/disconnect").text)

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(graph_account, "identity", crash)
    again = come_back(alice, identity_provider)
    secrets["code of the crash"] = again["code"]
    answer = alice.get(CALLBACK, query_string=again)
    assert answer.status_code == 500
    pages.append(answer.text)

    assert len(secrets) == 12
    with registered.database.reading() as session:
        rows = [repr(session.execute(sa.select(table)).all()) for table in Base.metadata.sorted_tables]
    assert any("helpdesk@contoso.example" in text for text in rows)
    registered.database.dispose()
    files = b"".join(path.read_bytes() for path in registered.settings.instance.glob("*.db*"))
    files += b"".join(path.read_bytes() for path in registered.settings.instance.glob("*.lock"))
    for name, secret in secrets.items():
        assert len(secret) > 10, name
        assert secret.encode() not in files, name
        assert not any(secret in text for text in rows), name
        assert secret not in caplog.text, name
        assert not any(secret in page for page in pages), name
    assert "a mistake of ours" in caplog.text
    assert re.search(r"the sign-in of incoming at Microsoft was renewed", caplog.text)


def read_flow(instance: Instance) -> dict[str, str]:
    with instance.database.reading() as session:
        sealed = session.query(MicrosoftSignIn).one().flow_sealed
    found: dict[str, str] = json.loads(instance.vault.unseal(sealed))["flow"]
    return found


def read_tokens(instance: Instance, *, confirmed: bool) -> dict[str, str]:
    with instance.database.reading() as session:
        sealed = session.query(MicrosoftConnection).filter_by(confirmed=confirmed).one().cache_sealed
    cache = json.loads(instance.vault.unseal(sealed))
    return {
        kind: next(iter(cache[kind].values()))["secret"]
        for kind in ("AccessToken", "RefreshToken", "IdToken")
    }
