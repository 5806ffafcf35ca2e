"""`servicedesk mail replay`: shows first, writes when told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.cli.conftest import Command
from tests.factories import NOW, add_people, make_raw, set_incoming
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.mailserver.memory import MemoryMailbox, MemoryServer
from webapp.models import Entry, Inbound, InboundAction, RawMessage


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    with ParserProcess() as parser:
        yield parser


@pytest.fixture
def polled(instance: Instance, parser: ParserProcess) -> Instance:
    """Three messages; of the second an older parser got the text wrong."""
    add_people(instance)
    set_incoming(instance)
    server = MemoryServer()
    for number in range(3):
        server.deliver(make_raw(subject=f"Printer {number}"), received_at=NOW)
    poll(instance, parser, trigger="command", connect=lambda _: MemoryMailbox(server), clock=lambda: NOW)
    with instance.database.writing() as session:
        session.execute(
            sa.update(Entry).where(Entry.inbound_id == 2).values(body_text="Wrong", reply_text="Wrong")
        )
    return instance


def text_of(instance: Instance) -> str:
    with instance.database.reading() as session:
        return session.scalars(sa.select(Entry.body_text).where(Entry.inbound_id == 2)).one()


def test_the_difference_is_shown_and_nothing_changed(servicedesk: Command, polled: Instance) -> None:
    said = servicedesk.ok("mail", "replay", "2")
    assert "body_text:\n  - Wrong\n  + Our printer is offline.\n" in said
    assert said.endswith("Nothing was changed. Write it down with: --apply\n")
    told = servicedesk.json("mail", "replay", "2")
    assert (told["id"], told["changed"], told["applied"]) == (2, True, False)
    assert [one["name"] for one in told["differences"]] == ["body_text", "reply_text"]
    assert told["decided"] == {"disposition": "ticket", "rule": "new-ticket"} == told["would_decide"]
    assert text_of(polled) == "Wrong"


def test_applied_once(servicedesk: Command, polled: Instance) -> None:
    assert servicedesk.ok("mail", "replay", "2", "--apply").endswith("Written.\n")
    assert text_of(polled) == "Our printer is offline."
    again = "It is understood as before. Nothing to change.\n"
    assert servicedesk.ok("mail", "replay", "2", "--apply") == again
    with polled.database.reading() as session:
        action = session.scalars(sa.select(InboundAction)).one()
    assert (action.inbound_id, action.actor) == (2, "command line")
    [row] = [row for row in servicedesk.json("mail", "log") if row["actions"]]
    assert (row["id"], row["actions"][0]["kind"], row["actions"][0]["by"]) == (2, "replay", "command line")


def test_all_of_them(servicedesk: Command, polled: Instance) -> None:
    said = servicedesk.ok("mail", "replay", "--all")
    assert said == (
        "message 2: body_text, reply_text\n"
        "3 messages read: 1 understood otherwise, nothing written, see --apply.\n"
    )
    assert servicedesk.ok("mail", "replay", "--all", "--apply").endswith(
        "1 understood otherwise, 1 written.\n"
    )
    assert servicedesk.json("mail", "replay", "--all") == []
    assert text_of(polled) == "Our printer is offline."


def test_those_since_a_time(servicedesk: Command, polled: Instance) -> None:
    with polled.database.writing() as session:
        session.execute(sa.update(Inbound).where(Inbound.id == 2).values(recorded_at=NOW.replace(year=2025)))
    said = servicedesk.ok("mail", "replay", "--since", "2026-11-23T12:00Z", "--apply")
    assert said == "2 messages read: 0 understood otherwise, 0 written.\n"
    assert text_of(polled) == "Wrong"


def test_messages_no_longer_kept_are_counted(servicedesk: Command, polled: Instance) -> None:
    with polled.database.writing() as session:
        session.execute(sa.delete(RawMessage).where(RawMessage.inbound_id == 1))
    assert "2 messages read, 1 no longer kept: 1 understood" in servicedesk.ok("mail", "replay", "--all")
    assert "no longer kept" in servicedesk.refused("mail", "replay", "1")


def test_another_decision_is_said(servicedesk: Command, polled: Instance) -> None:
    add_people(polled, b"email,name,company\nzoe@acme.test,Zoe,Acme Ltd\n")
    with polled.database.writing() as session:
        session.execute(sa.update(Inbound).where(Inbound.id == 3).values(rule="other-automated"))
    assert "(ticket by other-automated -> ticket by new-ticket)" in servicedesk.ok("mail", "replay", "3")


@pytest.mark.parametrize("arguments", [[], ["2", "--all"], ["--all", "--since", "2026-11-23"]])
def test_one_way_to_name_messages(servicedesk: Command, arguments: list[str]) -> None:
    said = servicedesk.refused("mail", "replay", *arguments, code=2)
    assert said.startswith("Name one message by its ID, or --since TIME, or --all.")


def test_a_message_that_is_not_there(servicedesk: Command, polled: Instance) -> None:
    assert servicedesk.refused("mail", "replay", "9") == "There is no message 9 in the email log."
