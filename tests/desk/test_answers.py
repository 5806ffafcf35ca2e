"""A technician's reply: recipients, one transaction, no second copy, nothing over a colleague's head."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import NOW, add_people, make_instance, set_incoming, set_row
from webapp.desk import accounts, answers, options, reply_recipients, reply_settings
from webapp.desk.answers import Answer, AnswerRefused, Clash, SentAlready
from webapp.desk.reply_message import compose_reply
from webapp.desk.reply_settings import ReplySettings
from webapp.instance import Instance
from webapp.mail.conversation import File
from webapp.mail.loop_token import is_our_loop_token
from webapp.mail.message import InboundMessage
from webapp.mail.parse import parse
from webapp.mail.reply_token import ReplyToken, read_token
from webapp.models import (
    Account,
    Attachment,
    Audit,
    Delivery,
    DeliveryState,
    Entry,
    EntryFlag,
    EntryKind,
    MailServer,
    OutgoingMessage,
    Role,
    Row,
    Ticket,
    TicketParticipant,
    TicketStatus,
    UndeliverableAddress,
    User,
)

KEY = "0123456789abcdef" * 2
OWN = "help@desk.test"
CIRCULAR = ", ".join(f"u{number}@acme.test" for number in range(200))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """T-1 of Ann, with her mail; Bob works here, Vera only looks."""
    instance = make_instance(tmp_path)
    add_people(instance)
    set_incoming(instance)
    set_row(instance, Row.OUTGOING, host="smtp.desk.test", username=OWN, active="true")
    with instance.database.writing() as session:
        for email, name, role in (
            ("bob@desk.test", "Bob Best", Role.TECHNICIAN),
            ("vera@desk.test", "Vera View", Role.VIEWER),
        ):
            accounts.create_account(
                session, email=email, name=name, password="correct horse battery", role=role, now=NOW,
                actor="test",
            )  # fmt: skip
        session.add(
            Ticket(
                subject="Printer offline", requester=session.get_one(User, 1), requester_name="Ann",
                requester_address="ann@acme.test", created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
        session.flush()
        session.add(mail("Our printer is offline.", message_id="first@acme.test"))
    yield instance
    instance.close()


def mail(text: str, **values: object) -> Entry:
    told = {"from_addr": "ann@acme.test", "from_name": "Ann Lee", "created_at": NOW}
    return Entry(ticket_id=1, body_text=text, reply_text=text, **(told | values))


def send(instance: Instance, number: int = 1, *, by: int = 1, **values: Any) -> int:
    told: dict[str, Any] = {"text": "It works again.", "to": "Ann Lee <ann@acme.test>"} | values
    wanted = Answer(**told)
    return answers.reply(instance.database, instance.vault, number, wanted, now=NOW, actor_id=by).id


def messages(instance: Instance) -> list[InboundMessage]:
    with instance.database.reading() as session:
        query = sa.select(OutgoingMessage.compressed).order_by(OutgoingMessage.id)
        return [parse(zlib.decompress(one)) for one in session.scalars(query)]


def count(instance: Instance, model: type) -> int:
    with instance.database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def suggested(instance: Instance) -> reply_recipients.Suggested:
    with instance.database.reading() as session:
        return reply_recipients.suggested(session, session.get_one(Ticket, 1))


def test_entry_mail_status_and_audit_are_one(instance: Instance) -> None:
    entry_id = send(instance, cc="amy@acme.test", files=[File("report.pdf", b"%PDF-1.4")])
    with instance.database.reading() as session:
        entry, ticket = session.get_one(Entry, entry_id), session.get_one(Ticket, 1)
        assert (entry.kind, entry.account_id, entry.body_text) == (EntryKind.REPLY, 1, "It works again.")
        assert entry.recipients == {"to": [["Ann Lee", "ann@acme.test"]], "cc": [["", "amy@acme.test"]]}
        assert ticket.status is TicketStatus.WAITING
        [message] = session.scalars(sa.select(OutgoingMessage))
        assert (message.entry_id, message.ticket_id, message.created_by) == (entry_id, 1, "bob@desk.test")
        assert message.message_id == entry.message_id
        deliveries = session.scalars(sa.select(Delivery).order_by(Delivery.id)).all()
        assert [one.recipient for one in deliveries] == ["ann@acme.test", "amy@acme.test"]
        assert {one.state for one in deliveries} == {DeliveryState.QUEUED}
        [file] = session.scalars(sa.select(Attachment))
        assert (file.filename, file.size, file.position) == ("report.pdf", 8, 2)
        [audit] = session.scalars(sa.select(Audit).where(Audit.action == "ticket.reply"))
        assert audit.detail["recipients"] == ["ann@acme.test", "amy@acme.test"]


def test_what_the_mail_says(instance: Instance) -> None:
    send(instance)
    [message] = messages(instance)
    assert message.subject == "Re: Printer offline [T-1]"
    assert (message.sender.display_name, message.sender.addr_spec) == ("Bob Best", OWN)
    assert message.in_reply_to == ("first@acme.test",)
    assert message.references == ("first@acme.test",)
    assert message.automated == ()
    assert message.reply_text == "It works again."
    assert "-- \nBob Best" in message.body_text
    assert message.body_text.endswith("Ann Lee wrote:\n> Our printer is offline.")
    assert "Nov 2026 at 12:00 UTC" in message.body_text
    assert "<blockquote" in (message.body_html or "")
    with instance.database.reading() as session:
        key, loop = options.reply_key(session, instance.vault), options.loop_key(session, instance.vault)
    assert key
    assert loop
    assert read_token(key, message.message_id or "") == ReplyToken(1, None)
    assert (message.message_id or "").endswith("@desk.test")
    assert is_our_loop_token(loop, message.message_id or "", message.loop_header or "")


def test_the_next_reply_goes_on_in_the_same_thread(instance: Instance) -> None:
    send(instance)
    with instance.database.writing() as session:
        session.add(mail("Thanks", message_id="second@acme.test"))
        session.add(mail("for us only", kind=EntryKind.NOTE, message_id="note@desk.test"))
    send(instance, quote=False)
    first, second = messages(instance)
    assert second.references == ("first@acme.test", first.message_id, "second@acme.test")
    assert second.in_reply_to == ("second@acme.test",)
    assert "wrote:" not in second.body_text
    assert second.subject == first.subject


def test_names_and_signature_are_settings(instance: Instance) -> None:
    with instance.database.writing() as session:
        settings = ReplySettings(desk_name="Example Desk", signature="{name}\n{desk}")
        reply_settings.save(session, settings)
    send(instance, quote=False)
    with instance.database.writing() as session:
        reply_settings.save(session, replace(settings, sender_name="desk", signature=""))
    send(instance, quote=False)
    with instance.database.writing() as session:
        reply_settings.save(session, replace(settings, sender_name="none"))
    send(instance, quote=False)
    names = [one.sender.display_name for one in messages(instance)]
    assert names == ["Bob Best (Example Desk)", "Example Desk", ""]
    first, second, _ = messages(instance)
    assert first.body_text.endswith("-- \nBob Best\nExample Desk")
    assert second.body_text == "It works again."


@pytest.mark.parametrize(
    ("field", "values", "sentence"),
    [
        ("text", {"text": " \n\t "}, "The reply is empty."),
        ("text", {"text": "x" * 50_001}, "at most 50,000 fit"),
        ("to", {"to": ""}, "Enter who gets this reply."),
        ("to", {"to": "nobody"}, "'nobody' is not an e-mail address"),
        ("to", {"to": "Ann <ann@acme.test> amy@acme.test"}, "is not an e-mail address"),
        ("to", {"to": CIRCULAR}, "These are 200 recipients"),
        ("cc", {"cc": ", ".join(f"u{number}@acme.test" for number in range(50))}, "These are 51 recipients"),
        ("cc", {"cc": "x@acme.test, " * 5000}, "more addresses than a reply can have"),
        ("to", {"to": "HELP@desk.test"}, "is an address of this service desk itself"),
        ("cc", {"cc": "gone@acme.test"}, "a report said the address does not exist"),
        ("to", {"to": "ännchen@acme.test"}, "most mail servers cannot deliver to"),
        ("to", {"to": "ann@acme.test\r\nBcc: eve@evil.test"}, "is not an e-mail address"),
        ("to", {"to": "Ann\x00 <ann@acme.test>"}, "control character"),
        ("to", {"to": "\u202ennA <ann@acme.test>"}, "control character"),
        ("to", {"to": "ann@acme.test\x00"}, "control characters"),
        ("files", {"files": [File("a.txt", b"")]}, "The file a.txt is empty."),
        ("files", {"files": [File("a.bin", b"x" * 20_000_001)]}, "have 20.0 MB in all; at most 20 MB"),
        ("files", {"files": [File("a", b"x")] * 51}, "These are 51 files"),
        ("", {"by": 2}, "Only technicians and administrators"),
    ],
)  # fmt: skip
def test_refused_and_nothing_written(
    instance: Instance, field: str, values: dict[str, Any], sentence: str
) -> None:
    with instance.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="gone@acme.test", since=NOW, why="No such address."))
    with pytest.raises(AnswerRefused) as refused:
        send(instance, **values)
    assert sentence in str(refused.value)
    assert refused.value.field == field
    assert (count(instance, Entry), count(instance, OutgoingMessage), count(instance, Delivery)) == (1, 0, 0)


def test_while_outgoing_is_off_nothing_is_recorded_as_sent(instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, active="false")
    with pytest.raises(AnswerRefused, match="Outgoing email is off"):
        send(instance)
    assert (count(instance, Entry), count(instance, OutgoingMessage)) == (1, 0)


def test_a_ticket_that_was_joined_is_answered_where_it_went(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(Ticket(subject="x", merged_into_id=1, created_at=NOW, updated_at=NOW))
    with pytest.raises(AnswerRefused, match=r"joined to T-1\. Answer there\."):
        send(instance, 2)


def test_a_form_sends_once(instance: Instance) -> None:
    entry_id = send(instance, form_key=KEY, seen=1)
    for text in ("It works again.", " It works again.\r\n"):
        with pytest.raises(SentAlready) as already:
            send(instance, form_key=KEY, seen=1, text=text)
        assert already.value.entry_id == entry_id
    with pytest.raises(Clash) as clash:  # the same form again with other words: back in the browser
        send(instance, form_key=KEY, seen=1, text="Other words.")
    assert [news.entry_id for news in clash.value.news] == [entry_id]
    assert count(instance, OutgoingMessage) == 1


def test_the_same_form_at_the_same_moment_sends_once(instance: Instance) -> None:
    begin = threading.Barrier(8)

    def press(_: int) -> str:
        begin.wait()
        try:
            return str(send(instance, form_key=KEY, seen=1))
        except SentAlready as already:
            return f"already {already.entry_id}"

    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(press, range(8)))
    [entry_id] = [one for one in told if one.isdigit()]
    assert told.count(f"already {entry_id}") == 7
    assert count(instance, OutgoingMessage) == 1


def test_the_database_itself_takes_a_form_once(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(mail("x", form_key=f"1:{KEY}"))
    with pytest.raises(sa.exc.IntegrityError), instance.database.writing() as session:
        session.add(mail("y", form_key=f"1:{KEY}"))


def test_what_came_meanwhile_is_said_first(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(mail("Forget it."))
        session.add(mail("Status: open", kind=EntryKind.CHANGE))
        session.flush()
    with pytest.raises(Clash) as clash:
        send(instance, seen=1)
    assert [news.text for news in clash.value.news] == ["Forget it."]
    assert count(instance, OutgoingMessage) == 0
    with instance.database.reading() as session:
        seen = answers.newest_entry(session, 1)
    send(instance, seen=seen)
    assert count(instance, OutgoingMessage) == 1


def test_files_have_safe_names_each_once(instance: Instance) -> None:
    send(instance, files=[File("../../etc/passwd", b"1"), File("a\r\nX: y.txt", b"2"), File("passwd", b"3")])
    [message] = messages(instance)
    assert [file.filename for file in message.attachments] == ["passwd", "a__X_ y.txt", "passwd (2)"]
    with instance.database.reading() as session:
        kept = session.scalars(sa.select(Attachment).order_by(Attachment.position)).all()
    assert [(file.position, file.sha256) for file in kept] == [
        (file.position, file.sha256) for file in message.attachments
    ]


@pytest.mark.parametrize("status", [TicketStatus.OPEN, TicketStatus.CLOSED, None])
def test_the_status_afterwards_is_chosen(instance: Instance, status: TicketStatus | None) -> None:
    send(instance, status=status)
    with instance.database.reading() as session:
        assert session.get_one(Ticket, 1).status is (status or TicketStatus.OPEN)


def test_the_requester_is_suggested_and_who_takes_part(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(
            TicketParticipant(
                ticket_id=1, addr_spec="dan@acme.test", addr_key="dan@acme.test", name="Poe, Dan",
                added_at=NOW, added_by="test",
            )
        )  # fmt: skip
    assert suggested(instance) == reply_recipients.Suggested(
        "Ann Lee <ann@acme.test>", '"Poe, Dan" <dan@acme.test>', "", ()
    )
    with instance.database.writing() as session:  # a colleague of hers, who may write to the ticket
        session.add(mail("Me too", from_addr="amy@acme.test", from_name="Amy Poe"))
    assert suggested(instance).cc.endswith(", Amy Poe <amy@acme.test>")
    with instance.database.writing() as session:  # the requester, from another address of hers
        session.add(mail("From home", from_addr="ann.lee@private.test"))
    assert suggested(instance).to == "Ann Lee <ann.lee@private.test>"
    with instance.database.writing() as session:  # somebody new never becomes a recipient
        session.add(mail("Me", from_addr="eve@evil.test", flag=EntryFlag.NEW_SENDER))
    assert "eve" not in repr(suggested(instance))


def test_somebody_new_becomes_no_recipient_even_where_nobody_else_wrote(instance: Instance) -> None:
    with instance.database.writing() as session:
        first = session.get_one(Entry, 1)
        first.from_addr, first.flag = "eve@evil.test", EntryFlag.NEW_SENDER
        first.recipients = {"reply_to": [["", "eve2@evil.test"]]}
    assert suggested(instance) == reply_recipients.Suggested("Ann Lee <ann@acme.test>", "", "", ())


def test_a_reply_to_elsewhere_is_offered_and_never_taken(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(mail("x", recipients={"to": [], "cc": [], "reply_to": [["", "other@evil.test"]]}))
    found = suggested(instance)
    assert (found.to, found.reply_to) == ("Ann Lee <ann@acme.test>", "other@evil.test")
    with instance.database.writing() as session:
        session.add(mail("x", recipients={"to": [], "cc": [], "reply_to": [["", OWN], ["", "a@b"]]}))
    assert suggested(instance).reply_to == ""


def test_who_is_not_there_any_more_is_left_out_and_named(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="ann@acme.test", since=NOW, why="No such address."))
    found = suggested(instance)
    assert (found.to, found.left_out) == ("", ("ann@acme.test",))


def test_an_unknown_sender_is_answered_too(instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(
            Ticket(
                subject="Hello", requester_address="carl@new.test", requester_name="Carl, the first",
                created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
    with instance.database.reading() as session:
        to = reply_recipients.suggested(session, session.get_one(Ticket, 2)).to
    assert to == '"Carl, the first" <carl@new.test>'
    send(instance, 2, to=to)
    [message] = messages(instance)
    assert [(one.display_name, one.addr_spec) for one in message.to] == [("Carl, the first", "carl@new.test")]


def test_typed_addresses_with_names_and_domains_of_any_script(instance: Instance) -> None:
    send(instance, to='"Lee; Ann" <ann@acme.test>; ANN@acme.test,\nx@b\u00fccher.test', cc="ann@acme.test")
    [message] = messages(instance)
    assert [(one.display_name, one.addr_spec) for one in message.to] == [
        ("Lee; Ann", "ann@acme.test"),
        ("", "x@xn--bcher-kva.test"),
    ]
    assert message.cc == ()


def test_the_same_form_to_somebody_else_is_not_taken_for_sent(instance: Instance) -> None:
    """Back in the browser, another address typed: "sent already" would be a lie."""
    send(instance, form_key=KEY, seen=1)
    with pytest.raises(Clash):
        send(instance, form_key=KEY, seen=1, to="amy@acme.test")
    with pytest.raises(Clash):
        send(instance, form_key=KEY, seen=1, cc="amy@acme.test")
    with pytest.raises(SentAlready):
        send(instance, form_key=KEY, seen=1, to="Ann Lee <ANN@acme.test>".replace("ANN", "ann"))
    assert count(instance, OutgoingMessage) == 1


def set_largest(instance: Instance, octets: int | None) -> None:
    with instance.database.writing() as session:
        session.get_one(MailServer, Row.OUTGOING.value).largest_octets = octets


def test_files_fit_into_what_the_mail_server_takes(instance: Instance) -> None:
    set_largest(instance, 5_000_000)
    with pytest.raises(AnswerRefused) as refused:
        send(instance, files=[File("a.bin", b"x" * 3_600_000)])
    assert refused.value.field == "files"
    assert (
        "have 3.6 MB in all; at most 3.5 MB can be sent, as the mail server takes messages of up to 5 MB."
        in (str(refused.value))
    )
    most = answers.files_octets(ReplySettings(), 5_000_000)
    send(instance, files=[File("a.bin", b"x" * most)], text="\u00e4" * 2_000)
    with instance.database.reading() as session:
        [raw] = session.scalars(sa.select(OutgoingMessage.compressed))
    assert 4_900_000 < len(zlib.decompress(raw)) < 5_000_000


@pytest.mark.parametrize(
    ("largest", "octets"), [(None, 20_000_000), (50_000_000, 20_000_000), (80_000, 0), (0, 0)]
)
def test_what_files_may_have_in_all(largest: int | None, octets: int) -> None:
    assert answers.files_octets(ReplySettings(), largest) == octets


def test_a_message_that_is_too_large_all_the_same_is_refused(instance: Instance) -> None:
    set_largest(instance, 300_000)
    with pytest.raises(AnswerRefused, match=r"The message has 0\.\d MB .* takes at most 0\.3 MB\. Leave"):
        send(instance, text="\u00e4" * 50_000)
    assert count(instance, OutgoingMessage) == 0


def test_one_s_own_signature_stands_below(instance: Instance) -> None:
    with instance.database.writing() as session:
        reply_settings.save(session, ReplySettings(desk_name="Example Desk", signature="The desk"))
        session.get_one(Account, 1).signature = "Kind regards\n{name}\n{desk} <3 & more"
    send(instance, quote=False)
    [message] = messages(instance)
    assert message.body_text.endswith("-- \nKind regards\nBob Best\nExample Desk <3 & more")
    assert "Bob Best<br>\nExample Desk &lt;3 &amp; more" in (message.body_html or "")


def test_a_line_for_want_of_a_name_is_left_out() -> None:
    settings = ReplySettings(signature="{name}\n{desk}\nPhone 1")
    assert settings.signature_for("Bob") == "Bob\nPhone 1"
    assert settings.signature_for("{desk}") == "{desk}\nPhone 1"  # what a name holds is no variable
    old = ReplySettings(signature="{name} {x} {", desk_name="D")
    assert old.signature_for("Bob") == "Bob {x} {"


def test_nobody_waits_while_a_mail_is_composed(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply of 20 MB takes a second or two of compression: not under the write lock."""
    done: list[bool] = []

    def slow(*args: Any, **values: Any) -> object:
        outgoing = compose_reply(*args, **values)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(write_beside, instance, done).result(timeout=5)
        return outgoing

    monkeypatch.setattr("webapp.desk.answers.compose_reply", slow)
    send(instance)
    assert done == [True]


def write_beside(instance: Instance, done: list[bool]) -> None:
    with instance.database.writing() as session:
        session.add(Ticket(subject="y", created_at=NOW, updated_at=NOW))
    done.append(True)


def test_what_comes_while_a_mail_is_composed_is_said_first(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*args: Any, **values: Any) -> object:
        with instance.database.writing() as session:
            session.add(mail("Forget it."))
        return compose_reply(*args, **values)

    monkeypatch.setattr("webapp.desk.answers.compose_reply", meanwhile)
    with pytest.raises(Clash) as clash:
        send(instance, seen=1)
    assert [news.text for news in clash.value.news] == ["Forget it."]
    assert count(instance, OutgoingMessage) == 0


def test_the_row_may_be_turned_off_while_a_mail_is_composed(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*args: Any, **values: Any) -> object:
        set_row(instance, Row.OUTGOING, active="false")
        return compose_reply(*args, **values)

    monkeypatch.setattr("webapp.desk.answers.compose_reply", meanwhile)
    with pytest.raises(AnswerRefused, match="Outgoing email is off"):
        send(instance)
    assert (count(instance, Entry), count(instance, OutgoingMessage)) == (1, 0)
