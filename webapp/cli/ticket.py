"""`servicedesk ticket`: read and answer tickets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.cli.group import echo, echo_json, echo_table, json_option, now, opened
from webapp.desk import answers, reply_recipients, ticket_work
from webapp.desk.answers import Answer
from webapp.desk.ticket_work import WorkRefused
from webapp.desk.tickets import ticket_as_dict, tickets_as_dicts
from webapp.mail.address import fold_addr_spec
from webapp.mail.conversation import File
from webapp.models import Account, Role, TicketStatus


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


@ticket.command("reply")
@click.argument("number", type=TicketNumber())
@click.option("--by", "by", metavar="EMAIL", required=True, help="Whose words these are: an account.")
@click.option("--note", is_flag=True, help="An internal note: only staff see it, nothing is sent.")
@click.option(
    "--text-file",
    metavar="FILE",
    default="-",
    show_default=True,
    help="The text, UTF-8; - is standard input.",
)
@click.option(
    "--attach", "attached", metavar="FILE", multiple=True, type=click.Path(exists=True, dir_okay=False),
    help="A file to go along; may be given again.",
)  # fmt: skip
@click.option("--to", metavar="ADDRESSES", help="Instead of the requester.")
@click.option("--cc", metavar="ADDRESSES", help="Instead of the participants.")
@click.option("--status", type=click.Choice(["waiting", "open", "closed"]), help="Default: waiting.")
@click.option("--no-quote", is_flag=True, help="Without the customer's last message below.")
@json_option
def reply(
    number: int,
    by: str,
    note: bool,
    text_file: str,
    attached: tuple[str, ...],
    to: str | None,
    cc: str | None,
    status: str | None,
    no_quote: bool,
    as_json: bool,
) -> None:
    """Answer a ticket's customer, or add an internal note.

    The mail is in the outbox then: the service desk that runs sends it, or `servicedesk outbox deliver`.
    """
    if note and (attached or to or cc or status or no_quote):
        raise click.UsageError("An internal note has only a text: leave out the other options")
    text = _read_text(text_file)
    files = [File(Path(name).name, _read_file(name)) for name in attached]
    with opened() as instance, instance.database.writing() as session:
        found, actor = ticket_work.load(session, number), _account(session, by)
        if found is None:
            raise click.ClickException(f"There is no ticket T-{number}.")
        try:
            if note:
                ticket_work.add_note(session, found, text, now=now(), actor=actor)
                told: dict[str, Any] = {"number": number, "kind": "note"}
            else:
                suggested = reply_recipients.suggested(session, found)
                answer = Answer(
                    text=text,
                    to=suggested.to if to is None else to,
                    cc=suggested.cc if cc is None else cc,
                    status=TicketStatus(status or "waiting"),
                    quote=not no_quote,
                    files=files,
                )
                entry = answers.reply(session, instance.vault, found, answer, now=now(), actor=actor)
                people = entry.recipients or {}
                told = {
                    "number": number,
                    "kind": "reply",
                    "message_id": entry.message_id,
                    "to": [address for _, address in people["to"]],
                    "cc": [address for _, address in people["cc"]],
                }
        except WorkRefused as refused:
            raise click.ClickException(str(refused)) from refused
    if as_json:
        echo_json(told)
    elif note:
        echo(f"T-{number}: note added.")
    else:
        echo(f"T-{number}: the reply to {', '.join(told['to'] + told['cc'])} is in the outbox.")


def _account(session: Session, email: str) -> Account:
    query = sa.select(Account).where(Account.email_key == fold_addr_spec(email))
    found = session.scalar(query)
    if found is None:
        raise click.ClickException(f"There is no account {email}. `servicedesk user list` shows all.")
    if not found.enabled or found.role is Role.VIEWER:
        raise click.ClickException(f"{email} may not work on tickets.")
    return found


def _read_text(name: str) -> str:
    try:
        octets = sys.stdin.buffer.read() if name == "-" else _read_file(name)
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException("The text is not UTF-8.") from error


def _read_file(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}.") from error


def _who(shown: dict[str, Any]) -> str:
    return shown["requester"] or f"unknown sender {shown['sender'] or ''}".strip()
