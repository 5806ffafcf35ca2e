"""The watch itself: what a page of ours must never do does fail a test."""

from __future__ import annotations

import pytest

from tests.browser.tab import Tab

pytestmark = pytest.mark.browser
PICTURE = "document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.1:9/x.png' }))"


@pytest.mark.parametrize(
    ("misdeed", "heard"),
    [
        ("document.body.setAttribute('style', 'color: red')", "CSP: style-src"),
        (PICTURE, "CSP: img-src"),
        ("console.error('no good')", "no good"),
    ],
)
def test_what_the_console_and_the_policy_complain_about_is_heard(tab: Tab, misdeed: str, heard: str) -> None:
    with tab.page.expect_console_message(lambda message: heard in message.text):
        tab.page.evaluate(f"() => {{ {misdeed} }}")
    assert any(heard in complaint for complaint in tab.complaints)
    tab.complaints.clear()


def test_a_script_that_breaks_is_heard(tab: Tab) -> None:
    with tab.page.expect_event("pageerror"):
        tab.page.evaluate("() => { setTimeout(() => { nothing.of.the.kind(); }); }")
    assert any("nothing is not defined" in complaint for complaint in tab.complaints)
    tab.complaints.clear()
