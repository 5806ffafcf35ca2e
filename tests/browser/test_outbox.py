"""The outbox in a browser: a real mail server, live refresh, and all of it without a script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser, expect

from tests.browser.desk import Desk, running_desk
from tests.browser.tab import OpenTab, Tab, looking_around
from tests.browser.test_accessibility import look_closely
from tests.factories import set_row
from tests.outbound.conftest import Outbox, aim
from tests.rig.smtp import SmtpServer
from webapp.desk.sending import make_deliverer
from webapp.models import Delivery, DeliveryState, OutgoingKind, Row, SendingTrouble

pytestmark = pytest.mark.browser
PAGES = [
    "/outbox",
    "/outbox?state=failed",
    "/outbox?to=nobody",
    "/outbox?page=9",
    "/outbox/1",
    "/outbox/3",
    "/outbox/resend-failed",
]


def fill(desk: Desk) -> None:
    """One delivery of each state, and a mail server that fails."""
    now = datetime.now(UTC)
    set_row(desk.instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test", active="true")
    outbox = Outbox(desk.instance, now=now)
    outbox.write("ann@acme.test", "amy@acme.test", "bob@binder.test")
    outbox.write("late@acme.test", "doubt@acme.test", kind=OutgoingKind.INVOICE)
    outbox.write("off@acme.test", row=Row.INVOICE, kind=OutgoingKind.INVOICE)
    with desk.instance.database.writing() as session:
        told: dict[int, dict[str, object]] = {
            1: {"state": DeliveryState.SENT, "attempts": 1, "settled_at": now},
            2: {
                "state": DeliveryState.FAILED, "attempts": 1, "settled_at": now, "attention": True,
                "server_words": "550 5.1.1 <amy@acme.test>: Recipient address rejected: User unknown",
                "error": "The mail server refused amy@acme.test. Check the address, then send this again.",
            },
            3: {
                "state": DeliveryState.DEFERRED, "attempts": 2, "next_try_at": now + timedelta(minutes=4),
                "server_words": "450 4.2.1 greylisted",
                "error": "The mail server asked to try bob@binder.test again later.",
            },
            5: {
                "state": DeliveryState.UNCERTAIN, "attempts": 2, "attention": True, "settled_at": now,
                "error": "The mail server never confirmed this message: it may have arrived all the same.",
            },
        }  # fmt: skip
        for delivery_id, values in told.items():
            delivery = session.get_one(Delivery, delivery_id)
            delivery.next_try_at = None
            for name, value in values.items():
                setattr(delivery, name, value)
        session.add(
            SendingTrouble(
                row="outgoing",
                since=now - timedelta(hours=2),
                sentence="smtp.desk.test is there, but nothing answers on port 587.",
                cure="Check that the service is on.",
                version=1,
                next_try_at=now + timedelta(minutes=9),
            )
        )


@pytest.fixture(scope="module")
def outbox_desk(
    tmp_path_factory: pytest.TempPathFactory,
    empty_desk_database: Path,
    desk_templates: FileSystemBytecodeCache,
) -> Iterator[Desk]:
    with running_desk(tmp_path_factory.mktemp("outbox-desk"), empty_desk_database, desk_templates) as desk:
        desk.add_accounts()
        fill(desk)
        yield desk


@pytest.fixture(scope="module")
def looking(outbox_desk: Desk, chromium: Browser) -> Iterator[Tab]:
    with looking_around(chromium, outbox_desk) as tab:
        yield tab


@pytest.mark.parametrize("path", PAGES)
def test_axe(looking: Tab, path: str) -> None:
    looking.open(path)
    expect(looking.page.get_by_role("heading", level=1)).to_have_count(1)
    look_closely(looking)


def test_the_question_before_a_second_copy(looking: Tab) -> None:
    looking.open("/outbox/5")
    looking.page.get_by_role("button", name="Resend…").click()
    looking.says("it may arrive twice")
    look_closely(looking)
    looking.open("/outbox/3")
    looking.page.get_by_role("button", name="Stop trying…").click()
    look_closely(looking)


@pytest.mark.parametrize("script", [True, False])
def test_a_refused_one_is_sent_again(
    desk: Desk, open_tab: OpenTab, smtp_server: SmtpServer, script: bool
) -> None:
    aim(desk.instance, smtp_server.settings())
    smtp_server.refuse["amy@acme.test"] = "550 5.1.1 no such user"
    outbox = Outbox(desk.instance, now=datetime.now(UTC))
    outbox.write("amy@acme.test")
    outbox.deliver()
    tab = open_tab(desk, java_script_enabled=script)
    tab.sign_in("bob", "/outbox")
    tab.says("The mail server refused amy@acme.test.")
    smtp_server.refuse.clear()
    button = tab.page.get_by_role("button", name="Resend: Your printer to amy@acme.test")
    button.dblclick() if script else button.click()
    tab.says("Waiting")
    make_deliverer(desk.instance).run()
    tab.open("/outbox")
    expect(tab.page.locator("#outbox-rows")).to_contain_text("Sent")
    assert len(smtp_server.messages) == 1


def test_the_list_refreshes_itself(desk: Desk, open_tab: OpenTab, smtp_server: SmtpServer) -> None:
    aim(desk.instance, smtp_server.settings())
    outbox = Outbox(desk.instance, now=datetime.now(UTC))
    outbox.write("amy@acme.test")
    tab = open_tab(desk)
    tab.sign_in("vera", "/outbox")
    tab.says("Waiting")
    outbox.deliver()
    tab.page.evaluate("document.body.dispatchEvent(new Event('app:tick'))")
    expect(tab.page.locator("#outbox-rows tbody")).to_contain_text("Sent")
