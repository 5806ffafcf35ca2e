"""Every page with axe-core, in light and dark, wide and narrow; and no page wider than its window."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.desk import Desk
from tests.browser.tab import MAIL, OpenTab, Tab

pytestmark = pytest.mark.browser
VENDOR = Path(__file__).parent / "vendor"
AXE = (VENDOR / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = (1100, 320)
COLOURS = ["color-contrast", "link-in-text-block"]  # what a dark page may have that a light one has not
PAGES = [
    "/tickets",
    "/tickets?q=nothing+is+called+this",
    "/tickets/1",
    "/tickets/2",
    "/people",
    "/people/new",
    "/people/import",
    "/people/1/edit",
    "/companies",
    "/companies/new",
    "/companies/1/edit",
    "/email-log",
    "/email-log/1",
    "/email-log/4",
    MAIL,
    f"{MAIL}/incoming/edit",
    f"{MAIL}/outgoing/edit",
    f"{MAIL}/invoice/edit",
]


def test_axe_is_the_published_file() -> None:
    note = (VENDOR / "VENDOR.txt").read_text(encoding="utf-8")
    assert f"{hashlib.sha256(AXE.encode()).hexdigest()}  axe-core/axe.min.js" in note


def violations(tab: Tab, rules: list[str] | None = None) -> list[str]:
    """What axe has to say; its source is evaluated, for our pages load no foreign script."""
    if not tab.page.evaluate("typeof axe === 'object'"):
        tab.page.evaluate(AXE)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = tab.page.evaluate("options => axe.run(options)", options)["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]
    ]


def look_closely(tab: Tab) -> None:
    """Light and dark, wide and narrow."""
    for width in WIDTHS:
        tab.page.set_viewport_size({"width": width, "height": 900})
        tab.page.emulate_media(color_scheme="light")
        assert violations(tab) == []
        tab.page.emulate_media(color_scheme="dark")
        assert violations(tab, COLOURS) == []
    for width in (320, 380, 550):
        tab.page.set_viewport_size({"width": width, "height": 900})
        assert not tab.scrolls_sideways(), f"wider than {width} px"


@pytest.fixture(scope="module")
def looking(busy_desk: Desk, chromium: Browser) -> Iterator[Tab]:
    """Alice, who looks at one page after the other."""
    context = chromium.new_context(reduced_motion="reduce")
    tab = Tab(context.new_page(), busy_desk)
    tab.sign_in("alice")
    yield tab
    context.close()
    assert tab.complaints == []


@pytest.mark.parametrize("path", PAGES)
def test_pages(looking: Tab, path: str) -> None:
    looking.open(path)
    expect(looking.page.get_by_role("heading", level=1)).to_have_count(1)
    look_closely(looking)


@pytest.mark.parametrize(("path", "status"), [("/tickets/4711", 404), ("/nowhere", 404)])
def test_error_pages(looking: Tab, path: str, status: int) -> None:
    looking.expect_refusal(status)
    looking.open(path)
    look_closely(looking)


def test_a_refused_form_and_a_failed_test(looking: Tab) -> None:
    looking.expect_refusal(422)
    looking.open(MAIL)
    form = looking.edit("outgoing")
    looking.fill(form, host_name="a b", port="0")
    form.get_by_role("button", name="Save").last.click()
    expect(looking.row("outgoing").get_by_role("alert")).to_be_visible()
    look_closely(looking)
    form = looking.edit("incoming")
    looking.fill(form, host_name="localhost", port="1", user_name="help@example.com", password="secret")
    form.get_by_role("button", name="Test Connection").click()
    expect(looking.row("incoming").get_by_text("Test failed at")).to_be_visible()
    look_closely(looking)


def test_the_setup_page(new_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(new_desk, reduced_motion="reduce")
    tab.open("/setup")
    look_closely(tab)


def test_sign_in_and_refused_pages(busy_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(busy_desk, reduced_motion="reduce")
    tab.open("/login")
    look_closely(tab)
    tab.sign_in("vera")
    tab.expect_refusal(403)
    tab.open(MAIL)
    look_closely(tab)


def test_the_narrow_menu_unfolded(busy_desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(busy_desk, width=320, reduced_motion="reduce")
    tab.sign_in("alice")
    tab.page.get_by_text("Menu").click()
    assert violations(tab) == []
    assert not tab.scrolls_sideways()
