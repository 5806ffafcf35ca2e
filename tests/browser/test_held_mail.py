"""Held mail in a browser, with a script and without, on a screen and on a telephone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.desk import Desk
from tests.browser.tab import OpenTab, Tab
from tests.browser.test_accessibility import violations
from tests.factories import make_raw, set_row
from webapp.desk import incoming_rules
from webapp.desk.incoming_rules import IncomingRules
from webapp.models import Row

pytestmark = pytest.mark.browser
ANSWERS = "/settings/service-desk/answers"
RULES = "/settings/service-desk/incoming-rules"
LONG = "Our printer has the same trouble since the new toner came in. " * 20


@pytest.fixture
def queue(desk: Desk) -> Desk:
    """T-1 of Ann; Bob of another company and three strangers name it."""
    with desk.instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(hold_claims=True))
    senders = [
        ("Bob Ray <bob@binder.test>", LONG),
        *((f"{name} <{name.lower()}@new.test>", f"It is {name}.\n") for name in ("Carl", "Dora", "Emil")),
    ]
    desk.receive(
        make_raw(message_id="first@acme.test"),
        *(
            make_raw(
                sender=sender, subject="Re: Printer offline", text=text,
                headers={"In-Reply-To": "<first@acme.test>"},
            )
            for sender, text in senders
        ),
    )  # fmt: skip
    return desk


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def held(queue: Desk, open_tab: OpenTab, request: pytest.FixtureRequest) -> Tab:
    tab = open_tab(queue, java_script_enabled=request.param)
    tab.sign_in("bob", "/tickets")
    return tab


def press(tab: Tab, words: str, button: str) -> None:
    tab.page.locator("article.held", has_text=words).get_by_role("button", name=button).click()


def test_from_the_tickets_to_each_decision(held: Tab) -> None:
    page = held.page
    expect(page.get_by_role("link", name="Tickets , 4 need attention")).to_be_visible()
    page.get_by_role("link", name="Held mail (4)").click()
    expect(page.locator("article.held")).to_have_count(4)
    expect(page.locator("article.held").first).to_contain_text("known as Bob Ray of Binder Inc")
    page.get_by_label("carl@new.test may write to T-1").check()
    press(held, "It is Carl.", "Join T-1")
    held.says("The message was joined to T-1.")
    press(held, "It is Dora.", "Block the sender")
    held.says("Mail from dora@new.test is ignored from now on.")
    press(held, "It is Emil.", "Ticket of its own")
    held.says("T-2 was made from this message.")
    press(held, "Our printer has the same trouble", "Refuse")
    held.says("No message waits for a decision.")
    page.get_by_role("link", name="Undo it under Decided").click()
    expect(page.locator("article.held")).to_have_count(4)
    press(held, "It is Carl.", "Undo")
    held.says("Undone. The message waits for a decision again.")
    held.open("/tickets/1")
    expect(page.locator("#held-about")).to_contain_text("1 held message says to belong here.")
    expect(page.locator("#participants")).to_contain_text("carl@new.test")
    held.open("/tickets/2")
    expect(page.get_by_role("button", name="Join to T-1")).to_be_visible()


def test_several_are_refused_together(held: Tab) -> None:
    page = held.page
    held.open("/held-mail")
    held.expect_refusal(422)
    page.get_by_role("button", name="Refuse the chosen").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose at least one message first.")
    for words in ("It is Carl.", "It is Dora."):
        page.locator("article.held", has_text=words).get_by_role("checkbox", name="Choose").check()
    page.get_by_role("button", name="Refuse the chosen").click()
    held.says("2 messages were refused.")
    expect(page.locator("article.held")).to_have_count(2)


def test_two_tabs(queue: Desk, open_tab: OpenTab) -> None:
    first, second = open_tab(queue), open_tab(queue)
    first.sign_in("bob", "/held-mail")
    second.sign_in("alice", "/held-mail")
    press(first, "It is Carl.", "Refuse")
    first.says("Refused. No ticket was made.")
    second.expect_refusal(409)
    press(second, "It is Carl.", "Join T-1")
    expect(second.page.get_by_role("alert")).to_contain_text(
        "bob@desk.example has decided about this message already: refused."
    )
    expect(second.page.locator("article.held")).to_have_count(3)


def test_a_double_click_decides_once(queue: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(queue)
    tab.sign_in("bob", "/held-mail")
    tab.expect_refusal(409)
    carl = tab.page.locator("article.held", has_text="It is Carl.")
    carl.get_by_role("button", name="Ticket of its own").dblclick()
    expect(tab.page.locator("article.held")).to_have_count(3)
    tab.open("/tickets")
    expect(tab.page.locator("#ticket-list tbody tr")).to_have_count(2)


def test_the_setting_and_what_it_leads_to(desk: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(desk)
    tab.sign_in("alice", RULES)
    tab.page.get_by_label("Hold it in a queue").check()
    tab.page.get_by_role("button", name="Save").click()
    tab.says("Saved. Mail is judged by these rules from the next run on.")
    expect(tab.page.get_by_label("Hold it in a queue")).to_be_checked()
    tab.open("/email-log")
    tab.page.get_by_role("link", name="Held mail").click()
    tab.says("No message waits for a decision.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 380])
def test_every_state_of_the_page(queue: Desk, open_tab: OpenTab, width: int, scheme: str) -> None:
    tab = open_tab(queue, width=width, color_scheme=scheme, bypass_csp=True)
    tab.sign_in("bob", "/held-mail")
    _look(tab, f"waiting-{width}-{scheme}")
    press(tab, "It is Carl.", "Join T-1")
    press(tab, "It is Dora.", "Block the sender")
    press(tab, "It is Emil.", "Ticket of its own")
    for path in ("/held-mail?show=decided", "/tickets/1", "/tickets", "/email-log"):
        tab.open(path)
        _look(tab, f"{path.strip('/').replace('/', '-').replace('?', '-')}-{width}-{scheme}")
    tab.expect_refusal(422)
    tab.open("/held-mail")
    tab.page.get_by_role("button", name="Refuse the chosen").click()
    _look(tab, f"problem-{width}-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 380])
def test_the_pages_of_the_settings(desk: Desk, open_tab: OpenTab, width: int, scheme: str) -> None:
    set_row(desk.instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test",
            from_address="help@desk.test")  # fmt: skip
    tab = open_tab(desk, width=width, color_scheme=scheme, bypass_csp=True)
    tab.sign_in("alice", RULES)
    _look(tab, f"rules-{width}-{scheme}")
    tab.open(ANSWERS)
    tab.page.get_by_label("Letters of the tag").fill("HELP")
    tab.page.get_by_role("textbox", name="Answers go to").fill("support@desk.test")
    tab.page.get_by_label("The address answers go to names the ticket").check()
    tab.page.get_by_role("button", name="Save").click()
    expect(tab.page.locator("#marks-preview")).to_contain_text("Re: Printer offline [HELP-1042]")
    expect(tab.page.locator("#marks-preview")).to_contain_text("support+t1042-")
    _look(tab, f"answers-{width}-{scheme}")
    tab.expect_refusal(422)
    tab.page.get_by_label("Tag in the subject").fill("[{prefix}]")
    tab.page.get_by_role("button", name="Save").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("1 field needs attention: Tag in the subject")
    _look(tab, f"answers-problem-{width}-{scheme}")


def _look(tab: Tab, name: str) -> None:
    assert not tab.scrolls_sideways(), name
    assert violations(tab) == [], name
    if folder := os.environ.get("PICTURES"):  # for somebody who wants to look as well
        tab.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
