"""A reply leaves over real SMTP, its answer comes into a real mailbox and is known by its address alone."""

from __future__ import annotations

import email
from datetime import UTC, datetime
from email.policy import SMTP
from typing import Any

import pytest
import sqlalchemy as sa

from tests.factories import make_raw
from tests.inbound.test_threads import make_account
from tests.outbound.conftest import aim
from tests.rig.dovecot import DovecotMailbox
from tests.rig.smtp import SmtpServer
from webapp.desk import answers, thread_marks
from webapp.desk.answers import Answer
from webapp.desk.sending import make_deliverer
from webapp.desk.thread_marks import ThreadMarks
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.models import Disposition, Inbound

ANN = "Ann Lee <ann@acme.test>"


def replied(at: Instance, parser: ParserProcess, smtp: SmtpServer, mailbox: DovecotMailbox) -> Any:
    """Ann writes, Tom replies: his mail as the SMTP server got it."""
    aim(at, smtp.settings())
    mailbox.receive(make_raw(sender=ANN))
    assert poll(at, parser, trigger="command").counts.ticket == 1
    with at.database.writing() as session:
        actor_id = make_account(session)
    answer = Answer(text="Is it on?", to=ANN)
    answers.reply(at.database, at.vault, 1, answer, now=datetime.now(UTC), actor_id=actor_id)
    make_deliverer(at).run(now=datetime.now(UTC))
    [sent] = smtp.messages
    return email.message_from_bytes(sent.raw, policy=SMTP)


def test_an_answer_without_any_other_mark(
    at: Instance, parser: ParserProcess, smtp_server: SmtpServer, mailbox: DovecotMailbox
) -> None:
    with at.database.writing() as session:
        marks = ThreadMarks(answers_to="help@desk.test", plus_address=True, tag_form="(#{number})")
        thread_marks.save(session, marks)
    reply = replied(at, parser, smtp_server, mailbox)
    assert reply["Subject"] == "Re: Printer offline (#1)"
    reply_to = reply["Reply-To"].addresses[0].addr_spec
    assert reply_to.startswith("help+t1-")
    raw = make_raw(sender=ANN, subject="It is on", text="Yes.\n")
    mailbox.receive(raw.replace(b"To: help@desk.test", f"To: {reply_to}".encode()))
    assert poll(at, parser, trigger="command").counts.update == 1
    with at.database.reading() as session:
        row = session.scalars(sa.select(Inbound).order_by(Inbound.id.desc())).first()
    assert row is not None
    assert (row.disposition, row.ticket_id) == (Disposition.UPDATE, 1)
    assert row.saw.startswith("keyed address in To names T-1")


@pytest.mark.parametrize(
    ("marks", "reply_to"),
    [
        (ThreadMarks(), None),
        (ThreadMarks(answers_to="support@desk.test"), "support@desk.test"),
        (ThreadMarks(plus_address=True), "+t1-"),
        (ThreadMarks(plus_address=True, answers_to="a" * 60 + "@desk.test"), "a" * 60 + "@desk.test"),
    ],
)
def test_where_answers_go(
    at: Instance, parser: ParserProcess, smtp_server: SmtpServer, mailbox: DovecotMailbox,
    marks: ThreadMarks, reply_to: str | None,
) -> None:  # fmt: skip
    with at.database.writing() as session:
        thread_marks.save(session, marks)
    reply = replied(at, parser, smtp_server, mailbox)
    assert (reply["Reply-To"] is None) == (reply_to is None)
    assert reply_to is None or reply_to in reply["Reply-To"]
