"""`servicedesk ticket`: read tickets."""

from __future__ import annotations

from typing import Any

import click

from webapp.cli.group import echo, echo_json, echo_table, json_option, opened
from webapp.desk.tickets import ticket_as_dict, tickets_as_dicts


class TicketNumber(click.ParamType[int]):
    """1042, or T-1042 as people write it."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        digits = str(value).upper().removeprefix("T-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            self.fail(f"{value!r} is not a ticket's number, such as 1042 or T-1042.", param, ctx)
        return int(digits)


@click.group()
def ticket() -> None:
    """Tickets."""


@ticket.command("list")
@click.option("--limit", type=click.IntRange(1), help="At most this many, the newest.")
@json_option
def list_tickets(limit: int | None, as_json: bool) -> None:
    """All tickets, the one last changed first."""
    with opened() as instance, instance.database.reading() as session:
        tickets = tickets_as_dicts(session, limit=limit)
    if as_json:
        echo_json(tickets)
        return
    rows = [(f"T-{t['number']}", t["status"], t["company"] or "-", _who(t), t["subject"]) for t in tickets]
    if not rows:
        click.echo("No tickets yet. New mail to the incoming mailbox will appear here.")
        return
    echo_table(rows, ("number", "status", "company", "requester", "subject"))


@ticket.command("show")
@click.argument("number", type=TicketNumber())
@json_option
def show_ticket(number: int, as_json: bool) -> None:
    """One ticket with its conversation."""
    with opened() as instance, instance.database.reading() as session:
        shown = ticket_as_dict(session, number)
    if shown is None:
        raise click.ClickException(f"There is no ticket T-{number}.")
    if as_json:
        echo_json(shown)
        return
    echo(f"T-{shown['number']}  {shown['subject']}")
    echo(f"{shown['status']} · {_who(shown)} · {shown['company'] or 'no company'}")
    for entry in shown["entries"]:
        echo(f"\n--- {entry['sender'] or 'unknown'} · {entry['at']:%Y-%m-%d %H:%M} UTC · {entry['kind']}")
        echo(entry["text"])
        for file in entry["attachments"]:
            echo(f"[{file['filename']} · {file['content_type']} · {file['size']} octets]")


def _who(shown: dict[str, Any]) -> str:
    return shown["requester"] or f"unknown sender {shown['sender'] or ''}".strip()
