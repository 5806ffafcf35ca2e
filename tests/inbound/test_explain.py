"""The same decision as the parser's, without doing anything."""

from __future__ import annotations

from tests.factories import NOW, make_raw
from tests.inbound.conftest import Desk
from webapp.inbound.explain import explain_message


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
