"""Connecting a Microsoft account, driven in Chromium: a real OpenID provider plays Microsoft's part.

Desk and provider are different sites (127.0.0.1 and localhost), so cookies and our policy count as they do
with Microsoft.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin

import pytest
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import MAIL, OpenTab, Tab
from tests.browser.test_accessibility import violations
from tests.rig.microsoft_sign_in import (
    ALICE,
    ANNA,
    CLIENT_ID,
    CLIENT_SECRET,
    HELP,
    STRANGER,
    TENANT,
    IdentityProvider,
    StandInAccount,
)
from webapp.desk import mail_servers, microsoft_connections
from webapp.mailserver.errors import MailServerError
from webapp.models import MailServer, MicrosoftConnection, MicrosoftSignIn, Row

pytestmark = [pytest.mark.browser, pytest.mark.identity_provider]
CALLBACK = "/oauth/office365/callback"


@pytest.fixture
def office(
    tmp_path: Path,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
    identity_provider: IdentityProvider,
) -> Iterator[Desk]:
    """A desk whose incoming and outgoing rows are Office365 with an app registration, and not connected."""
    with running_desk(
        tmp_path,
        empty_desk_database,
        desk_templates,
        None,
        public_url="{address}",
        **identity_provider.settings,
    ) as desk:
        identity_provider.allow(desk.address + CALLBACK)
        desk.add_accounts()
        for row in (Row.INCOMING, Row.OUTGOING):
            register(desk, row)
        yield desk


@pytest.fixture
def tab(office: Desk, open_tab: OpenTab) -> Tab:
    tab = open_tab(office, ignore_https_errors=True)
    tab.sign_in("alice", MAIL)
    return tab


def register(desk: Desk, row: Row = Row.INCOMING, **changes: str) -> None:
    told = {"protocol": "office365", "tenant_id": TENANT, "client_id": CLIENT_ID}
    with desk.instance.database.writing() as session:
        wanted = mail_servers.draft(session, desk.instance, row, told | changes, client_secret=CLIENT_SECRET)
        mail_servers.save(session, desk.instance.vault, wanted, now=datetime.now(UTC), actor="test")


def connect(tab: Tab, row: str = "incoming") -> None:
    """Press the row's link to Microsoft."""
    tab.open(MAIL)
    tab.page.locator(f"#connect-{row}").click()


def pick(tab: Tab, account: StandInAccount) -> None:
    """On Microsoft's page: this account, and yes to the permissions where they are asked for."""
    tab.page.get_by_role("button", name=re.compile(re.escape(account.address))).click()
    accept(tab)


def accept(tab: Tab) -> None:
    heading = tab.page.get_by_role("heading", level=1)
    expect(heading).to_have_text(re.compile("Permissions requested|Microsoft account found|Not connected"))
    if heading.inner_text() == "Permissions requested":
        tab.page.get_by_role("button", name="Accept").click()


def stored(desk: Desk, row: Row = Row.INCOMING) -> MailServer:
    with desk.instance.database.reading() as session:
        return session.get_one(MailServer, row.value)


def accounts(desk: Desk) -> list[tuple[str, str, bool]]:
    """Row, address, confirmed."""
    with desk.instance.database.reading() as session:
        found = session.scalars(sa.select(MicrosoftConnection).order_by(MicrosoftConnection.id))
        return [(one.row, one.address, one.confirmed) for one in found]


def test_an_account_is_found_and_used_only_after_the_yes(tab: Tab, office: Desk) -> None:
    connect(tab)
    tab.page.wait_for_url("https://localhost:*/**")
    pick(tab, HELP)
    tab.page.wait_for_url("**/oauth/office365/incoming")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Microsoft account found")
    tab.says("Help Desk <helpdesk@contoso.example>")
    tab.says("Tenant Contoso")
    assert accounts(office) == [("incoming", "helpdesk@contoso.example", False)]
    assert stored(office).mailbox == ""
    tab.page.get_by_role("button", name="Use this account").click()
    tab.says("helpdesk@contoso.example is connected.")
    assert accounts(office) == [("incoming", "helpdesk@contoso.example", True)]
    assert stored(office).mailbox == "helpdesk@contoso.example"
    expect(tab.row()).to_contain_text("Connected: helpdesk@contoso.example")


def test_the_browsers_own_microsoft_session_is_used_without_a_question_and_activates_nothing(
    tab: Tab, office: Desk
) -> None:
    """Already signed in as somebody else: one press is enough to come back as the wrong person."""
    connect(tab)
    pick(tab, ANNA)
    tab.page.get_by_role("button", name="Cancel").click()
    tab.says("Microsoft sign-in was cancelled. Nothing changed.")
    assert accounts(office) == []
    connect(tab)  # no page of Microsoft's comes up
    tab.page.wait_for_url("**/oauth/office365/incoming")
    tab.says("Anna Petrova <anna@contoso.example>")
    before = stored(office)
    assert (before.active, before.mailbox, before.version) == (False, "", 1)
    assert accounts(office) == [("incoming", "anna@contoso.example", False)]
    tab.page.get_by_role("button", name="Use a different account").click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Pick an account")
    pick(tab, HELP)
    tab.says("Help Desk <helpdesk@contoso.example>")
    tab.page.get_by_role("button", name="Use this account").click()
    assert accounts(office) == [("incoming", "helpdesk@contoso.example", True)]


def test_another_account_than_before_is_asked_about_once_more_and_both_are_named(
    tab: Tab, office: Desk
) -> None:
    sign_in_as(tab, HELP)
    turn_on(office)
    tab.open(MAIL)
    tab.row().get_by_role("link", name="Connect another account").click()
    pick(tab, ANNA)
    tab.says("Incoming email settings are connected to helpdesk@contoso.example, and stay so")
    assert stored(office).active
    tab.page.get_by_role("button", name="Use a different account").wait_for()
    tab.page.get_by_role("link", name="Mail server configuration").click()  # left without an answer
    tab.says("anna@contoso.example signed in and waits for your answer")
    tab.says("Until then helpdesk@contoso.example is used.")
    tab.page.get_by_role("button", name="Answer for anna@contoso.example").click()
    tab.says("This row is for the mailbox helpdesk@contoso.example: anna@contoso.example can open it")
    tab.page.get_by_role("button", name="Use this account").click()
    tab.page.get_by_role(
        "button", name="Replace helpdesk@contoso.example with anna@contoso.example"
    ).wait_for()
    assert ("incoming", "helpdesk@contoso.example", True) in accounts(office)
    tab.page.get_by_role("button", name="Cancel").click()
    assert accounts(office) == [("incoming", "helpdesk@contoso.example", True)]
    assert stored(office).active


def test_replacing_an_account_turns_the_row_off(tab: Tab, office: Desk) -> None:
    sign_in_as(tab, HELP, row="outgoing")
    turn_on(office, Row.OUTGOING)
    tab.open(MAIL)
    tab.row("outgoing").get_by_role("link", name="Connect another account").click()
    pick(tab, ANNA)
    tab.page.get_by_role("button", name="Use this account").click()
    tab.says("Replace it with anna@contoso.example?")
    row = stored(office, Row.OUTGOING)
    assert (row.active, row.from_address) == (True, "helpdesk@contoso.example")
    tab.page.get_by_role("button", name="Replace helpdesk@contoso.example with anna@contoso.example").click()
    tab.says("anna@contoso.example is connected. Outgoing email settings are off")
    row = stored(office, Row.OUTGOING)
    assert (row.active, row.from_address) == (False, "anna@contoso.example")
    assert accounts(office) == [("outgoing", "anna@contoso.example", True)]


def test_a_shared_mailbox(tab: Tab, office: Desk) -> None:
    register(office, mailbox="helpdesk@contoso.example")
    connect(tab)
    pick(tab, ANNA)
    tab.says("This row is for the mailbox helpdesk@contoso.example: anna@contoso.example can open it")
    tab.page.get_by_role("button", name="Use this account").click()
    tab.says("anna@contoso.example is connected.")
    assert stored(office).mailbox == "helpdesk@contoso.example"
    with office.instance.database.reading() as session:
        held = microsoft_connections.find(session, Row.INCOMING)
    assert held is not None
    assert "Mail.ReadWrite.Shared" in held.scopes


def test_an_account_that_cannot_open_the_rows_mailbox_is_not_offered(tab: Tab, office: Desk) -> None:
    register(office, mailbox="info@contoso.example")
    connect(tab)
    pick(tab, ANNA)
    tab.says("This row is for the mailbox info@contoso.example: anna@contoso.example cannot open it.")
    expect(tab.page.get_by_role("button", name="Use this account")).to_have_count(0)
    tab.page.get_by_role("button", name="Use anna@contoso.example instead").click()
    tab.says("anna@contoso.example is connected.")
    assert stored(office).mailbox == "anna@contoso.example"


def test_a_portal_users_mailbox_is_refused_for_incoming_mail(tab: Tab, office: Desk) -> None:
    connect(tab)
    pick(tab, ALICE)
    tab.says("alice@desk.example is also a portal user's address. Use a dedicated mailbox.")
    expect(tab.page.get_by_role("button", name="Use this account")).to_have_count(0)
    tab.page.get_by_role("button", name="Use a different account").wait_for()
    assert accounts(office) == [("incoming", "alice@desk.example", False)]


@pytest.mark.parametrize(
    ("press", "said"),
    [
        ("Cancel", "The permissions this application needs were declined."),
        ("Need admin approval", "An administrator of your Microsoft organisation must approve"),
    ],
)
def test_permissions_refused(tab: Tab, office: Desk, press: str, said: str) -> None:
    register(office, Row.INVOICE)
    connect(tab, "invoice")
    tab.page.get_by_role("button", name=re.compile(re.escape(STRANGER.address))).click()
    tab.page.get_by_role("button", name=press).click()
    tab.says(said)
    tab.says("Nothing changed.")
    link = tab.page.locator("#approval-link").inner_text()
    assert link.startswith(office.instance.settings.ms_authority + "/v2.0/adminconsent?")
    assert "Mail.Send" in link
    assert ".Shared" not in link
    assert accounts(office) == []


def test_a_permission_that_is_left_out_is_named(
    tab: Tab, office: Desk, identity_provider: IdentityProvider
) -> None:
    identity_provider.revoke(HELP)
    connect(tab)
    tab.page.get_by_role("button", name=re.compile(re.escape(HELP.address))).click()
    tab.page.get_by_label("Mail.ReadWrite").uncheck()
    tab.page.get_by_role("button", name="Accept").click()
    tab.says("These permissions were not given: Mail.ReadWrite. Nothing changed.")
    assert accounts(office) == []
    identity_provider.revoke(HELP)


def test_an_account_of_another_organisation(tab: Tab, office: Desk) -> None:
    connect(tab)
    pick(tab, STRANGER)
    tab.says("This account belongs to another organisation than the one whose tenant ID is entered.")
    assert accounts(office) == []
    tab.page.get_by_role("button", name="Connect again").click()
    pick(tab, HELP)  # the same one again would be of no use: Microsoft asks which
    tab.says("Help Desk <helpdesk@contoso.example>")


def test_an_answer_used_twice_in_another_browser_or_too_late(
    tab: Tab, office: Desk, open_tab: OpenTab
) -> None:
    answers: list[str] = []
    tab.page.on("request", lambda request: answers.append(request.url) if CALLBACK in request.url else None)
    connect(tab)
    pick(tab, HELP)
    tab.says("Microsoft account found")
    (answer,) = answers
    tab.expect_refusal(400)
    tab.page.goto(answer)
    tab.says("it was used before, or is too old. Nothing changed.")

    sign_in_elsewhere = open_tab(office, ignore_https_errors=True)
    sign_in_elsewhere.sign_in("alice", MAIL)
    sign_in_elsewhere.expect_refusal(400)
    held_back = hold_answer(tab)
    sign_in_elsewhere.page.goto(held_back)
    sign_in_elsewhere.says("This sign-in was begun in another browser, or by somebody else. Nothing changed.")

    with office.instance.database.writing() as session:
        session.execute(
            sa.update(MicrosoftSignIn).values(created_at=datetime.now(UTC) - timedelta(minutes=11))
        )
    tab.page.goto(held_back)
    tab.says("The sign-in at Microsoft took longer than 10 minutes. Nothing changed.")
    assert accounts(office) == [("incoming", "helpdesk@contoso.example", False)]


def test_who_was_signed_out_meanwhile_signs_in_first_and_no_page_shows_the_code(
    tab: Tab, office: Desk
) -> None:
    connect(tab)
    pick(tab, HELP)
    tab.page.get_by_role("button", name="Cancel").click()
    answer = hold_answer(tab)
    office.end_sessions()
    tab.page.goto(answer)
    tab.says("Your session ended while you were at Microsoft. Nothing changed.")
    code = re.search(r"code=([^&]+)", answer)
    assert code
    assert code[1] not in tab.page.content()
    assert code[1] not in tab.page.url
    assert accounts(office) == []


def test_revoked_consent_is_told_above_every_page_until_somebody_reconnects(
    tab: Tab, office: Desk, identity_provider: IdentityProvider
) -> None:
    sign_in_as(tab, HELP)
    turn_on(office)
    identity_provider.revoke(HELP)
    renew(office)
    tab.open("/tickets")
    banner = tab.page.get_by_role("region", name="Incoming email: The connection to the Microsoft account")
    expect(banner).to_contain_text("Press Reconnect and sign in again. Mail waits unread in the mailbox.")
    banner.get_by_role("link", name="See").click()
    expect(tab.row()).to_contain_text("Needs reconnect: helpdesk@contoso.example")
    expect(tab.row()).to_contain_text("Microsoft said: AADSTS70000")
    tab.page.locator("#connect-incoming").click()
    accept(tab)
    tab.page.get_by_role("button", name="Use this account").click()
    expect(tab.row()).to_contain_text("Connected: helpdesk@contoso.example")
    expect(tab.page.locator("#banners")).not_to_contain_text("Microsoft")
    assert stored(office).active  # the same account: nothing else has changed


def test_an_expired_client_secret_is_a_matter_of_the_app_registration(
    tab: Tab, office: Desk, identity_provider: IdentityProvider
) -> None:
    sign_in_as(tab, HELP)
    turn_on(office)
    identity_provider.set_secret("another")
    renew(office)
    tab.open(MAIL)
    tab.says("App registration refused: helpdesk@contoso.example")
    tab.says("Paste the Value of the client secret, not its Secret ID.")
    tab.page.locator("#connect-incoming").click()
    tab.says("The client secret is not the right one. Nothing changed.")


def test_disconnecting_asks_forgets_and_says_where_the_permission_is_withdrawn(
    tab: Tab, office: Desk
) -> None:
    sign_in_as(tab, HELP)
    turn_on(office)
    tab.open(MAIL)
    tab.row().get_by_role("link", name="Disconnect").click()
    tab.says("Incoming email settings are switched off: mail stays unread in the mailbox.")
    assert accounts(office) != []
    tab.page.get_by_role("button", name="Disconnect helpdesk@contoso.example").click()
    tab.says("Microsoft gives an application no way to hand back its own permission.")
    assert accounts(office) == []
    assert not stored(office).active


def test_the_whole_sign_in_without_a_script(office: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(office, ignore_https_errors=True, java_script_enabled=False)
    tab.sign_in("alice", MAIL)
    sign_in_as(tab, HELP)
    assert accounts(office) == [("incoming", "helpdesk@contoso.example", True)]


def sign_in_as(tab: Tab, account: StandInAccount, row: str = "incoming") -> None:
    connect(tab, row)
    pick(tab, account)
    tab.page.get_by_role("button", name="Use this account").click()
    tab.says(f"{account.address} is connected.")


def hold_answer(tab: Tab) -> str:
    """Microsoft's answer to one more sign-in with the browser's cookies, which is not delivered."""
    client, address = tab.page.context.request, f"{tab.desk.address}/oauth/office365/start/incoming"
    while CALLBACK + "?" not in address:
        answer = client.get(address, max_redirects=0)
        address = urljoin(address, answer.headers["location"])
    return address


def turn_on(desk: Desk, row: Row = Row.INCOMING) -> None:
    with desk.instance.database.writing() as session:
        wanted = mail_servers.draft(session, desk.instance, row, {"active": "true"})
        mail_servers.save(session, desk.instance.vault, wanted, now=datetime.now(UTC), actor="test")


def renew(desk: Desk, row: Row = Row.INCOMING) -> None:
    """What the next poll does when its token has ended: ask for another one, and fail."""
    with desk.instance.database.reading() as session:
        wanted = mail_servers.stored_draft(desk.instance.vault, session.get_one(MailServer, row.value))
    tokens = mail_servers.server_settings(wanted, desk.instance).tokens
    assert tokens is not None
    with pytest.raises(MailServerError):
        tokens.access_token(refused=tokens.access_token())


def test_the_pages_are_accessible_and_fit(tab: Tab, office: Desk) -> None:
    connect(tab)
    pick(tab, ANNA)
    check_page(tab)
    tab.page.get_by_role("button", name="Use this account").click()
    tab.says("is connected")
    check_page(tab)
    tab.open("/oauth/office365/start/incoming?choose=1")
    pick(tab, HELP)
    tab.page.get_by_role("button", name="Use helpdesk@contoso.example instead").click()
    tab.page.get_by_role("button", name="Replace anna").wait_for()
    check_page(tab)
    tab.open("/oauth/office365/start/incoming?choose=1")
    tab.page.get_by_role("button", name="Cancel").click()
    tab.says("Microsoft sign-in was cancelled.")
    check_page(tab)
    tab.open(f"{MAIL}/incoming/edit")
    check_page(tab)
    tab.open("/oauth/office365/incoming/disconnect")
    check_page(tab)
    tab.page.get_by_role("button", name="Disconnect").click()
    tab.says("Withdraw the permission at Microsoft")
    check_page(tab)


def check_page(tab: Tab) -> None:
    for width in (1100, 320):
        for scheme in ("light", "dark"):
            tab.page.set_viewport_size({"width": width, "height": 800})
            tab.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            tab.page.wait_for_timeout(250)  # Pico fades colours
            assert violations(tab) == []
            assert not tab.scrolls_sideways()
