"""Debian's chromium, driven by Playwright; a desk of its own for every test.

One browser for the whole run. No screenshots in here: Playwright injects a style for them, and our pages
(rightly) complain about it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, sync_playwright

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import OpenTab, Tab
from tests.rig.certificates import Authority
from webapp.config import load_settings
from webapp.instance import open_instance

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 10_000


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def empty_desk_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an instance with nothing in it: copied, as migrating takes a while."""
    folder = tmp_path_factory.mktemp("empty-desk")
    open_instance(load_settings({}, instance=folder)).close()
    return folder


@pytest.fixture(scope="session")
def desk_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("desk-templates")))


@pytest.fixture
def new_desk(
    tmp_path: Path, empty_desk_database: Path, desk_templates: FileSystemBytecodeCache, authority: Authority
) -> Iterator[Desk]:
    """Just started for the first time: nobody has an account."""
    with running_desk(tmp_path, empty_desk_database, desk_templates, authority.ca_file) as desk:
        yield desk


@pytest.fixture
def desk(new_desk: Desk) -> Desk:
    """With Alice, Bob and Vera, and nothing set up."""
    new_desk.add_accounts()
    return new_desk


@pytest.fixture(scope="module")
def busy_desk(
    tmp_path_factory: pytest.TempPathFactory,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
) -> Iterator[Desk]:
    """Alice, Bob and Vera, and mail that has come in. For tests that only look: one desk for a module."""
    folder = tmp_path_factory.mktemp("busy-desk")
    with running_desk(folder, empty_desk_database, desk_templates) as desk:
        desk.add_accounts()
        desk.receive_samples()
        yield desk


@pytest.fixture
def open_tab(chromium: Browser) -> Iterator[OpenTab]:
    """Open a tab of a browser of its own: `open_tab(desk, width=320, java_script_enabled=False)`."""
    tabs: list[Tab] = []

    def open_tab(desk: Desk, *, width: int = 1100, height: int = 900, **options: bool | str) -> Tab:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        tabs.append(Tab(context.new_page(), desk))
        return tabs[-1]

    yield open_tab
    complaints = [complaint for tab in tabs for complaint in tab.complaints]
    for tab in tabs:
        tab.page.context.close()
    assert complaints == []


@pytest.fixture
def tab(desk: Desk, open_tab: OpenTab) -> Tab:
    """A tab in which Alice, an administrator, is signed in."""
    tab = open_tab(desk)
    tab.sign_in("alice")
    return tab
