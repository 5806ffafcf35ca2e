"""`servicedesk invoice`: send an invoice another program made, list what was sent."""

from __future__ import annotations

from typing import Any

import click
import sqlalchemy as sa

from webapp.cli.group import echo, echo_json, echo_table, json_option, now, opened, read_file
from webapp.desk import invoice_settings, invoices, options
from webapp.desk.invoice_form import MAX_PDF, Entries, InvoiceRefused
from webapp.models import DeliveryState, Invoice, OutgoingMessage
from webapp.outbound.outbox import WAITING

ACTOR = "command line"
WORDS = {  # of a refused field, as its option is called
    "number": "--number",
    "to": "--to",
    "company": "--company",
    "issued_on": "--date",
    "due_on": "--due",
    "total": "--total",
    "currency": "--currency",
    "subject": "--subject",
    "text": "--text-file",
    "pdf": "FILE",
}


@click.group()
def invoice() -> None:
    """Invoices."""


@invoice.command("send")
@click.argument("file", metavar="FILE.pdf")
@click.option("--to", "recipients", metavar="ADDR", multiple=True, required=True, help="May be given again.")
@click.option("--number", required=True, help="The invoice's number; each is sent once.")
@click.option("--company", default="", help="Whom it is made out to.")
@click.option("--date", "issued_on", metavar="DATE", default="", help="Such as 2026-11-24; default: today.")
@click.option("--due", "due_on", metavar="DATE", default="", help="When it is due.")
@click.option("--total", default="", help="Such as 1234.50, for the list and the mail.")
@click.option("--currency", default="", help="Such as EUR; default: the one of the settings.")
@click.option("--subject", default="", help="Instead of the settings' wording; {number} and the like work.")
@click.option("--text-file", metavar="FILE", help="The mail's text, UTF-8, instead of the settings' wording.")
@json_option
def send(
    file: str,
    recipients: tuple[str, ...],
    number: str,
    company: str,
    issued_on: str,
    due_on: str,
    total: str,
    currency: str,
    subject: str,
    text_file: str | None,
    as_json: bool,
) -> None:
    """Send a PDF as an invoice, through the Invoice row and no other.

    The mail is in the outbox afterwards: the service desk that runs sends it, or `servicedesk outbox deliver`
    does. Ends with 1 where it is kept and not sent because Invoice email is off.
    """
    pdf = read_file(file, MAX_PDF + 1)
    text = _read_text(text_file) if text_file else ""
    with opened() as instance:
        with instance.database.reading() as session:
            settings, zone = invoice_settings.load(session), options.time_zone(session)
        entries = Entries(
            number=number,
            to="\n".join(recipients),
            company=company,
            issued_on=issued_on or now().astimezone(zone).date().isoformat(),
            due_on=due_on,
            currency=currency.upper() or settings.currency,
            total=total,
            subject=subject or settings.subject,
            text=text or settings.text,
            pdf=pdf,
        )
        try:
            sent = invoices.send(instance.database, instance.vault, entries, now=now(), by=ACTOR)
        except InvoiceRefused as refused:
            told = [
                f"{WORDS[name]}: {said}" if name in WORDS else said for name, said in refused.errors.items()
            ]
            raise click.ClickException("Not sent. " + " ".join(told)) from refused
        with instance.database.reading() as session:
            shown = _as_dict(sent, invoices.messages_of(session, [sent.id]).get(sent.id, []))
    off = [one["error"] for one in shown["deliveries"] if one["state"] == DeliveryState.NOT_SENT.value]
    if as_json:
        echo_json(shown)
    elif not off:
        echo(f"Invoice {sent.number} to {', '.join(sent.recipients)} is in the outbox.")
    if off:
        raise click.ClickException(f"Invoice {sent.number} is kept. {off[0]}")


@invoice.command("list")
@click.option("--limit", type=click.IntRange(1), help="At most this many, the newest.")
@json_option
def list_invoices(limit: int | None, as_json: bool) -> None:
    """All invoices, the newest first, with what became of each mail."""
    with opened() as instance, instance.database.reading() as session:
        found = session.scalars(sa.select(Invoice).order_by(Invoice.id.desc()).limit(limit)).all()
        messages = invoices.messages_of(session, [one.id for one in found])
        shown = [_as_dict(one, messages.get(one.id, [])) for one in found]
    if as_json:
        echo_json(shown)
        return
    if not shown:
        click.echo("No invoices yet.")
        return
    rows = [
        (
            one["number"],
            one["company"] or "-",
            f"{one['total']} {one['currency']}" if one["total"] else "-",
            one["due"] or "-",
            one["state"],
            ", ".join(each["to"] for each in one["deliveries"]),
        )
        for one in shown
    ]
    echo_table(rows, ("number", "company", "total", "due", "state", "to"))


def _as_dict(one: Invoice, messages: list[OutgoingMessage]) -> dict[str, Any]:
    deliveries = [
        {
            "id": delivery.id,
            "to": delivery.recipient,
            "state": delivery.state.value,
            "error": delivery.error,
            "server_words": delivery.server_words,
            "message_id": message.message_id,
        }
        for message in messages
        for delivery in message.deliveries
    ]
    return {
        "id": one.id,
        "number": one.number,
        "company": one.company_name,
        "date": one.issued_on.isoformat(),
        "due": one.due_on.isoformat() if one.due_on else None,
        "total": one.total or None,
        "currency": one.currency,
        "source": one.source.value,
        "state": _state([delivery.state for message in messages for delivery in message.deliveries]),
        "created_at": one.created_at,
        "created_by": one.created_by,
        "deliveries": deliveries,
    }


def _state(states: list[DeliveryState]) -> str:
    """Of all deliveries in one word: the worst, a waiting one where some still wait."""
    for state in (DeliveryState.FAILED, DeliveryState.UNCERTAIN, *WAITING, DeliveryState.NOT_SENT):
        if state in states:
            return state.value
    return DeliveryState.SENT.value


def _read_text(name: str) -> str:
    try:
        return read_file(name, 1_000_000).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{name} is not UTF-8.") from error
