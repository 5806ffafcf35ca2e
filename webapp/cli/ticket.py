"""`servicedesk ticket`: read and answer tickets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from webapp.cli.group import echo, echo_json, echo_table, json_option, now, opened, read_file
from webapp.cli.staff import working_account
from webapp.desk import answers, reply_recipients, ticket_work
from webapp.desk.answers import MAX_CHARACTERS, Answer
from webapp.desk.reply_settings import MAX_FILES_MB, MEGABYTE
from webapp.desk.ticket_work import WorkRefused
from webapp.desk.tickets import ticket_as_dict, tickets_as_dicts
from webapp.instance import Instance
from webapp.mail.conversation import File
from webapp.models import Ticket, TicketStatus


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
    if note and (attached or to is not None or cc is not None or status or no_quote):
        raise click.UsageError("An internal note has only a text: leave out the other options")
    text = _read_text(text_file)
    files = _read_files(attached)
    with opened() as instance:
        try:
            if note:
                told = _add_note(instance, number, by, text)
            else:
                wanted = _Wanted(text, to, cc, TicketStatus(status or "waiting"), not no_quote, files)
                told = _reply(instance, number, by, wanted)
        except WorkRefused as refused:
            raise click.ClickException(str(refused)) from refused
    if as_json:
        echo_json(told)
    elif note:
        echo(f"T-{number}: note added.")
    else:
        echo(f"T-{number}: the reply to {', '.join(told['to'] + told['cc'])} is in the outbox.")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A reply as it was asked for; without `to` or `cc`: as the ticket suggests."""

    text: str
    to: str | None
    cc: str | None
    status: TicketStatus
    quote: bool
    files: list[File]


def _add_note(instance: Instance, number: int, by: str, text: str) -> dict[str, Any]:
    with instance.database.writing() as session:
        found, actor = _found(ticket_work.load(session, number), number), working_account(session, by)
        ticket_work.add_note(session, found, text, now=now(), actor=actor)
    return {"number": number, "kind": "note"}


def _reply(instance: Instance, number: int, by: str, wanted: _Wanted) -> dict[str, Any]:
    with instance.database.reading() as session:
        found, actor = _found(session.get(Ticket, number), number), working_account(session, by)
        suggested = reply_recipients.suggested(session, found)
    answer = Answer(
        text=wanted.text,
        to=suggested.to if wanted.to is None else wanted.to,
        cc=suggested.cc if wanted.cc is None else wanted.cc,
        status=wanted.status,
        quote=wanted.quote,
        files=wanted.files,
    )
    entry = answers.reply(instance.database, instance.vault, number, answer, now=now(), actor_id=actor.id)
    people = entry.recipients or {}
    return {
        "number": number,
        "kind": "reply",
        "message_id": entry.message_id,
        "to": [address for _, address in people["to"]],
        "cc": [address for _, address in people["cc"]],
    }


def _found(ticket: Ticket | None, number: int) -> Ticket:
    if ticket is None:
        raise click.ClickException(f"There is no ticket T-{number}.")
    return ticket


def _read_text(name: str) -> str:
    """Raises for what no reply can have, before it is read whole."""
    most = MAX_CHARACTERS * 4 + 1  # octets of one letter
    octets = sys.stdin.buffer.read(most) if name == "-" else read_file(name, most)
    if len(octets) == most:
        raise click.ClickException(f"The text is too long: at most {MAX_CHARACTERS:,} characters fit.")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException("The text is not UTF-8.") from error


def _read_files(names: Sequence[str]) -> list[File]:
    """No more of each than what is refused anyway."""
    return [File(Path(name).name, read_file(name, MAX_FILES_MB * MEGABYTE + 1)) for name in names]


def _who(shown: dict[str, Any]) -> str:
    return shown["requester"] or f"unknown sender {shown['sender'] or ''}".strip()
