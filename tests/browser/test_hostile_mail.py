"""242 ways to run a script, in every place of a mail, on every page that shows one, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, Dialog, Error, Frame, Page, Request, Route, expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import Tab
from tests.factories import set_incoming
from tests.views.factories import make_user
from webapp.inbound.previews import Previews
from webapp.mailserver.memory import MemoryMailbox, MemoryServer
from webapp.models import Attachment, Entry, Inbound, Ticket

pytestmark = pytest.mark.browser
LINES = (Path(__file__).parent / "xss_vectors.txt").read_text(encoding="utf-8").splitlines()
VECTORS = [line.replace("↵", "\n") for line in LINES if not line.startswith("## ")]
IN_A_HEADER = 280  # characters of vectors in one subject and name
FORMATTED = "formatted"
# What stands around the content must be the same whatever the content is.
SHAPE = """() => ({
  body: [...document.body.children].map((part) => part.tagName + "#" + part.id),
  main: [...document.querySelector("main").children].map((part) => part.tagName),
  counts: ["script", "base", "form", "h1", "meta", "style", "link", "title", "object", "embed", "template"]
    .map((name) => name + document.querySelectorAll(name).length),
  handlers: [...document.querySelectorAll("*")].flatMap((part) => part.getAttributeNames())
    .filter((name) => name.startsWith("on") || name === "style"),
})"""
FRAMED = """() => [...document.body.querySelectorAll("*")].flatMap((part) => [
  ...(/^(script|iframe|frame|object|embed|form|input|button|base|meta|link|svg|math|style|template|video|audio|dialog)$/i
    .test(part.tagName) ? [part.tagName] : []),
  ...part.getAttributeNames().filter((name) => /^(on|hx-|data-hx|srcdoc|srcset|action|formaction|ping|id$)/i.test(name)),
  ...["href", "src"].map((name) => part.getAttribute(name))
    .filter((value) => value && !/^(https?:|mailto:|tel:|\\/mail-pictures\\/)/i.test(value)),
])"""  # noqa: E501


@dataclass
class Witness:
    """What must never happen on a page of mail."""

    desk: Desk
    dialogs: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    by_htmx: list[str] = field(default_factory=list)

    def look_at(self, page: Page) -> None:
        page.on("dialog", self._on_dialog)
        page.context.on("request", self._on_request)
        page.context.route(lambda url: "evil.test" in url, lambda route: route.abort())

    def _on_dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.desk.address}/", "data:", "blob:")):
            self.foreign.append(request.url)
        if "hx-request" in request.headers:
            self.by_htmx.append(request.url.removeprefix(self.desk.address))

    @property
    def seen(self) -> tuple[list[str], list[str], list[str]]:
        return self.dialogs, self.foreign, self.by_htmx


def batches() -> list[list[str]]:
    """As many vectors together as a subject and a name hold."""
    found: list[list[str]] = [[]]
    for vector in VECTORS:
        if found[-1] and sum(map(len, found[-1])) + len(vector) > IN_A_HEADER:
            found.append([])
        found[-1].append(vector)
    return found


def hostile(number: int, vectors: list[str], *, inner: bool = True) -> EmailMessage:
    """One message with each of these in its subject, From name, text, HTML (a part each) and file names."""
    together = " ".join(vectors).replace("\n", " ")
    message = EmailMessage(policy=SMTP)
    message["From"] = f"v{number}@nowhere.test"  # its name comes last: the library would lose its quotes
    message["To"] = str(Address(together, "help", "desk.test"))
    message["Reply-To"] = str(Address(together, "other", "nowhere.test"))
    message["Subject"] = together
    message["Message-ID"] = f"<{number}{'i' if inner else 'o'}@nowhere.test>"
    message["X-Odd"] = together
    message.set_content("\n\n".join(vectors) + "\n")
    message.make_mixed()
    for vector in vectors:
        part = EmailMessage(policy=SMTP)
        part.set_content(f"<p>one</p>{vector}<p>two</p>", subtype="html")
        message.attach(part)
    for vector in vectors:
        message.add_attachment(
            b"not a picture", maintype="image", subtype="png", filename=vector.replace("\n", " ")
        )
    if inner:
        message.add_attachment(hostile(number, vectors, inner=False))
    return message


def octets(number: int, vectors: list[str], *, inner: bool = True) -> bytes:
    """The message as it arrives."""
    together = " ".join(vectors).replace("\n", " ")
    quoted = together.replace("\\", "\\\\").replace('"', '\\"')
    name = f'"{quoted}"' if together.isascii() else Header(together, "utf-8", maxlinelen=10_000).encode()
    address = f"v{number}@nowhere.test"
    raw = hostile(number, vectors, inner=inner).as_bytes()
    return raw.replace(f"From: {address}".encode(), f"From: {name} <{address}>".encode())


HARMLESS = ["plain words", "<p>and a paragraph</p>"]
BATCHES = [HARMLESS, *batches()]  # the first shows the shape that all others must have


@pytest.fixture(scope="module")
def hostile_desk(
    tmp_path_factory: pytest.TempPathFactory,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("hostile-desk")
    with running_desk(folder, empty_desk_database, desk_templates) as desk:
        desk.add_accounts()
        desk.receive(*(octets(number, vectors) for number, vectors in enumerate(BATCHES)))
        with desk.instance.database.reading() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == len(BATCHES)
        yield desk


@pytest.fixture
def witness(hostile_desk: Desk) -> Witness:
    return Witness(hostile_desk)


@pytest.fixture
def tab(hostile_desk: Desk, chromium: Browser, witness: Witness) -> Iterator[Tab]:
    """Alice, watched. Whatever the browser complains about fails the test."""
    context = chromium.new_context(viewport={"width": 1100, "height": 3000}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    tab = Tab(context.new_page(), hostile_desk)
    tab.sign_in("alice", "/companies")
    witness.look_at(tab.page)
    yield tab
    context.close()
    assert tab.complaints == []
    assert (witness.dialogs, witness.foreign) == ([], [])


def shape(tab: Tab, path: str) -> Any:
    tab.open(path)
    return tab.page.evaluate(SHAPE)


def frame_of(page: Page) -> Frame:
    """The document of the formatted mail, when it is there."""
    handle = page.locator("iframe").element_handle()
    frame = handle.content_frame()
    assert frame is not None
    frame.wait_for_load_state()
    return frame


def test_there_are_enough_of_them() -> None:
    assert len(VECTORS) == len(set(VECTORS)) >= 150


def test_a_browser_that_is_not_protected_falls_for_them(hostile_desk: Desk, chromium: Browser) -> None:
    """What watches the other tests does see scripts, foreign requests and requests by htmx."""
    context = chromium.new_context()
    page, witness = context.new_page(), Witness(hostile_desk)
    witness.look_at(page)
    htmx = f"<script src='{hostile_desk.address}/static/vendor/htmx/htmx.min.js'></script>"
    fell = 0
    for number, vectors in enumerate(BATCHES[1:]):
        before = sum(map(len, witness.seen))
        document = f"<!doctype html>{htmx}<body>{''.join(f'<p>one</p>{one}<p>two</p>' for one in vectors)}"
        _serve(page, f"{hostile_desk.address}/control/{number}", document)
        with suppress(Error):  # some of them lead away
            page.goto(f"{hostile_desk.address}/control/{number}", wait_until="domcontentloaded")
            page.wait_for_timeout(50)
        fell += sum(map(len, witness.seen)) > before
    context.close()
    assert fell > len(BATCHES) // 2
    assert all(witness.seen)


def _serve(page: Page, address: str, document: str) -> None:
    def fulfill(route: Route) -> None:
        route.fulfill(body=document, content_type="text/html")

    page.context.route(address, fulfill)


def test_lists(tab: Tab, witness: Witness) -> None:
    with tab.desk.instance.database.writing() as session:
        for number, vectors in enumerate(BATCHES):
            make_user(session, " ".join(vectors)[:200], f"v{number}@people.test")
    for path in ("/tickets", "/email-log", "/people"):
        shown = ""
        for number in (1, 2):  # fifty a page
            tab.open(f"{path}?page={number}")
            shown += tab.page.locator("main").inner_text()
            assert tab.page.locator("h1").count() == 1
            assert tab.page.locator("main :is(img, iframe, style, object, base, script)").count() == 0
            assert tab.page.evaluate(SHAPE)["handlers"] == []
        assert shown.count("alert(1)") > len(BATCHES), path
    tab.page.wait_for_timeout(200)
    assert witness.seen == ([], [], [])


def test_tickets_as_text_and_formatted(tab: Tab, witness: Witness) -> None:
    expected = shape(tab, "/tickets/1")
    for number in range(2, len(BATCHES) + 1):
        found = shape(tab, f"/tickets/{number}")
        assert found == expected, BATCHES[number - 1]
        assert witness.by_htmx == []
        tab.page.locator(".views").get_by_role("link", name="Formatted").click()
        expect(tab.page.locator("iframe")).to_have_count(1)
        assert frame_of(tab.page).evaluate(FRAMED) == [], BATCHES[number - 1]
        assert tab.page.evaluate(SHAPE)["body"] == expected["body"]
        assert witness.by_htmx == [f"/tickets/{number}/entries/{number}?view=formatted"]
        witness.by_htmx.clear()
        tab.page.context.clear_cookies(name="mail_view")
    assert witness.seen == ([], [], [])


def test_attached_mails_with_their_frame(tab: Tab, witness: Witness) -> None:
    with tab.desk.instance.database.reading() as session:
        query = (
            sa.select(Entry.ticket_id, Attachment.id)
            .join(Attachment, Attachment.entry_id == Entry.id)
            .where(Attachment.content_type == "message/rfc822")
            .order_by(Entry.ticket_id)
        )
        mails = [tuple(row) for row in session.execute(query)]
    assert len(mails) == len(BATCHES)
    pages = [f"/tickets/{ticket}/attachments/{file}/mail?view={FORMATTED}" for ticket, file in mails]
    expected = shape(tab, pages[0])
    for path, vectors in zip(pages[1:], BATCHES[1:], strict=True):
        assert shape(tab, path) == expected, vectors
        assert frame_of(tab.page).evaluate(FRAMED) == [], vectors
    assert witness.seen == ([], [], [])


@pytest.mark.parametrize(
    "page", ["/email-log/{}", "/email-log/{}/headers", "/tickets/{}/entries/{}/original"]
)
def test_pages_about_one_message(tab: Tab, witness: Witness, page: str) -> None:
    expected = shape(tab, page.format(1, 1))
    with tab.desk.instance.database.reading() as session:
        assert session.scalars(sa.select(Inbound.id)).all() == list(range(1, len(BATCHES) + 1))
    for number in range(2, len(BATCHES) + 1):
        assert shape(tab, page.format(number, number)) == expected, BATCHES[number - 1]
    assert witness.seen == ([], [], [])


def test_the_dry_run(tab: Tab, witness: Witness) -> None:
    server = MemoryServer()
    for number, vectors in enumerate(BATCHES):
        server.deliver(octets(number, vectors, inner=False))
    instance = tab.desk.instance
    set_incoming(instance, active="false")
    tab.desk.app.extensions["mail_previews"] = Previews(instance, connect=lambda _: MemoryMailbox(server))
    tab.open("/settings/service-desk/mail/incoming/activate")
    show, table = tab.page.get_by_role("button", name="Show the"), tab.page.locator("table").first
    for _ in range(5):  # a click on a button that is exchanged at that moment is lost
        show.click()
        with suppress(Error):
            table.wait_for(timeout=6_000)
            break
    expect(table).to_contain_text("plain words", timeout=30_000)
    assert tab.page.locator("main :is(img, iframe, style, object, base, script)").count() == 0
    assert tab.page.evaluate(SHAPE)["handlers"] == []
    assert (witness.dialogs, witness.foreign) == ([], [])
    assert all(path.startswith("/settings/service-desk/mail/incoming/") for path in witness.by_htmx)
