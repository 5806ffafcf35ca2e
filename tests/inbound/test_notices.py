"""No machine ever talks to a machine: desks that answer each other, floods of automatic replies, old mail.

What was sent is counted on the mail server's side.
"""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import pytest
import sqlalchemy as sa

from tests.factories import NOW, make_instance, make_raw, set_incoming_from
from tests.inbound.conftest import Desk
from tests.outbound.conftest import aim
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox, DovecotServer
from tests.rig.smtp import Received, SmtpServer
from webapp.desk import accounts, notification_settings
from webapp.desk.notification_settings import Event, NotificationSettings
from webapp.desk.sending import make_deliverer
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.models import Disposition, Inbound, OutgoingMessage, Role, Ticket

EVERYTHING = NotificationSettings(on=frozenset(Event), unknown_senders=True, pool_updates=True)
MARKS = ("auto-submitted", "x-auto-response-suppress", "x-service-desk-loop")
THREADING = ("message-id", "in-reply-to", "references")
FIELD = re.compile(rb"^([!-9;-~]+):.*?\r\n(?![ \t])", re.MULTILINE | re.DOTALL)


def without(raw: bytes, names: tuple[str, ...]) -> bytes:
    """The message as a relay passes it on that keeps few header fields."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    kept = FIELD.sub(lambda field: b"" if field[1].decode().lower() in names else field[0], head + b"\r\n")
    return kept.rstrip(b"\r\n") + blank + body


class Relay(SmtpServer):
    """Takes mail by SMTP and delivers it into Dovecot by LMTP, without the fields it strips."""

    def __init__(self, authority: Authority, dovecot: DovecotServer) -> None:
        super().__init__(authority.good.server_context(), str(authority.ca_file))
        self.dovecot = dovecot
        self.strips: tuple[str, ...] = ()
        self.strips_tag = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        message = self.messages[-1]
        await asyncio.get_running_loop().run_in_executor(None, self._pass_on, message)
        return answer

    def _pass_on(self, message: Received) -> None:
        with smtplib.LMTP("127.0.0.1", self.dovecot.lmtp_port, timeout=10) as lmtp:
            raw = without(message.raw, self.strips)
            if self.strips_tag:
                raw = re.sub(rb" ?\[T-\d+\]", b"", raw)
            lmtp.sendmail(message.sender, message.recipients, raw)


def _same(now: datetime) -> datetime:
    return now


@dataclass
class TwoDesks:
    """Two instances that answer everybody, on one Dovecot and one SMTP server."""

    relay: Relay
    parser: ParserProcess
    desks: list[tuple[Instance, DovecotMailbox]] = field(default_factory=list)

    def rounds(self, number: int, *, step: timedelta = timedelta()) -> int:
        """Each takes in what came and sends what it has; how many messages the server has taken in all."""
        begin = datetime.now(UTC)
        for turn in range(number):
            now = begin + step * turn + timedelta(seconds=1)
            for instance, _ in self.desks:
                report = poll(instance, self.parser, trigger="command", clock=partial(_same, now))
                assert report.failure is None
                make_deliverer(instance).run(now=now)
        return len(self.relay.messages)


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_hasher", argon2.PasswordHasher(1, 8, 1))


@pytest.fixture
def two_desks(
    tmp_path: Path, authority: Authority, dovecot: DovecotServer, parser: ParserProcess
) -> Iterator[TwoDesks]:
    relay = Relay(authority, dovecot)
    relay.start()
    both = TwoDesks(relay, parser)
    for name in ("a", "b"):
        instance = make_instance(tmp_path / name, mail_ca_file=str(authority.ca_file))
        mailbox = dovecot.mailbox()
        set_incoming_from(instance, mailbox.settings())
        aim(instance, relay.settings(from_address=mailbox.user))
        answer_everybody(instance, f"tech-{mailbox.user}")
        both.desks.append((instance, mailbox))
    yield both
    for instance, _ in both.desks:
        instance.close()
    relay.stop()


def answer_everybody(instance: Instance, technician: str) -> None:
    """Acknowledge what comes from anybody, and tell a technician of all of it."""
    with instance.database.writing() as session:
        notification_settings.save(session, EVERYTHING)
        accounts.create_account(
            session, email=technician, name="Tom", password="correct horse battery", role=Role.TECHNICIAN,
            now=NOW, actor="test",
        )  # fmt: skip


def only_acknowledge(both: TwoDesks) -> None:
    for instance, _ in both.desks:
        with instance.database.writing() as session:
            wanted = NotificationSettings(on=frozenset({Event.ACKNOWLEDGEMENT}), unknown_senders=True)
            notification_settings.save(session, wanted)


def seed(both: TwoDesks) -> None:
    """Mail that seems to come from the one desk's address reaches the other."""
    (_, a), (_, b) = both.desks
    b.receive(make_raw(sender=a.user).replace(b"help@desk.test", b.user.encode()))


@pytest.mark.dovecot
@pytest.mark.parametrize(
    ("strips", "tag", "messages"),
    [((), False, 1), (MARKS, False, 2), (MARKS + THREADING, False, 2), (MARKS + THREADING, True, 2)],
    ids=["whole", "marks", "threading", "everything"],
)
def test_two_desks_that_answer_each_other_fall_silent(
    two_desks: TwoDesks, strips: tuple[str, ...], tag: bool, messages: int
) -> None:
    only_acknowledge(two_desks)
    two_desks.relay.strips, two_desks.relay.strips_tag = strips, tag
    seed(two_desks)
    assert two_desks.rounds(6) == messages
    assert two_desks.rounds(2, step=timedelta(hours=2)) == messages


@pytest.mark.dovecot
def test_a_loop_that_is_slower_than_an_hour_ends_within_the_day(two_desks: TwoDesks) -> None:
    only_acknowledge(two_desks)
    two_desks.relay.strips, two_desks.relay.strips_tag = MARKS + THREADING, True
    seed(two_desks)
    assert two_desks.rounds(11, step=timedelta(minutes=61)) == 8  # four of each


@pytest.mark.dovecot
@pytest.mark.parametrize("strips", [(), MARKS, MARKS + THREADING], ids=["whole", "marks", "threading"])
def test_a_technician_who_is_the_other_desk_makes_no_loop(
    two_desks: TwoDesks, strips: tuple[str, ...], authority: Authority
) -> None:
    two_desks.relay.strips = strips
    (a, at_a), (b, at_b) = two_desks.desks
    for instance, other in ((a, at_b), (b, at_a)):
        with instance.database.writing() as session:
            accounts.create_account(
                session, email=other.user, name="Robot", password="correct horse battery",
                role=Role.TECHNICIAN, now=NOW, actor="test",
            )  # fmt: skip
    at_a.receive(make_raw(sender="carl@else.test"))
    first = two_desks.rounds(4)
    between = [
        to for one in two_desks.relay.messages for to in one.recipients if to in (at_a.user, at_b.user)
    ]
    assert len(between) <= 2
    assert two_desks.rounds(3) == first


@pytest.fixture
def sending_desk(desk: Desk, smtp_server: SmtpServer, authority: Authority) -> Desk:
    """The desk with an Outgoing row that speaks to a real server."""
    instance = make_instance(desk.instance.settings.instance, mail_ca_file=str(authority.ca_file))
    aim(instance, smtp_server.settings())
    answer_everybody(instance, "tom@desk.test")
    desk.instance.close()
    desk.instance = instance
    return desk


def send_all(desk: Desk, server: SmtpServer) -> list[str]:
    """To whom the server was given mail, in order."""
    make_deliverer(desk.instance).run(now=desk.now)
    return [to for message in server.messages for to in message.recipients]


def out_of_office(number: int) -> bytes:
    """Each way in which programs mark a holiday notice."""
    marks = (
        {"Auto-Submitted": "auto-replied"},
        {"X-Auto-Response-Suppress": "All"},
        {"X-Auto-Response-Suppress": "DR, OOF, AutoReply", "Auto-Submitted": "auto-generated"},
        {"X-Autoreply": "yes"},
        {"Precedence": "auto_reply", "X-Autorespond": "Away"},
    )
    return make_raw(
        sender=f"u{number}@acme.test", subject="Automatic reply: Printer offline", text="I am away.\n",
        headers=marks[number % len(marks)],
    )  # fmt: skip


def bounce(number: int, about: str) -> bytes:
    to = f"u{number}@acme.test"
    return (
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.acme.test\r\nTo: help@desk.test\r\n"
        f"Subject: Undelivered Mail Returned to Sender\r\nMessage-ID: <b{number}@mx.acme.test>\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n'
        "--x\r\nContent-Type: text/plain\r\n\r\nNobody is there.\r\n"
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.acme.test\r\n\r\n"
        f"Final-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        f"--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: help@desk.test\r\nTo: {to}\r\n"
        f"Message-ID: <{about}>\r\nSubject: Re: x\r\n\r\nx\r\n--x--\r\n"
    ).encode()


def test_500_holiday_notices_cause_no_mail(sending_desk: Desk, smtp_server: SmtpServer) -> None:
    for number in range(500):
        sending_desk.deliver(out_of_office(number))
    assert sending_desk.poll().counts.ignored == 500
    assert send_all(sending_desk, smtp_server) == []
    sending_desk.deliver(make_raw())  # and a person does cause some
    sending_desk.poll()
    assert send_all(sending_desk, smtp_server) == ["ann@acme.test", "tom@desk.test"]


def test_500_bounces_cause_no_mail(sending_desk: Desk, smtp_server: SmtpServer) -> None:
    sending_desk.deliver(make_raw(sender="u7@acme.test"))
    sending_desk.poll()
    assert send_all(sending_desk, smtp_server) == ["u7@acme.test", "tom@desk.test"]
    with sending_desk.instance.database.reading() as session:
        ours = session.scalar(sa.select(OutgoingMessage.message_id).limit(1))
    assert ours is not None
    for number in range(500):
        about = ours if number == 7 else f"other{number}@else.test"
        sending_desk.deliver(bounce(number, about))
    sending_desk.poll()
    assert send_all(sending_desk, smtp_server) == ["u7@acme.test", "tom@desk.test"]
    with sending_desk.instance.database.reading() as session:
        query = sa.select(Inbound.disposition, sa.func.count()).group_by(Inbound.disposition)
        found = {disposition: number for disposition, number in session.execute(query)}
    assert found == {Disposition.TICKET: 1, Disposition.REPORT: 1, Disposition.IGNORED: 499}


def test_500_notices_that_no_header_marks_acknowledge_nobody(
    sending_desk: Desk, smtp_server: SmtpServer
) -> None:
    """Nothing but the subject shows what they are: they are tickets, and no mail goes back."""
    for number in range(500):
        sending_desk.deliver(make_raw(sender=f"u{number}@acme.test", subject="Out of office: Printer"))
    sending_desk.poll()
    assert set(send_all(sending_desk, smtp_server)) == {"tom@desk.test"}
    assert len(smtp_server.messages) == 60


def test_turning_on_over_5000_old_messages_tells_nobody(sending_desk: Desk) -> None:
    old = sending_desk.now - timedelta(days=2)
    for number in range(5_000):
        sending_desk.deliver(make_raw(sender=f"u{number}@acme.test"), at=old)
    while not sending_desk.poll().drained:
        pass
    with sending_desk.instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Ticket)) == 5_000
        assert session.scalar(sa.select(sa.func.count()).select_from(OutgoingMessage)) == 0


def test_a_run_that_is_repeated_sends_nothing_twice(sending_desk: Desk, smtp_server: SmtpServer) -> None:
    sending_desk.deliver(make_raw())
    for _ in range(3):
        sending_desk.poll()
        recipients = send_all(sending_desk, smtp_server)
    assert recipients == ["ann@acme.test", "tom@desk.test"]


def test_claims_and_new_senders_are_not_acknowledged(sending_desk: Desk, smtp_server: SmtpServer) -> None:
    sending_desk.deliver(make_raw(message_id="first@acme.test"))
    sending_desk.deliver(
        make_raw(sender="eve@else.test", headers={"In-Reply-To": "<first@acme.test>"}, subject="Re: Printer")
    )
    sending_desk.poll()
    assert [ticket.notice is not None for ticket in sending_desk.tickets()] == [False, True]
    assert send_all(sending_desk, smtp_server) == ["ann@acme.test", "tom@desk.test", "tom@desk.test"]


def test_while_everything_is_off_the_parser_asks_once_a_batch(desk: Desk) -> None:
    asked: list[str] = []

    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    with desk.instance.database.writing() as session:
        notification_settings.save(session, NotificationSettings(on=frozenset()))
    for number in range(40):
        desk.deliver(make_raw(sender=f"u{number}@acme.test"))
    sa.event.listen(desk.instance.database.engine, "before_cursor_execute", count)
    desk.poll()
    sa.event.remove(desk.instance.database.engine, "before_cursor_execute", count)
    assert len(desk.tickets()) == 40
    about = [one for one in asked if "outgoing_message" in one and "INSERT" in one]
    assert about == []
    savepoints = sum(one.startswith("SAVEPOINT") for one in asked)
    assert savepoints == 40  # the messages' own, and none for notices
