"""The email log in a browser: its chart, what can be done about a message, and all of it without a script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import OpenTab, Tab, looking_around
from tests.browser.test_accessibility import look_closely
from tests.views import factories as make
from webapp.models import Disposition, Entry, MailboxIdentity, MissedMessage

pytestmark = pytest.mark.browser
IGNORED_MAIL = "/settings/service-desk/ignored-mail"
UNREAD = 5  # the message that could not be read
PAGES = [
    "/email-log",
    "/email-log?outcome=attention&period=all",
    "/email-log/3",
    "/email-log/4",
    f"/email-log/{UNREAD}",
    "/email-log/1/headers",
    "/email-log/1/headers?raw=1",
    "/email-log/2/replay",
    "/email-log/4/replay",
    IGNORED_MAIL,
]


def fill(desk: Desk) -> None:
    """Samples, a day of messages, runs of all kinds, missed mail, and one text read wrongly."""
    desk.add_accounts()
    desk.receive_samples()
    now = datetime.now(UTC)
    with desk.instance.database.writing() as session:
        mailbox = session.scalars(sa.select(MailboxIdentity)).one()
        make.make_inbound(
            session, mailbox, disposition=Disposition.QUARANTINED, rule="quarantine", ticket_id=1,
            subject="Odd one", recorded_at=now, defects=["message could not be read"],
        )  # fmt: skip
        for number in range(40):
            at = now - timedelta(minutes=35 * number)
            make.make_inbound(session, mailbox, recorded_at=at, received_at=at, ticket_id=1)
            took = timedelta(seconds=40 if number == 5 else 1)
            make.make_run(
                session, mailbox, started_at=at, finished_at=at + took,
                error="The server did not answer." if number == 7 else "",
            )  # fmt: skip
        session.add(
            MissedMessage(
                mailbox_id=mailbox.id, epoch="1", remote_key="9", size=9, received_at=now, found_at=now,
                subject="Opened on a phone", from_addr="ann@acme.test", from_name="Ann Lee",
            )
        )  # fmt: skip
        session.execute(sa.update(Entry).where(Entry.inbound_id == 2).values(body_text="Wr?ng"))


@pytest.fixture(scope="module")
def log_desk(
    tmp_path_factory: pytest.TempPathFactory,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
) -> Iterator[Desk]:
    with running_desk(tmp_path_factory.mktemp("log-desk"), empty_desk_database, desk_templates) as desk:
        fill(desk)
        yield desk


@pytest.fixture(scope="module")
def looking(log_desk: Desk, chromium: Browser) -> Iterator[Tab]:
    with looking_around(chromium, log_desk) as tab:
        yield tab


@pytest.mark.parametrize("path", PAGES)
def test_axe(looking: Tab, path: str) -> None:
    looking.open(path)
    looking.page.locator("main details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    expect(looking.page.get_by_role("heading", level=1)).to_have_count(1)
    look_closely(looking)


# Colours of bars against what they stand on: WCAG 1.4.11 asks for 3:1.
CONTRAST = """() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const back = luminance(getComputedStyle(document.documentElement).backgroundColor);
  const bars = ":is(.activity, .run-strip) rect:not(.slot, .ground)";
  return [...document.querySelectorAll(bars)].map((bar) => {
    const bright = luminance(getComputedStyle(bar).fill);
    return (Math.max(bright, back) + 0.05) / (Math.min(bright, back) + 0.05);
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_are_seen(looking: Tab, scheme: str) -> None:
    looking.open("/email-log")
    looking.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = looking.page.evaluate(CONTRAST)
    assert len(found) > 60
    assert min(found) >= 3


@pytest.fixture
def own(desk: Desk, open_tab: OpenTab) -> Tab:
    """Alice on a desk of this test's own, on which things may be done."""
    desk.receive_samples()
    tab = open_tab(desk)
    tab.sign_in("alice", "/email-log")
    return tab


@pytest.mark.parametrize("script", [True, False])
def test_a_ticket_is_made_anyway(desk: Desk, open_tab: OpenTab, script: bool) -> None:
    desk.receive_samples()
    tab = open_tab(desk, java_script_enabled=script)
    tab.sign_in("bob", "/email-log/4")
    tab.page.get_by_role("button", name="Create ticket anyway").click()
    tab.says("T-3 was made from this message.")
    tab.page.locator("#flashes").get_by_role("link", name="T-3").click()
    expect(tab.page.get_by_role("heading", level=1)).to_contain_text("Out of office")


@pytest.mark.parametrize("script", [True, False])
def test_a_verdict_with_one_click_in_the_list(desk: Desk, open_tab: OpenTab, script: bool) -> None:
    """Also after the list refreshed itself."""
    desk.receive_samples()
    with desk.instance.database.writing() as session:
        mailbox = session.scalars(sa.select(MailboxIdentity)).one()
        make.make_inbound(
            session, mailbox, disposition=Disposition.QUARANTINED, rule="quarantine", subject="Odd one"
        )
    tab = open_tab(desk, java_script_enabled=script)
    tab.sign_in("bob", "/email-log?outcome=attention&period=all")
    if script:
        with desk.instance.database.writing() as session:
            make.make_inbound(
                session, mailbox, disposition=Disposition.QUARANTINED, rule="quarantine", subject="Another"
            )
        tab.page.evaluate("document.body.dispatchEvent(new CustomEvent('app:tick'))")
        expect(tab.page.locator("#log-list")).to_contain_text("Another")
    tab.page.get_by_role("button", name="Done, I read it: Odd one").click()
    tab.says("This message needs no attention any more.")
    expect(tab.page.locator("#log-list")).not_to_contain_text("Odd one")
    assert "outcome=attention" in tab.page.url


@pytest.mark.parametrize("script", [True, False])
def test_all_missed_mail_is_decided_after_a_question(desk: Desk, open_tab: OpenTab, script: bool) -> None:
    desk.receive_samples()
    with desk.instance.database.writing() as session:
        mailbox = session.scalars(sa.select(MailboxIdentity)).one()
        session.add_all(
            MissedMessage(
                mailbox_id=mailbox.id, epoch="1", remote_key=str(key), size=9, received_at=_now(),
                found_at=_now(), subject=f"Opened {key}", from_name="Ann Lee",
            )
            for key in range(12)
        )  # fmt: skip
    tab = open_tab(desk, java_script_enabled=script, reduced_motion="reduce")
    tab.sign_in("bob", "/email-log")
    tab.page.get_by_role("button", name="Leave what is ticked alone").click()
    tab.says("Choose at least one message.")
    tab.page.get_by_role("button", name="Leave all 12 alone").click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Leave all 12 alone?")
    if script:
        look_closely(tab)
    tab.page.get_by_role("button", name="Leave all 12 alone").click()
    tab.says("Left alone. They stay in the inbox as before.")
    expect(tab.page.locator("#missed")).to_have_count(0)


def test_by_keyboard_alone(own: Tab) -> None:
    own.open("/email-log/4")
    button = own.page.get_by_role("button", name="Create ticket anyway")
    for _ in range(30):
        own.page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    own.page.keyboard.press("Enter")
    own.says("T-3 was made from this message.")


def test_a_table_stays_unfolded_when_the_chart_refreshes_itself(own: Tab) -> None:
    page = own.page
    page.locator("#activity-table > summary").click()
    expect(page.locator("#activity-table table")).to_be_visible()
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur()")
    with own.desk.instance.database.writing() as session:
        make.make_inbound(session, session.scalars(sa.select(MailboxIdentity)).one(), recorded_at=_now())
    page.evaluate("document.body.dispatchEvent(new CustomEvent('app:tick'))")
    expect(page.locator("#totals")).to_contain_text("3 new tickets")
    expect(page.locator("#activity-table table")).to_be_visible()
    expect(page.locator("#runs-table table")).not_to_be_visible()


def test_headers_in_place(own: Tab) -> None:
    own.open("/email-log/1")
    own.page.get_by_role("link", name="Show headers").click()
    expect(own.page.locator("#message-headers")).to_contain_text("Printer offline")
    own.page.get_by_role("link", name="Show as sent").click()
    expect(own.page.locator("#message-headers pre")).to_contain_text("Subject: Printer offline")
    assert own.page.url.endswith("/email-log/1")


def test_the_log_is_downloaded_as_it_is_filtered(own: Tab) -> None:
    own.page.get_by_label("Outcome").select_option(label="Ignored")
    own.page.get_by_role("button", name="Search").click()
    own.page.wait_for_url("**outcome=ignored**")
    with own.page.expect_download() as waiting:
        own.page.get_by_role("link", name="CSV").click()
    lines = waiting.value.path().read_text("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert "Out of office" in lines[1]


@pytest.mark.parametrize("script", [True, False])
def test_where_ignored_mail_goes(desk: Desk, open_tab: OpenTab, script: bool) -> None:
    tab = open_tab(desk, java_script_enabled=script)
    tab.sign_in("alice", IGNORED_MAIL)
    tab.page.get_by_label("Leave it in the inbox").check()
    tab.page.get_by_role("button", name="Save").click()
    if script:
        tab.toasts("Saved. Ignored mail stays in the inbox from the next run on.")
    else:
        tab.says("Saved. Ignored mail stays in the inbox from the next run on.")
    tab.open(IGNORED_MAIL)
    expect(tab.page.get_by_label("Leave it in the inbox")).to_be_checked()


def _now() -> datetime:
    return datetime.now(UTC)
