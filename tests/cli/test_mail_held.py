"""`servicedesk mail held`: the queue and the decisions about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.conftest import Command
from tests.factories import NOW, add_people, make_raw, set_incoming
from webapp.desk import accounts, incoming_rules
from webapp.desk.incoming_rules import IncomingRules
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.mailserver.memory import MemoryMailbox, MemoryServer
from webapp.models import Role

BY = ("--by", "bob@desk.test")


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    with ParserProcess() as parser:
        yield parser


@pytest.fixture(autouse=True)
def held(instance: Instance, parser: ParserProcess) -> None:
    """T-1 of Ann, and messages 2 to 4 of strangers who name it."""
    add_people(instance)
    set_incoming(instance)
    with instance.database.writing() as session:
        incoming_rules.save(session, IncomingRules(hold_claims=True))
        for email, role in (("bob@desk.test", Role.TECHNICIAN), ("vera@desk.test", Role.VIEWER)):
            accounts.create_account(
                session, email=email, name=email, password="correct horse battery", role=role, now=NOW,
                actor="test",
            )  # fmt: skip
    server = MemoryServer()
    server.deliver(make_raw(message_id="first@acme.test"), received_at=NOW)
    for name in ("carl", "dora", "emil"):
        raw = make_raw(
            sender=f"{name}@new.test", subject=f"Re: {name}", text=f"It is {name}.\n",
            headers={"In-Reply-To": "<first@acme.test>"},
        )  # fmt: skip
        server.deliver(raw, received_at=NOW)
    poll(instance, parser, trigger="command", connect=lambda _: MemoryMailbox(server), clock=lambda: NOW)


def test_the_list(servicedesk: Command) -> None:
    rows = servicedesk.json("mail", "held", "list")
    assert [row["id"] for row in rows] == [2, 3, 4]
    assert rows[0] | {"received_at": "", "saw": ""} == {
        "id": 2, "received_at": "", "from": "carl@new.test", "from_name": "carl@new.test",
        "subject": "Re: carl", "names": 1, "saw": "", "text": "It is carl.", "verdict": None,
        "decided_by": None, "decided_at": None, "ticket": None,
    }  # fmt: skip
    assert len(servicedesk.json("mail", "held", "list", "--limit", "2")) == 2
    told = servicedesk.ok("mail", "held", "list")
    assert "T-1" in told
    assert "carl@new.test" in told
    assert servicedesk.ok("mail", "held", "list", "--decided").startswith("Nobody has decided")
    assert [row["disposition"] for row in servicedesk.json("mail", "log", "--outcome", "held")] == [
        "held"
    ] * 3


def test_decisions_and_their_undoing(servicedesk: Command) -> None:
    said = servicedesk.ok("mail", "held", "join", "2", "--participant", *BY)
    assert said == "Message 2 was joined to T-1.\n"
    assert servicedesk.ok("mail", "held", "ticket", "3", *BY) == "T-2 was made from message 3.\n"
    assert servicedesk.ok("mail", "held", "refuse", "4", "2", *BY) == (
        "1 refused. 1 did not wait for a decision.\n"
    )
    assert servicedesk.ok("mail", "held", "list") == "No message waits for a decision.\n"
    decided = servicedesk.json("mail", "held", "list", "--decided")
    assert {row["id"]: (row["verdict"], row["ticket"]) for row in decided} == {
        2: ("joined", 1), 3: ("ticket", 2), 4: ("refused", None),
    }  # fmt: skip
    assert servicedesk.ok("mail", "held", "undo", "4", *BY) == "Message 4 waits for a decision again.\n"
    assert servicedesk.ok("mail", "held", "block", "4", *BY) == (
        "Refused. Mail from emil@new.test is ignored from now on.\n"
    )


def test_refusals_are_one_line(servicedesk: Command) -> None:
    servicedesk.ok("mail", "held", "refuse", "2", *BY)
    assert servicedesk.refused("mail", "held", "join", "2", *BY) == (
        "bob@desk.test has decided about this message already: refused."
    )
    assert servicedesk.refused("mail", "held", "refuse", "2", "1", *BY) == (
        "None of these waits for a decision. Nothing was changed."
    )
    assert servicedesk.refused("mail", "held", "ticket", "1", *BY) == "There is no held message 1."
    vera = servicedesk.refused("mail", "held", "refuse", "3", "--by", "vera@desk.test")
    assert vera == "vera@desk.test may not work on tickets."
    assert "There is no account" in servicedesk.refused("mail", "held", "refuse", "3", "--by", "x@y.test")
    assert "--by" in servicedesk.refused("mail", "held", "refuse", "3", code=2)
    assert [row["id"] for row in servicedesk.json("mail", "held", "list")] == [3, 4]
