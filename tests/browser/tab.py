"""One tab of a browser, watched: what its console says, which scripts break, what the CSP refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import ConsoleMessage, Locator, Page, expect

from tests.browser.desk import Desk
from tests.views.browser import Browser

MAIL = "/settings/service-desk/mail"
_REFUSED = re.compile(r"status of (\d{3})")
_WATCH_POLICY = """addEventListener("securitypolicyviolation",
 (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`), { capture: true })"""


class Tab:
    """A page of this desk. Whatever it complains about fails the test, but for announced refusals."""

    def __init__(self, page: Page, desk: Desk) -> None:
        self.page = page
        self.desk = desk
        self.complaints: list[str] = []
        self._announced: set[int] = set()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.context.add_init_script(_WATCH_POLICY)

    def expect_refusal(self, *codes: int) -> None:
        """The browser will report these statuses in its console."""
        self._announced.update(codes)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.desk.address}{path}")

    def sign_in(self, person: str = "alice", path: str = "/") -> None:
        """With a cookie made for this tab (the form has tests of its own), then on to `path`."""
        client = Browser(self.desk.app)
        assert client.sign_in(person).status_code == 303
        cookie = client.get_cookie("session")
        assert cookie is not None
        self.page.context.add_cookies(
            [{"name": "session", "value": cookie.value, "url": self.desk.address, "httpOnly": True}]
        )
        self.open(path)

    def row(self, name: str = "incoming") -> Locator:
        return self.page.locator(f"#row-{name}")

    def edit(self, name: str = "incoming") -> Locator:
        """Press the pencil of a row; its form."""
        self.page.get_by_role("link", name=f"Edit {name} email settings").click()
        form = self.page.locator(f"#form-{name}")
        expect(form).to_be_visible()
        return form

    def edit_at(self, path: str, name: str = "incoming") -> Locator:
        self.open(path)
        return self.edit(name)

    def fill(self, form: Locator, **entries: str) -> None:
        """By the labels people see: `host_name` is "Host name"."""
        for label, value in entries.items():
            label = "Timeout (ms)" if label == "timeout_ms" else label.replace("_", " ").capitalize()
            form.get_by_label(label, exact=True).filter(visible=True).fill(value)

    def says(self, text: str) -> None:
        expect(self.page.locator("body")).to_contain_text(text)

    def toasts(self, text: str) -> None:
        expect(self.page.locator("#toasts")).to_contain_text(text)

    def walk_to(self, control: Locator, key: str = "Tab") -> None:
        """Press Tab until the control has the focus, as somebody without a mouse does."""
        for _ in range(80):
            if control.evaluate("control => control === document.activeElement"):
                return
            self.page.keyboard.press(key)
        raise AssertionError(f"{control} is not reached by pressing {key}")

    def keeps_focus(self, within: str = "#row-incoming") -> None:
        """Whoever works with the keyboard still stands where the work is."""
        expect(self.page.locator(f"{within}:focus, {within} :focus")).to_have_count(1)

    def scrolls_sideways(self) -> bool:
        return bool(
            self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"
            )
        )

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        status = _REFUSED.search(message.text)
        if not (status and int(status[1]) in self._announced):
            self.complaints.append(f"console: {message.text}")


OpenTab = Callable[..., Tab]


@contextmanager
def looking_around(browser: Chromium, desk: Desk) -> Iterator[Tab]:
    """Alice's tab for a whole module of tests that only look."""
    context = browser.new_context(reduced_motion="reduce")
    tab = Tab(context.new_page(), desk)
    tab.sign_in("alice")
    yield tab
    context.close()
    assert tab.complaints == []
