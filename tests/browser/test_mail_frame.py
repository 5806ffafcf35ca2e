"""The frame of a formatted mail: what it looks like at its worst, where its links lead, what it cannot do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import FrameLocator, Request, Route, expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import OpenTab, Tab

pytestmark = pytest.mark.browser

LINKS = "".join(
    f'<p><a href="https://manual.test/{name}" {attributes}>{name}</a></p>'
    for name, attributes in {
        "plain": "",
        "top": 'target="_top"',
        "parent": 'target="_parent"',
        "self": 'target="_self"',
        "opener": 'rel="opener" referrerpolicy="unsafe-url" target="_blank"',
        "frame": 'target="mail" ping="https://ping.test/"',
    }.items()
)
HOST = "mx-outbound-0123456789.region-one.mail.example-provider.test"
LOOKS = f"""<html><head><style>.pre{{display:none!important}} p.MsoNormal{{margin:0}}</style></head>
<body bgcolor="#111111" text="#eeeeee"><span class="pre">Preheader by class</span>
<div style="display:none">Preheader by style</div>
<p class="MsoNormal">first</p><p class="MsoNormal">second</p>
<table width="700" style="width:700px"><tr>
<td width="700" style="background:#336699 url(https://x.test/p.gif);color:#ffffff;white-space:nowrap">{HOST}</td>
</tr></table><p style="margin-top:-300px" id="over">below</p><p style="padding-top:90000px">far</p>
<pre style="white-space:pre">{"one very long line of a log file " * 9}</pre>
<big style="font-size:300%"><b style="font-size:300%"><i style="font-size:300%">large</i></b></big>
<p>last</p></body></html>"""
# What a mail would do, if it were not made safe: the frame alone must hold.
ESCAPES = {
    "a link to the top": '<a id="go" href="{}" target="_top">go</a>',
    "a link to the parent": '<a id="go" href="{}" target="_parent">go</a>',
    "a form to the top": '<form action="{}" target="_top"><button id="go">go</button></form>',
    "a refresh": '<meta http-equiv="refresh" content="0;url={}"><b id="go">go</b>',
    "a script": '<script>top.location = "{}"</script><b id="go">go</b>',
    "a script on a click": '<b id="go" onclick="top.location = \'{}\'">go</b>',
    "a script address": '<a id="go" href="javascript:top.location=\'{}\'" target="_top">go</a>',
    "a base for the top": '<base target="_top"><a id="go" href="{}">go</a>',
}
REFUSALS = re.compile("sandbox|Blocked|CSP|navigat|policy", re.IGNORECASE)


def mail(subject: str, html: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Ann Lee <ann@acme.test>"
    message["To"] = "Help <help@desk.test>"
    message["Subject"] = subject
    message["Message-ID"] = f"<{subject}@acme.test>"
    message.set_content(html, subtype="html")
    return message.as_bytes()


@pytest.fixture(scope="module")
def framing_desk(
    tmp_path_factory: pytest.TempPathFactory,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
) -> Iterator[Desk]:
    """T-1 with links, T-2 with everything that makes a mail hard to read."""
    with running_desk(tmp_path_factory.mktemp("framing-desk"), empty_desk_database, desk_templates) as desk:
        desk.add_accounts()
        desk.receive(mail("links", LINKS), mail("looks", LOOKS))
        yield desk


def formatted(desk: Desk, open_tab: OpenTab, number: int, **options: int) -> tuple[Tab, FrameLocator]:
    tab = open_tab(desk, **options)
    tab.sign_in("alice", f"/tickets/{number}/entries/{number}?view=formatted")
    return tab, tab.page.frame_locator("iframe")


def test_every_link_opens_a_tab_that_knows_nothing_of_us(framing_desk: Desk, open_tab: OpenTab) -> None:
    tab, frame = formatted(framing_desk, open_tab, 1)
    asked: list[Request] = []

    def answer(route: Route, request: Request) -> None:
        asked.append(request)
        told = "document.title = `${opener} ${document.referrer.length}`"
        route.fulfill(body=f"<script>{told}</script>", content_type="text/html")

    tab.page.context.route(re.compile(r"https://(manual|ping)\.test/"), answer)
    here = tab.page.url
    for name in ("plain", "top", "parent", "self", "opener", "frame"):
        with tab.page.context.expect_page() as opened:
            frame.get_by_role("link", name=name, exact=True).click()
        expect(opened.value).to_have_title("null 0")
        assert opened.value.url == f"https://manual.test/{name}"
        opened.value.close()
    assert len(asked) == 6  # nobody was pinged
    assert all("referer" not in request.headers and "cookie" not in request.headers for request in asked)
    assert tab.page.url == here
    expect(frame.get_by_role("link", name="plain")).to_be_visible()


@pytest.mark.parametrize("keeps_its_policy", [True, False], ids=["its own policy", "the frame alone"])
@pytest.mark.parametrize("escape", ESCAPES)
def test_nothing_in_the_frame_moves_the_page_around_it(
    framing_desk: Desk, open_tab: OpenTab, escape: str, keeps_its_policy: bool
) -> None:
    """The sanitiser is taken away: a document of the enemy's stands in the frame."""
    tab = open_tab(framing_desk)
    gone: list[str] = []

    def leave(route: Route, request: Request) -> None:
        gone.append(request.url)
        route.fulfill(body="away", content_type="text/html")

    def document(route: Route) -> None:
        response = route.fetch()
        assert "sandbox allow-popups" in response.headers["content-security-policy"]
        headers = dict(response.headers)
        if not keeps_its_policy:
            del headers["content-security-policy"]
        route.fulfill(response=response, headers=headers, body=ESCAPES[escape].format("https://evil.test/"))

    tab.page.context.route("https://evil.test/**", leave)
    tab.page.context.route("**/formatted", document)
    tab.sign_in("alice", "/tickets/1/entries/1?view=formatted")
    here = tab.page.url
    tab.page.frame_locator("iframe").locator("#go").click()
    tab.page.wait_for_timeout(300)  # a refresh or a script would have moved it by now
    assert tab.page.url == here
    assert gone == []
    assert len(tab.page.context.pages) == 1
    expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
    # The browser tells what it refused; anything else fails the test.
    tab.complaints[:] = [heard for heard in tab.complaints if not REFUSALS.search(heard)]


@pytest.mark.parametrize("width", [1100, 380])
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_a_mail_stays_in_its_frame_and_is_legible(
    framing_desk: Desk, open_tab: OpenTab, width: int, colors: str
) -> None:
    tab = open_tab(framing_desk, width=width)
    tab.page.emulate_media(color_scheme="dark" if colors == "dark" else "light")
    tab.sign_in("alice", "/tickets/2/entries/2/formatted")
    page = tab.page
    for words in ("Preheader by class", "Preheader by style"):
        expect(page.get_by_text(words)).not_to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.scrollHeight") < 2_000
    first, second, over, cell = (
        page.get_by_text(words, exact=True).bounding_box() or {"y": -1.0, "height": 0.0}
        for words in ("first", "second", "below", HOST)
    )
    assert first["y"] + first["height"] <= second["y"] + 1 <= first["y"] + first["height"] + 3
    assert over["y"] >= cell["y"] + cell["height"]
    assert (page.get_by_text("large").bounding_box() or {"height": 0})["height"] < 150
    expect(page.get_by_text("first")).to_have_css("color", "rgb(238, 238, 238)")
    expect(page.locator("body > div")).to_have_css("background-color", "rgb(17, 17, 17)")
    expect(page.get_by_role("cell")).to_have_css("background-color", "rgb(51, 102, 153)")
    expect(page.locator("html")).to_have_css("background-color", "rgb(255, 255, 255)")
