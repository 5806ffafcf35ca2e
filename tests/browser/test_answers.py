"""Answering in a browser: the whole way to a customer and back, drafts, clashes, files, no script."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Dialog, FilePayload, Page, Route, expect

from tests.browser.desk import Desk
from tests.browser.tab import OpenTab, Tab
from tests.browser.test_accessibility import look_closely
from tests.factories import add_people, make_raw, set_incoming_from, set_row
from tests.outbound.conftest import aim
from tests.rig.dovecot import DovecotMailbox
from tests.rig.smtp import USER, SmtpServer
from webapp.desk.sending import make_deliverer
from webapp.mail.parse import parse
from webapp.models import Delivery, DeliveryState, Entry, EntryKind, OutgoingMessage, Row, Ticket

pytestmark = pytest.mark.browser
ANN = "Ann Lee <ann@acme.test>"


@pytest.fixture
def answering(desk: Desk) -> Desk:
    """T-1 of Ann with two messages; mail can be sent, by nobody who is there."""
    desk.receive_samples()
    set_row(desk.instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test", active="true")
    return desk


@pytest.fixture
def bob(answering: Desk, open_tab: OpenTab) -> Tab:
    tab = open_tab(answering, reduced_motion="reduce")
    tab.sign_in("bob", "/tickets/1")
    return tab


def sent(desk: Desk) -> int:
    with desk.instance.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(OutgoingMessage)) or 0


def write(page: Page, text: str) -> None:
    page.get_by_label("Your reply").fill(text)


def send(page: Page) -> None:
    page.get_by_role("button", name="Send reply").click()


def customer_answer(message_id: str, references: str, text: str, html: str = "") -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = ANN, USER, "AW: Printer offline"
    mail["Message-ID"], mail["In-Reply-To"], mail["References"] = f"<{message_id}>", references, references
    mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
    return mail.as_bytes()


@pytest.mark.dovecot
def test_to_the_customer_and_back(
    desk: Desk, open_tab: OpenTab, mailbox: DovecotMailbox, smtp_server: SmtpServer
) -> None:
    add_people(desk.instance)
    set_incoming_from(desk.instance, mailbox.settings())
    aim(desk.instance, smtp_server.settings())
    mailbox.deliver(make_raw(message_id="first@acme.test", text="Our printer is offline.\n"))
    desk.poll()
    tab = open_tab(desk)
    tab.sign_in("bob", "/tickets/1")
    page = tab.page
    expect(page.get_by_label("To", exact=True)).to_have_value(ANN)
    write(page, "Hello Ann,\n\nis the cable in?\n- the blue one")
    page.get_by_label("Attachments").set_input_files(
        {"name": "Kabel für Ann.txt", "mimeType": "text/plain", "buffer": b"blue"}
    )
    page.get_by_label("Your reply").press("Control+Enter")
    tab.toasts("The reply is being sent.")
    reply = page.get_by_role("article", name="Reply by Bob Best")
    expect(reply.locator(".deliveries")).to_contain_text("Waiting")
    expect(page.get_by_label("Your reply")).to_have_value("")
    expect(page.locator("#choose-status")).to_have_value("waiting")
    make_deliverer(desk.instance).run()
    expect(reply.locator(".deliveries")).to_contain_text("Sent")  # by itself
    with page.expect_download() as waiting:
        reply.get_by_role("link", name="Kabel für Ann.txt").click()
    assert Path(waiting.value.path()).read_bytes() == b"blue"

    [delivered] = smtp_server.messages
    assert delivered.recipients == ["ann@acme.test"]
    mail = message_from_bytes(delivered.raw, policy=default)
    assert (mail["To"], mail["Subject"]) == (ANN, "Re: Printer offline [T-1]")
    assert mail["In-Reply-To"] == "<first@acme.test>"
    assert mail["Auto-Submitted"] is None
    [file] = mail.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("Kabel für Ann.txt", "blue")

    ours, theirs = mail["Message-ID"], f"{mail['References']} {mail['Message-ID']}"
    quoted = "Hello Ann,\n\nis the cable in?\n- the blue one\n\n-- \nBob Best"
    behind = "\n".join(f"> {line}" for line in quoted.split("\n"))
    block = f"From: Bob Best <{USER}>\nSent: Monday, 23 November 2026 12:00\nTo: {ANN}\nSubject: Re: Printer"
    head = "<br>".join(block.replace("<", "&lt;").split("\n"))
    for number, raw in enumerate(
        (
            customer_answer(
                "outlook@acme.test", ours, f"It is in, says Outlook.\n\n{block}\n\n{quoted}\n",
                f"<div>It is in, says Outlook.</div><div style='border-top:solid #E1E1E1 1.0pt'>{head}</div>"
                "<p>is the cable in?</p>",
            ),
            customer_answer(
                "gmail@acme.test", theirs,
                f"It is in, says Gmail.\n\nOn Mon, Nov 23, 2026 at 12:00 PM Bob <{USER}> wrote:\n{behind}\n",
                '<div>It is in, says Gmail.</div><div class="gmail_quote"><div class="gmail_attr">On Mon, '
                "Nov 23, 2026 at 12:00 PM Bob wrote:</div><blockquote>is the cable in?</blockquote></div>",
            ),
            customer_answer(
                "apple@acme.test", theirs,
                f"It is in, says Apple.\n\n> On 23 Nov 2026, at 12:00, Bob <{USER}> wrote:\n> \n{behind}\n",
            ),
        ),
        start=3,
    ):  # fmt: skip
        mailbox.deliver(raw)
        desk.poll()
        tab.open("/tickets/1")
        expect(page.locator("#choose-status")).to_have_value("open")
        answer = page.locator("#conversation article.entry-mail").nth(number - 2)
        expect(answer).to_contain_text("It is in, says")
        expect(answer.locator(".mail-body > .text")).not_to_contain_text("is the cable in?")
    with desk.instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 1
        kinds = session.scalars(sa.select(Entry.kind).where(Entry.kind != EntryKind.CHANGE)).all()
        assert [kind.value for kind in kinds] == ["mail", "reply", "mail", "mail", "mail"]


def test_a_note_never_stands_in_the_reply(bob: Tab, answering: Desk) -> None:
    page = bob.page
    write(page, "For Ann.")
    page.get_by_role("radio", name="Internal note").check()
    expect(page.get_by_label("Your reply")).not_to_be_visible()
    expect(page.get_by_role("button", name="Send reply")).not_to_be_visible()
    area = page.get_by_label("Internal note – only staff see this")
    expect(area).to_have_value("")
    area.fill("Ann is difficult.")
    area.press("Control+Enter")
    bob.toasts("Note added.")
    expect(page.get_by_role("article", name="Internal note by Bob Best")).to_be_visible()
    page.get_by_role("radio", name="Reply").check()
    expect(page.get_by_label("Your reply")).to_have_value("For Ann.")
    assert sent(answering) == 0
    write(page, "")


def test_pressed_twice_and_sent_once(bob: Tab, answering: Desk) -> None:
    write(bob.page, "Once.")
    bob.page.get_by_role("button", name="Send reply").dblclick()
    bob.toasts("The reply is being sent.")
    expect(bob.page.get_by_role("article", name="Reply by Bob Best")).to_have_count(1)
    assert sent(answering) == 1


def test_a_lost_connection_and_the_same_again(bob: Tab, answering: Desk) -> None:
    page = bob.page
    write(page, "Once.")

    def lose_the_answer(route: Route) -> None:
        route.fetch()  # it arrives, the answer does not
        route.abort()

    page.route("**/replies", lose_the_answer)
    bob.complaints.clear()
    send(page)
    bob.toasts("No connection to the service desk.")
    assert sent(answering) == 1
    page.unroute("**/replies")
    expect(page.get_by_label("Your reply")).to_have_value("Once.")
    send(page)
    bob.toasts("This reply was sent already.")
    assert sent(answering) == 1
    bob.complaints[:] = [
        one for one in bob.complaints if "ERR_FAILED" not in one and "Failed to fetch" not in one
    ]


def test_a_colleague_was_quicker(bob: Tab, answering: Desk, open_tab: OpenTab) -> None:
    alice = open_tab(answering)
    alice.sign_in("alice", "/tickets/1")
    write(alice.page, "From Alice.")
    write(bob.page, "From Bob.")
    file: FilePayload = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}
    bob.page.get_by_label("Attachments").set_input_files(file)
    send(alice.page)
    alice.toasts("The reply is being sent.")
    bob.expect_refusal(409)
    send(bob.page)
    notice = bob.page.locator("#reply-notice")
    expect(notice).to_contain_text("Alice Able replied just now: From Alice.")
    assert sent(answering) == 1
    look_closely(bob)
    notice.get_by_role("link", name="Keep writing").click()
    expect(bob.page.get_by_label("Your reply")).to_be_focused()
    expect(bob.page.get_by_label("Your reply")).to_have_value("From Bob.")
    notice.get_by_role("button", name="Send anyway").click()
    bob.toasts("The reply is being sent.")
    assert sent(answering) == 2
    expect(bob.page.get_by_role("article", name="Reply by Bob Best")).to_contain_text("a.txt")


def test_a_draft_survives_a_reload_and_a_night(bob: Tab, answering: Desk) -> None:
    page = bob.page
    write(page, "A long answer")
    page.get_by_label("Cc", exact=True).fill("amy@acme.test")
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.reload()
    assert asked == ["beforeunload"]
    expect(page.get_by_label("Your reply")).to_have_value("A long answer")
    expect(page.get_by_label("Cc", exact=True)).to_have_value("amy@acme.test")
    bob.toasts("Your draft is here again.")
    answering.end_sessions()
    send(page)
    page.wait_for_url("**/login**")
    assert asked == ["beforeunload"]  # the way to the sign-in page is free: the draft is kept
    assert sent(answering) == 0
    bob.sign_in("bob", "/tickets/1")
    expect(page.get_by_label("Your reply")).to_have_value("A long answer")
    send(page)
    bob.toasts("The reply is being sent.")
    page.reload()
    expect(page.get_by_label("Your reply")).to_have_value("")


def test_leaving_asks(bob: Tab) -> None:
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    bob.page.on("dialog", leave)
    bob.page.get_by_label("Your reply").press_sequentially("x")
    bob.open("/tickets")
    assert asked == ["beforeunload"]


def test_too_much_is_said_before_it_is_sent(bob: Tab, answering: Desk, tmp_path: Path) -> None:
    page = bob.page
    big, empty = tmp_path / "big.bin", tmp_path / "empty.txt"
    big.write_bytes(bytes(21_000_000))
    empty.write_bytes(b"")
    write(page, "See the file.")
    files = page.get_by_label("Attachments")
    files.set_input_files(big)
    expect(page.locator("#reply-files-help")).to_contain_text("21.0 MB in all; at most 20 MB can be sent")
    send(page)
    expect(page.locator("#reply-files:invalid")).to_have_count(1)
    files.set_input_files(empty)
    expect(page.locator("#reply-files-help")).to_contain_text("empty.txt is empty")
    assert sent(answering) == 0
    files.set_input_files([])
    expect(page.locator("#reply-files-help")).to_have_text("Up to 20 MB in all.")
    send(page)
    bob.toasts("The reply is being sent.")


def test_what_is_wrong_is_said_at_the_form_and_nothing_is_lost(bob: Tab, answering: Desk) -> None:
    page = bob.page
    bob.expect_refusal(422)
    write(page, "Text.")
    page.get_by_label("Attachments").set_input_files({"name": "a", "mimeType": "text/plain", "buffer": b"x"})
    page.get_by_label("To", exact=True).fill("help@desk.test")
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("is an address of this service desk itself")
    look_closely(bob)
    page.get_by_role("alert").get_by_role("link", name="Go there").click()
    expect(page.get_by_label("To", exact=True)).to_be_focused()
    page.get_by_label("To", exact=True).fill("ann@acme.test")
    send(page)
    bob.toasts("The reply is being sent.")
    expect(
        page.get_by_role("article", name="Reply by Bob Best").get_by_role("link", name="a.txt")
    ).to_have_count(0)
    expect(page.get_by_role("article", name="Reply by Bob Best").locator(".attachments")).to_contain_text("a")


def test_sent_elsewhere_only_by_hand(bob: Tab, answering: Desk) -> None:
    with answering.instance.database.writing() as session:
        first = session.get_one(Entry, 2)
        first.recipients = {"to": [], "cc": [], "reply_to": [["O'Neil", "other@acme.test"]]}
    bob.open("/tickets/1")
    bob.page.get_by_role("button", name="Send there instead").click()
    expect(bob.page.get_by_label("To", exact=True)).to_have_value("O'Neil <other@acme.test>")
    bob.page.evaluate("changed.clear()")


def test_without_a_script(answering: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(answering, java_script_enabled=False)
    tab.sign_in("bob", "/tickets/1")
    page = tab.page
    expect(page.get_by_label("Internal note – only staff see this")).not_to_be_visible()
    page.get_by_role("radio", name="Internal note").check()
    expect(page.get_by_label("Your reply")).not_to_be_visible()
    page.get_by_role("radio", name="Reply").check()
    write(page, "Without a script.")
    page.get_by_label("Cc", exact=True).fill("nobody")
    page.get_by_label("Attachments").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"}
    )
    tab.expect_refusal(422, 409)
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("is not an e-mail address")
    expect(page.get_by_role("alert")).to_contain_text("Choose the files again")
    expect(page.get_by_label("Your reply")).to_have_value("Without a script.")
    page.get_by_label("Cc", exact=True).fill("amy@acme.test")
    with answering.instance.database.writing() as session:
        now = session.get_one(Entry, 1).created_at
        session.add(Entry(ticket_id=1, from_name="Ann", body_text="News", reply_text="News", created_at=now))
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("Ann wrote")
    page.get_by_role("button", name="Send anyway").click()
    tab.says("The reply is being sent.")
    reply = page.get_by_role("article", name="Reply by Bob Best")
    expect(reply).to_contain_text("Without a script.")
    expect(reply.locator(".deliveries li")).to_have_count(2)
    assert sent(answering) == 1


def test_the_pages_and_what_becomes_of_a_reply(answering: Desk, open_tab: OpenTab) -> None:
    tab = open_tab(answering, reduced_motion="reduce")
    tab.sign_in("alice", "/tickets/1")
    page = tab.page
    page.get_by_label("Cc", exact=True).fill("amy@acme.test")
    write(page, "Hello Ann")
    send(page)
    tab.toasts("The reply is being sent.")
    with answering.instance.database.writing() as session:
        ann, amy = session.scalars(sa.select(Delivery).order_by(Delivery.id))
        ann.state, ann.next_try_at = DeliveryState.SENT, None
        amy.state, amy.next_try_at, amy.error = (
            DeliveryState.FAILED,
            None,
            "The server refused amy@acme.test.",
        )
    badges = page.locator(".deliveries")
    expect(badges).to_contain_text("Failed – The server refused")
    look_closely(tab)
    page.get_by_role("radio", name="Internal note").check()
    look_closely(tab)
    page.set_viewport_size({"width": 1100, "height": 900})
    badges.get_by_role("button", name="Try again: amy@acme.test").click()
    expect(badges).to_contain_text("Waiting")
    tab.open("/settings/service-desk/replies")
    page.get_by_label("Name of the service desk").fill("Example Desk")
    page.get_by_role("button", name="Preview").click()
    tab.says('From: "Alice Able (Example Desk)"'.replace('"', ""))
    look_closely(tab)
    page.get_by_role("button", name="Save").click()
    tab.says("Saved. Replies look like this from now on.")
    set_row(answering.instance, Row.OUTGOING, active="false")
    tab.open("/tickets/1")
    expect(page.get_by_role("radio", name="Internal note")).to_be_checked()
    page.get_by_role("radio", name="Reply").check()
    tab.says("Outgoing email is off")
    look_closely(tab)


@pytest.mark.parametrize("script", [True, False])
def test_one_s_own_signature_from_the_form_to_the_mail(
    answering: Desk, open_tab: OpenTab, smtp_server: SmtpServer, script: bool
) -> None:
    """Written once under the own name, seen below the next reply, in both parts of the mail."""
    aim(answering.instance, smtp_server.settings())
    tab = open_tab(answering, java_script_enabled=script)
    page = tab.page
    tab.sign_in("bob", "/tickets/1")
    page.get_by_role("link", name="Bob Best").click()
    tab.expect_refusal(422)
    page.get_by_label("Signature").fill("Kind regards\n{name} & {phone}")
    page.get_by_role("button", name="Save").click()
    tab.says("there is no {phone} here")
    page.get_by_label("Signature").fill("Kind regards\n{name} & team")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#signature-preview .text")).to_have_text("Kind regards\nBob Best & team")
    page.get_by_role("button", name="Save").click()
    tab.says("Saved.")
    tab.open("/tickets/1")
    page.get_by_text("Your signature stands below it").click()
    expect(page.locator("#reply-signature")).to_have_text("Kind regards\nBob Best & team")
    write(page, "It works.")
    send(page)
    expect(page.locator("#conversation")).to_contain_text("It works.")
    make_deliverer(answering.instance).run()
    [message] = [parse(received.raw) for received in smtp_server.messages]
    assert "Kind regards\nBob Best & team" in message.body_text
    assert "Bob Best &amp; team" in (message.body_html or "")
