"""The same decision as the parser's, without doing anything."""

from __future__ import annotations

import dataclasses

import pytest

from tests.factories import NOW, make_raw
from tests.inbound.conftest import Desk
from webapp.inbound.explain import explain_message
from webapp.inbound.facts import FactsReader
from webapp.inbound.parser_process import ParserDied, ParserProcess


def test_it_says_what_would_happen_and_changes_nothing(desk: Desk) -> None:
    desk.deliver(make_raw(message_id="first@acme.test"))
    desk.poll()
    reply = make_raw(sender="bob@binder.test", headers={"In-Reply-To": "<first@acme.test>"})
    message, decision = explain_message(desk.instance, reply, received_at=NOW)
    assert (message.sender.addr_spec, decision.disposition, decision.rule) == (
        "bob@binder.test",
        "claim",
        "thread-claim",
    )
    assert len(desk.tickets()) == len(desk.ledger()) == 1


def test_a_message_already_processed_is_said_to_be_one(desk: Desk) -> None:
    raw = make_raw()
    desk.deliver(raw)
    desk.poll()
    _, decision = explain_message(desk.instance, raw, received_at=NOW)
    assert (decision.rule, decision.saw.endswith("already T-1")) == ("duplicate", True)


def test_a_message_over_the_limit_is_judged_by_its_header_as_a_run_does(desk: Desk) -> None:
    settings = dataclasses.replace(desk.instance.settings, max_message_mb=1)
    desk.instance = dataclasses.replace(desk.instance, settings=settings)
    raw = make_raw(subject="Huge", files=[("big.bin", b"x" * 1_500_000)])
    message, decision = explain_message(desk.instance, raw, received_at=NOW)
    assert (message.subject, message.attachments, decision.rule) == ("Huge", (), "new-ticket")
    assert "over the limit of 1 MB" in message.body_text
    desk.deliver(raw, at=NOW)
    desk.poll()
    _, decision = explain_message(desk.instance, raw, received_at=NOW)
    assert decision.rule == "duplicate"  # the octets that stand for it are the same


def test_a_message_that_cannot_be_read_or_judged_would_be_quarantined(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise ParserDied("ended by signal 9")

    def chokes(*_: object) -> None:
        raise LookupError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(ParserProcess, "parse", dies)
        _, decision = explain_message(desk.instance, make_raw(), received_at=NOW)
    assert (decision.disposition, decision.trace[0].rule) == ("quarantined", "before-cutoff")
    with monkeypatch.context() as broken:
        broken.setattr(FactsReader, "gather", chokes)
        _, decision = explain_message(desk.instance, make_raw(), received_at=NOW)
    assert (decision.disposition, decision.saw) == ("quarantined", "could not be processed: LookupError")
