"""A received mail on its ticket: text and formatted, pictures, attached mail; looked at, clicked, typed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from jinja2 import FileSystemBytecodeCache
from PIL import Image
from playwright.sync_api import Browser, FrameLocator, Locator, Request, Route, expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import OpenTab, Tab
from tests.browser.test_accessibility import look_closely
from webapp.models import Entry

pytestmark = pytest.mark.browser
TEXT = "The printer shows E-14.\n\nAnn\n\nOn Mon, 23 Nov 2026, Help Desk wrote:\n> What does it show?\n"
HTML = """<html><body><p>The printer shows <b>E-14</b>.</p>
<table border="1"><tr><th>Printer</th><th>State</th></tr><tr><td>Reception</td><td>E-14</td></tr></table>
<p><img src="cid:shot@acme" width="320" height="200" alt="Screenshot"></p>
<p><a href="https://manual.test/e-14">The manual</a></p>
<p><img src="https://pictures.test/logo.png" width="40" height="40" alt="Logo"></p></body></html>"""
INVITATION = {
    "method": "REQUEST", "summary": "Printer visit", "start": "2026-11-25T09:30:00+00:00",
    "end": "2026-11-25T10:30:00+00:00", "time_zone": "Etc/UTC", "location": "2nd floor",
    "organizer": "Ann Lee <ann@acme.test>", "attendees": [f"Person {n} <p{n}@acme.test>" for n in range(6)],
    "attendee_count": 6, "repeats": "every week", "description": "Bring a drum.", "status": "CONFIRMED",
}  # fmt: skip


def png(width: int = 640, height: int = 400) -> bytes:
    written = io.BytesIO()
    Image.effect_noise((width, height), 90).save(written, "PNG")
    return written.getvalue()


def mail(subject: str, html: str = HTML) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Ann Lee <ann@acme.test>"
    message["To"] = "Help <help@desk.test>, Amy Poe <amy@acme.test>"
    message["Reply-To"] = "office@acme.test"
    message["Subject"] = subject
    message["Message-ID"] = f"<{subject.replace(' ', '-')}@acme.test>"
    message.set_content(TEXT)
    message.add_alternative(html, subtype="html")
    part = message.get_payload()[1]  # type: ignore[index]
    part.add_related(png(), "image", "png", cid="<shot@acme>", filename="shot.png")  # type: ignore[union-attr]
    return message


def full_mail() -> bytes:
    message = mail("Printer offline")
    message.add_attachment(png(1600, 1200), maintype="image", subtype="png", filename="photo.png")
    message.add_attachment(b"broken", maintype="image", subtype="png", filename="broken.png")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="invoice.pdf")
    message.add_attachment(mail("The order"))
    return message.as_bytes().replace(b"Reply-To:", b"a line without a colon\r\nReply-To:", 1)


@pytest.fixture(scope="module")
def mail_desk(
    tmp_path_factory: pytest.TempPathFactory,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
) -> Iterator[Desk]:
    """T-1 with one mail that has everything."""
    with running_desk(tmp_path_factory.mktemp("mail-desk"), empty_desk_database, desk_templates) as desk:
        desk.add_accounts()
        desk.receive(full_mail())
        with desk.instance.database.writing() as session:
            entry = session.get_one(Entry, 1)
            entry.invitation, entry.protection = INVITATION, "smime-signed"
        yield desk


@pytest.fixture
def ticket(mail_desk: Desk, open_tab: OpenTab) -> Tab:
    tab = open_tab(mail_desk, height=2500)
    tab.sign_in("alice", "/tickets/1")
    return tab


def framed(tab: Tab) -> FrameLocator:
    return tab.page.frame_locator("iframe")


def is_loaded(picture: Locator) -> None:
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("picture => picture.naturalWidth") > 0


def test_formatted_is_one_click_away_with_its_table_and_picture(ticket: Tab) -> None:
    page = ticket.page
    expect(page.locator(".mail-body > .text")).to_contain_text("The printer shows E-14.")
    page.get_by_role("link", name="Formatted").click()
    expect(page.get_by_title("Message from Ann Lee")).to_be_visible()
    expect(framed(ticket).get_by_role("cell", name="Reception")).to_be_visible()
    is_loaded(framed(ticket).get_by_alt_text("Screenshot"))
    ticket.open("/tickets/1")
    expect(framed(ticket).get_by_role("cell", name="Reception")).to_be_visible()  # chosen once
    page.get_by_role("link", name="Text", exact=True).click()
    expect(page.locator(".mail-body > .text")).to_be_visible()
    expect(page.locator("iframe")).to_have_count(0)


def test_the_frame_is_white_in_the_dark_too(ticket: Tab) -> None:
    ticket.page.emulate_media(color_scheme="dark")
    ticket.page.get_by_role("link", name="Formatted").click()
    body = framed(ticket).locator("html")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(body).to_have_css("color", "rgb(26, 29, 33)")


def test_with_the_keyboard(ticket: Tab) -> None:
    page = ticket.page
    ticket.walk_to(page.get_by_role("link", name="Formatted"))
    page.keyboard.press("Enter")
    expect(page.locator("iframe")).to_be_visible()
    expect(page.get_by_role("link", name="Formatted")).to_be_focused()
    expect(framed(ticket).get_by_role("link", name="The manual")).to_be_visible()
    ticket.walk_to(page.locator("iframe"))  # where the focus is inside
    ticket.walk_to(page.get_by_role("link", name="invoice.pdf"))


def test_without_a_script_each_view_is_a_page(mail_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(mail_desk, java_script_enabled=False, height=2500)
    tab.sign_in("vera", "/tickets/1")
    tab.page.get_by_role("link", name="Formatted").click()
    expect(tab.page.get_by_role("heading", level=1)).to_contain_text("Printer offline")
    expect(framed(tab).get_by_role("cell", name="Reception")).to_be_visible()
    is_loaded(framed(tab).get_by_alt_text("Screenshot"))
    tab.page.get_by_role("link", name="Text", exact=True).click()
    expect(tab.page.locator(".mail-body > .text")).to_contain_text("The printer shows E-14.")
    tab.page.get_by_role("link", name="Back to the conversation").click()
    expect(tab.page.locator("#conversation")).to_be_visible()


def test_a_link_opens_a_tab_that_knows_nothing_of_us(ticket: Tab) -> None:
    asked: list[Request] = []

    def manual(route: Route, request: Request) -> None:
        asked.append(request)
        route.fulfill(body="<script>document.title = String(opener)</script>", content_type="text/html")

    ticket.page.context.route("https://manual.test/**", manual)
    ticket.page.get_by_role("link", name="Formatted").click()
    with ticket.page.context.expect_page() as opened:
        framed(ticket).get_by_role("link", name="The manual").click()
    expect(opened.value).to_have_title("null")  # its scripts run, and it has no opener
    assert opened.value.url == "https://manual.test/e-14"
    assert "referer" not in asked[0].headers
    assert ticket.page.url.endswith("/tickets/1")


def test_remote_pictures_are_loaded_when_somebody_asks(ticket: Tab) -> None:
    asked: list[Request] = []

    def logo(route: Route, request: Request) -> None:
        asked.append(request)
        route.fulfill(body=png(40, 40), content_type="image/png")

    ticket.page.context.route("https://pictures.test/**", logo)
    ticket.page.get_by_role("link", name="Formatted").click()
    is_loaded(framed(ticket).get_by_alt_text("Screenshot"))
    expect(ticket.page.get_by_text("This message has remote pictures.")).to_be_visible()
    assert asked == []
    ticket.page.get_by_role("link", name="Show remote pictures").click()
    is_loaded(framed(ticket).get_by_alt_text("Logo"))
    assert "referer" not in asked[0].headers
    assert "cookie" not in asked[0].headers
    ticket.keeps_focus(".mail-body")
    ticket.open("/tickets/1")
    is_loaded(framed(ticket).get_by_alt_text("Screenshot"))
    assert len(asked) == 1


def test_small_pictures_and_the_whole_one(ticket: Tab) -> None:
    page = ticket.page
    for name in ("shot.png", "photo.png", "broken.png"):
        is_loaded(page.get_by_alt_text(name))
    assert page.get_by_alt_text("photo.png").evaluate("picture => picture.naturalWidth") == 320
    with page.context.expect_page() as opened:
        page.get_by_alt_text("photo.png").click()
    assert opened.value.locator("img").evaluate("picture => picture.naturalWidth") == 1600


def test_an_attached_mail_is_read_and_downloaded(ticket: Tab, tmp_path: Path) -> None:
    page = ticket.page
    page.get_by_role("link", name="The order.eml", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The order")
    expect(page.locator(".mail-body > .text")).to_contain_text("The printer shows E-14.")
    page.get_by_role("link", name="Formatted").click()
    is_loaded(framed(ticket).get_by_alt_text("Screenshot"))
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download .eml").click()
    waiting.value.save_as(tmp_path / "order.eml")
    assert b"Subject: The order" in (tmp_path / "order.eml").read_bytes()


def test_what_is_folded_opens(ticket: Tab) -> None:
    page = ticket.page
    for summary, told in (
        ("to Help", "Amy Poe <amy@acme.test>"),
        ("Show earlier messages", "> What does it show?"),
        ("6 people", "Person 5"),
        ("Description", "Bring a drum."),
        ("This message has", "A line among the header fields is none"),
    ):
        expect(page.get_by_text(told)).not_to_be_visible()
        page.locator("summary", has_text=summary).click()
        expect(page.get_by_text(told)).to_be_visible()
    expect(page.get_by_text("Wants answers at another address")).to_contain_text("office@acme.test")


@pytest.fixture(scope="module")
def looking(mail_desk: Desk, chromium: Browser) -> Iterator[Tab]:
    context = chromium.new_context(reduced_motion="reduce", viewport={"width": 1100, "height": 900})
    tab = Tab(context.new_page(), mail_desk)
    tab.sign_in("alice", "/tickets/1")
    yield tab
    context.close()
    assert tab.complaints == []


def unfold_everything(tab: Tab) -> None:
    for fold in tab.page.locator("main summary").all():
        fold.click()


def test_axe_on_the_ticket(looking: Tab) -> None:
    looking.open("/tickets/1")
    unfold_everything(looking)
    look_closely(looking)
    looking.page.get_by_role("link", name="Formatted").click()
    expect(looking.page.locator("iframe")).to_be_visible()
    look_closely(looking)


@pytest.mark.parametrize(
    "path",
    [
        "/tickets/1/entries/1?view=formatted&pictures=remote",
        "/tickets/1/entries/1?view=text",
        "/tickets/1/attachments/5/mail?view=text",
        "/tickets/1/attachments/5/mail?view=formatted",
        "/tickets/1/entries/1/original",
    ],
)
def test_axe_on_the_other_pages(looking: Tab, path: str) -> None:
    looking.page.context.route("https://pictures.test/**", lambda route: route.fulfill(body=png(40, 40)))
    looking.open(path)
    unfold_everything(looking)
    look_closely(looking)


def test_axe_in_the_frame_itself(looking: Tab) -> None:
    looking.open("/tickets/1/entries/1/formatted")
    expect(looking.page.get_by_role("cell", name="Reception")).to_be_visible()
    assert looking.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
