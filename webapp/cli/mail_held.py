"""`servicedesk mail held`: mail that waits for a decision, and the decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from webapp.cli.group import echo, echo_json, echo_table, json_option, now, opened
from webapp.cli.staff import by_option, working_account
from webapp.desk import held_mail
from webapp.desk.held_mail import HeldRow
from webapp.inbound import held
from webapp.inbound.again import AgainRefused
from webapp.inbound.held import HeldRefused
from webapp.instance import Instance
from webapp.models import Account

ID = click.IntRange(1, 2_147_483_647)


@click.group("held")
def held_messages() -> None:
    """Mail that names a ticket to which its sender may not write, and waits for a decision."""


@held_messages.command("list")
@click.option("--decided", is_flag=True, help="What somebody has decided about instead, the newest first.")
@click.option("--limit", type=click.IntRange(1), help="At most this many.")
@json_option
def list_held(decided: bool, limit: int | None, as_json: bool) -> None:
    """What waits, oldest first."""
    with opened() as instance, instance.database.reading() as session:
        read = held_mail.settled if decided else held_mail.waiting
        rows = [_as_dict(row) for row in read(session, limit=limit)]
    if as_json:
        echo_json(rows)
        return
    if not rows:
        echo(
            "Nobody has decided about a held message yet." if decided else "No message waits for a decision."
        )
        return
    table = [
        (r["id"], f"{r['received_at']:%Y-%m-%d %H:%M}", f"T-{r['names']}", r["from"] or "-",
         r["verdict"] or "-", r["subject"][:60])
        for r in rows
    ]  # fmt: skip
    echo_table(table, ("id", "received (UTC)", "names", "from", "decided", "subject"))


@held_messages.command("join")
@click.argument("message", type=ID, metavar="ID")
@click.option("--participant", is_flag=True, help="Its sender may write there from now on, and gets replies.")
@by_option
def join(message: int, participant: bool, by: str) -> None:
    """Add it to the ticket it names."""

    def act(instance: Instance, actor: Account) -> str:
        ticket = held.join(instance, message, as_participant=participant, now=now(), actor=actor)
        return f"Message {message} was joined to T-{ticket}."

    _do(by, act)


@held_messages.command("ticket")
@click.argument("message", type=ID, metavar="ID")
@by_option
def make_ticket(message: int, by: str) -> None:
    """Give it a ticket of its own."""

    def act(instance: Instance, actor: Account) -> str:
        ticket = held.make_ticket(instance, message, now=now(), actor=actor)
        return f"T-{ticket} was made from message {message}."

    _do(by, act)


@held_messages.command("refuse")
@click.argument("messages", type=ID, metavar="ID...", nargs=-1, required=True)
@by_option
def refuse(messages: tuple[int, ...], by: str) -> None:
    """Make no ticket of them. One that waits no longer stops nothing."""

    def act(instance: Instance, actor: Account) -> str:
        refused = held.refuse_all(instance, messages, now=now(), actor=actor)
        if refused == 0:
            raise HeldRefused("None of these waits for a decision. Nothing was changed.")
        late = len(set(messages)) - refused
        return f"{refused} refused." + (f" {late} did not wait for a decision." if late else "")

    _do(by, act)


@held_messages.command("block")
@click.argument("message", type=ID, metavar="ID")
@by_option
def block(message: int, by: str) -> None:
    """Refuse it, and ignore mail of its sender from now on."""

    def act(instance: Instance, actor: Account) -> str:
        blocked = held.block(instance, message, now=now(), actor=actor)
        return f"Refused. Mail from {blocked} is ignored from now on."

    _do(by, act)


@held_messages.command("undo")
@click.argument("message", type=ID, metavar="ID")
@by_option
def undo(message: int, by: str) -> None:
    """Hold it again: out of the ticket it was joined to, its sender off the block list."""

    def act(instance: Instance, actor: Account) -> str:
        held.undo(instance, message, now=now(), actor=actor)
        return f"Message {message} waits for a decision again."

    _do(by, act)


def _do(by: str, act: Callable[[Instance, Account], str]) -> None:
    with opened() as instance:
        with instance.database.reading() as session:
            actor = working_account(session, by)
        try:
            echo(act(instance, actor))
        except (HeldRefused, AgainRefused) as refused:
            raise click.ClickException(str(refused)) from refused


def _as_dict(row: HeldRow) -> dict[str, Any]:
    message, decision = row.inbound, row.held
    return {
        "id": message.id, "received_at": message.received_at, "from": message.from_addr,
        "from_name": message.from_name, "subject": message.subject, "names": row.claimed.id,
        "saw": message.saw, "text": decision.preview,
        "verdict": decision.verdict.value if decision.verdict else None,
        "decided_by": decision.settled_by or None, "decided_at": decision.settled_at,
        "ticket": message.ticket_id,
    }  # fmt: skip
