"""Settings > Service desk > Notifications: switches, wording, and a preview that is what will be sent."""

from __future__ import annotations

import re
import zlib
from html import unescape

import pytest
import sqlalchemy as sa

from tests.factories import set_row
from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import notice_preview, notification_settings, reply_settings
from webapp.desk.notification_settings import EVENTS, Event, NotificationSettings, Wording
from webapp.desk.reply_settings import ReplySettings
from webapp.instance import Instance
from webapp.mail.parse import parse
from webapp.models import Audit, OutgoingMessage, Row, Ticket

PAGE = "/settings/service-desk/notifications"


def saved(instance: Instance) -> NotificationSettings:
    with instance.database.reading() as session:
        return notification_settings.load(session)


def sent(instance: Instance) -> list[bytes]:
    with instance.database.reading() as session:
        query = sa.select(OutgoingMessage.compressed).order_by(OutgoingMessage.id)
        return [zlib.decompress(one) for one in session.scalars(query)]


def test_before_anybody_chose(alice: Browser) -> None:
    page = alice.get(PAGE).text
    checked = re.findall(r'name="(\w+)" type="checkbox" value="true" checked', page)
    assert checked == ["assigned", "updated"]
    assert "Outgoing email is off" in page
    assert "SERVICEDESK_PUBLIC_URL" in page


def test_switches_are_saved_and_audited(alice: Browser, instance: Instance) -> None:
    answer = alice.send(PAGE, page=PAGE, acknowledgement="true", unknown_senders="true", opened="true")
    assert answer.status_code == 303
    kept = saved(instance)
    assert kept.on == {Event.ACKNOWLEDGEMENT, Event.OPENED}
    assert (kept.unknown_senders, kept.pool_updates) == (True, False)
    alice.send(PAGE, page=PAGE, acknowledgement="true", unknown_senders="true", opened="true")
    with instance.database.reading() as session:
        query = sa.select(Audit).where(Audit.action == "settings.notifications")
        (audit,) = session.scalars(query)
        assert audit.actor == "alice@desk.example"


def test_everything_can_be_switched_off(alice: Browser, instance: Instance) -> None:
    alice.send(PAGE, page=PAGE)
    assert saved(instance).on == frozenset()


def test_a_wording_is_saved_and_reset(alice: Browser, instance: Instance) -> None:
    page = f"{PAGE}/opened"
    words = {"subject": "{ticket} is new", "text": "See\r\n{link}", "html": "<p>{text}</p>"}
    assert alice.send(page, page=page, **words).status_code == 303
    assert saved(instance).wordings == {
        Event.OPENED: Wording("{ticket} is new", "See\n{link}", "<p>{text}</p>")
    }
    assert "Use the default wording" in alice.get(page).text
    assert "changed" in alice.get(PAGE).text
    assert alice.send(page, page=page, reset="1", **words).status_code == 303
    assert saved(instance).wordings == {}
    assert "Use the default wording" not in alice.get(page).text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("subject", "{nobody}", "Line 1, character 1: there is no {nobody} here."),
        ("subject", "", "Write something"),
        ("subject", "a\nb", "A subject is one line."),
        ("subject", "x" * 301, "At most 300 characters fit."),
        ("text", "a\nb {", "Line 2, character 3: this { belongs to no variable."),
        ("text", "{ticket.__class__}", "there is no {ticket.__class__} here."),
        ("html", "<p>\n<script>x</script>", "Line 2, character 1: <script> has no place in a mail."),
        ("html", "<p title='{text}'>", "a variable stands between tags"),
    ],
)
def test_what_is_no_wording_is_refused_at_its_field(
    alice: Browser, instance: Instance, field: str, value: str, sentence: str
) -> None:
    page = f"{PAGE}/opened"
    words = {"subject": "x", "text": "x", "html": ""} | {field: value}
    answer = alice.send(page, page=page, **words)
    assert answer.status_code == 422
    problem = re.search(rf'id="{field}-error">(.*?)</p>', answer.text, re.DOTALL)
    assert problem is not None
    assert sentence in unescape(problem[1])
    assert saved(instance).wordings == {}
    shown = alice.send(f"{page}/preview", page=page, **words)
    assert shown.status_code == 422
    assert sentence in unescape(shown.text)


@pytest.mark.parametrize("name", ["acknowledgement", "closed"])
def test_a_customer_gets_neither_the_link_nor_the_text(alice: Browser, name: str) -> None:
    page = f"{PAGE}/{name}"
    for variable in ("link", "text", "sender"):
        assert alice.send(page, page=page, subject="x", text=f"{{{variable}}}").status_code == 422
        assert f"<code>{{{variable}}}</code>" not in alice.get(page).text


@pytest.mark.parametrize("event", list(Event))
def test_every_default_is_a_wording(event: Event) -> None:
    notification_settings.check(event, EVENTS[event].default)


@pytest.mark.parametrize("event", list(Event))
def test_the_preview_without_a_ticket_is_of_an_invented_one(alice: Browser, event: Event) -> None:
    shown = alice.get(f"{PAGE}/{event.value}/preview")
    assert shown.status_code == 200
    assert "Printer offline [T-1042]" in shown.text
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script-src" not in policy
    assert shown.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_the_preview_shows_what_is_entered_and_saves_nothing(alice: Browser, instance: Instance) -> None:
    page = f"{PAGE}/opened"
    shown = alice.send(
        f"{page}/preview", page=page, subject="{ticket} <i>", text="x & y", html="<b>{subject}</b>"
    )
    assert "<h1>T-1042 &lt;i&gt; [T-1042]</h1>" in shown.text
    assert "<b>Printer offline</b>" in shown.text
    assert "x &amp; y" in shown.text
    assert saved(instance).wordings == {}


HOSTILE = '<img src=x onerror=alert(1)> "quoted" {ticket} {{x}}'


@pytest.mark.parametrize("html", ["", '<p><b>{subject}</b> <a href="{link}">{ticket}</a></p>\n<p>{text}</p>'])
def test_the_preview_is_what_is_sent(alice: Browser, instance: Instance, html: str) -> None:
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test", active="true")
    with instance.database.writing() as session:
        reply_settings.save(session, ReplySettings(desk_name="Example Desk"))
        ticket = make.make_ticket(session, subject=HOSTILE)
        make.make_entry(session, ticket, from_name="Ann <b>", reply_text=f"{HOSTILE}\nsecond line")
    page = f"{PAGE}/assigned"
    alice.send(page, page=page, subject="{subject}", text="{sender}: {text}\n{link}\n{desk}", html=html)
    shown = alice.get(f"{page}/preview").text
    with instance.database.reading() as session:
        checked = notification_settings.checked_wording(notification_settings.load(session), Event.ASSIGNED)
        said = notice_preview.preview(session, checked, public_url="")
        assert session.get_one(Ticket, 1).assignee_id is None
    answer = alice.send("/tickets/1/assignee", page="/tickets/1", assignee="2", seen="")
    assert answer.status_code == 303
    (raw,) = sent(instance)
    message = parse(raw)
    assert message.subject == said.subject
    assert message.body_text.strip() == said.text.strip()
    assert said.html.encode() in _decoded_html(raw)
    assert said.body in shown
    assert "<img" not in shown
    assert "second line" in said.text


def test_the_ticket_page_tells_whom_it_concerns(bob: Browser, instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username="help@desk.test", active="true")
    with instance.database.writing() as session:
        notification_settings.save(session, NotificationSettings(on=frozenset(Event)))
        ticket = make.make_ticket(session, requester_address="ann@acme.test")
        ticket.requester = make.make_user(session, company=make.make_company(session))
    bob.send("/tickets/1/assignee", page="/tickets/1", assignee="2", seen="")  # to himself
    assert sent(instance) == []
    bob.send("/tickets/1/assignee", page="/tickets/1", assignee="1", seen="2")
    bob.send("/tickets/1/status", page="/tickets/1", status="waiting", seen="open")
    bob.send("/tickets/1/status", page="/tickets/1", status="closed", seen="open")  # refused: it is not
    bob.send("/tickets/1/status", page="/tickets/1", status="closed", seen="waiting")
    bob.send("/tickets/1/status", page="/tickets/1", status="closed", seen="waiting")  # sent twice
    recipients = [parse(raw).to[0].addr_spec for raw in sent(instance)]
    assert recipients == ["alice@desk.example", "ann@acme.test"]


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/opened", f"{PAGE}/opened/preview"])
def test_without_the_token_nothing_is_changed(alice: Browser, instance: Instance, path: str) -> None:
    assert alice.post(path, data={"subject": "x", "text": "x", "opened": "true"}).status_code == 400
    assert saved(instance) == NotificationSettings()


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/opened", f"{PAGE}/opened/preview"])
def test_a_technician_may_not(bob: Browser, instance: Instance, path: str) -> None:
    assert bob.send(path, page="/tickets", subject="x", text="x", opened="true").status_code == 403
    assert saved(instance) == NotificationSettings()


def _decoded_html(raw: bytes) -> bytes:
    import email

    for part in email.message_from_bytes(raw).walk():
        if part.get_content_type() == "text/html":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            return payload.replace(b"\r\n", b"\n")
    raise AssertionError("no HTML part")
