"""What is written into the outbox, and when nothing is."""

from __future__ import annotations

from contextlib import suppress

import pytest
import sqlalchemy as sa

from tests.factories import NOW, set_row
from tests.outbound.conftest import Outbox, make_outgoing
from tests.rig.smtp import SmtpServer
from webapp.instance import Instance
from webapp.models import (
    Delivery,
    Disposition,
    Inbound,
    MailboxIdentity,
    OutgoingKind,
    OutgoingMessage,
    Placement,
    Row,
    UndeliverableAddress,
)
from webapp.outbound import wake
from webapp.outbound.outbox import counts, enqueue


def test_one_message_and_a_delivery_a_recipient_deduplicated(outbox: Outbox, server: SmtpServer) -> None:
    outbox.write("ann@acme.test", "Ann@ACME.test", "amy@acme.test")
    assert outbox.states() == {"ann@acme.test": "queued", "amy@acme.test": "queued"}


def test_a_row_that_is_off_or_missing_queues_nothing(
    outbox: Outbox, server: SmtpServer, instance: Instance
) -> None:
    outbox.write(row=Row.INVOICE, kind=OutgoingKind.INVOICE)
    assert (outbox.one().state.value, outbox.one().error) == (
        "not-sent",
        "Not sent: Invoice is off. Turn it on and send this again.",
    )
    set_row(instance, Row.OUTGOING, password=None, active="false")
    off = outbox.write()
    assert outbox.one(off).state.value == "not-sent"
    set_row(instance, Row.OUTGOING, password=None, active="true")
    outbox.deliver()
    assert server.messages == []
    assert outbox.one(off).state.value == "not-sent"


def test_an_address_known_not_to_exist_fails_at_once(
    outbox: Outbox, server: SmtpServer, instance: Instance
) -> None:
    with instance.database.writing() as session:
        session.add(UndeliverableAddress(addr_key="gone@acme.test", since=NOW, why="550 5.1.1 no such user"))
    outbox.write("Gone@acme.test", "ann@acme.test")
    outbox.deliver()
    assert outbox.states() == {"Gone@acme.test": "failed", "ann@acme.test": "sent"}
    assert "does not exist" in outbox.all()[0].error
    assert [message.recipients for message in server.messages] == [["ann@acme.test"]]


def test_the_same_cause_writes_once(outbox: Outbox, server: SmtpServer, instance: Instance) -> None:
    inbound_id = _inbound(instance)
    for _ in range(2):
        with instance.database.writing() as session:
            enqueue(
                session, make_outgoing(), ["ann@acme.test"], row=Row.OUTGOING,
                kind=OutgoingKind.ACKNOWLEDGEMENT, created_by="parser", now=NOW, inbound_id=inbound_id,
                cause_key="ann@acme.test",
            )  # fmt: skip
    with instance.database.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(OutgoingMessage)) == 1


@pytest.mark.parametrize(
    "recipients", [[], ["ann"], ["Ann <ann@acme.test>"], ["ann@acme.test\r\nRCPT TO:<x@y.z>"]]
)
def test_what_is_no_address_is_refused_and_nothing_written(instance: Instance, recipients: list[str]) -> None:
    with pytest.raises(ValueError, match=r"address|recipient"), instance.database.writing() as session:
        enqueue(
            session, make_outgoing(), recipients, row=Row.OUTGOING, kind=OutgoingKind.REPLY,
            created_by="x", now=NOW,
        )  # fmt: skip
    with instance.database.reading() as session:
        assert session.scalar(sa.select(OutgoingMessage.id)) is None


def test_word_goes_out_after_the_commit_and_only_then(outbox: Outbox, instance: Instance) -> None:
    heard: list[int] = []

    def look() -> None:
        with instance.database.reading() as session:
            heard.append(session.scalar(sa.select(sa.func.count()).select_from(Delivery)) or 0)

    forget = wake.listen(look)
    try:
        with suppress(ZeroDivisionError), instance.database.writing() as session:
            _enqueue_one(session)
            _ = 1 / 0
        assert heard == []
        with instance.database.writing() as session:
            with session.begin_nested():
                _enqueue_one(session)
            assert heard == []
        assert heard == [1]
    finally:
        forget()
    outbox.write()
    assert heard == [1]


def test_counts(outbox: Outbox, server: SmtpServer, instance: Instance) -> None:
    server.refuse["bob@binder.test"] = "550 5.1.1 no such user"
    outbox.write("bob@binder.test", "ann@acme.test")
    outbox.deliver()
    outbox.write("amy@acme.test")
    with instance.database.reading() as session:
        told = counts(session)
    assert (told.waiting, told.failed, told.uncertain, told.attention) == (1, 1, 0, 1)


def _enqueue_one(session: sa.orm.Session) -> None:
    enqueue(
        session, make_outgoing(), ["ann@acme.test"], row=Row.OUTGOING, kind=OutgoingKind.REPLY,
        created_by="x", now=NOW,
    )  # fmt: skip


def _inbound(instance: Instance) -> int:
    with instance.database.writing() as session:
        mailbox = MailboxIdentity(protocol="imap", host="h", port=993, account="a")
        session.add(mailbox)
        session.flush()
        inbound = Inbound(
            mailbox_id=mailbox.id, epoch="1", remote_key="1", sha256="0" * 64, fingerprint="0" * 64, size=1,
            received_at=NOW, recorded_at=NOW, subject="", from_name="", disposition=Disposition.TICKET,
            rule="new-ticket", saw="", placement=Placement.ARCHIVED, trace=[], defects=[],
        )  # fmt: skip
        session.add(inbound)
        session.flush()
        return inbound.id
