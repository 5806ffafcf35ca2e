"""`servicedesk outbox`: what is sent, what waits, what failed, and trying again."""

from __future__ import annotations

from typing import Any

import click
import sqlalchemy as sa

from webapp.cli.group import echo, echo_json, echo_table, json_option, moment_of, now, opened
from webapp.desk import audit
from webapp.desk.sending import make_deliverer
from webapp.instance import Instance
from webapp.models import Delivery, DeliveryState, OutgoingMessage
from webapp.outbound import by_hand, trouble
from webapp.outbound.deliver import SENDING_ROWS

ACTOR = "command line"


@click.group()
def outbox() -> None:
    """Mail this service desk sends."""


@outbox.command("list")
@click.option("--state", type=click.Choice([state.value for state in DeliveryState]), help="Only these.")
@click.option("--limit", type=click.IntRange(1), help="At most this many, the newest.")
@json_option
def list_deliveries(state: str | None, limit: int | None, as_json: bool) -> None:
    """Every delivery, one for each recipient of each message, the newest first."""
    with opened() as instance, instance.database.reading() as session:
        query = sa.select(Delivery, OutgoingMessage).join(OutgoingMessage).order_by(Delivery.id.desc())
        if state is not None:
            query = query.where(Delivery.state == DeliveryState(state))
        rows = [_as_dict(delivery, message) for delivery, message in session.execute(query.limit(limit))]
    if as_json:
        echo_json(rows)
    elif not rows:
        click.echo("Nothing was sent yet." if state is None else f"Nothing is {state}.")
    else:
        shown = [(row["id"], row["state"], row["to"], row["subject"], row["error"]) for row in rows]
        echo_table(shown, ("id", "state", "to", "subject", "why"))


@outbox.command("deliver")
@json_option
def deliver(as_json: bool) -> None:
    """Send what is due now, until nothing is.

    A mail server that fails, or refuses to sign in, is not asked before its time; its mail waits.
    """
    with opened() as instance:
        worker = make_deliverer(instance)
        try:
            tried = worker.run()
        finally:
            worker.stop()
        told = {"tried": tried, **_what_is_left(instance)}
    if as_json:
        echo_json(told)
        return
    echo(f"{tried} messages tried, {told['waiting']} deliveries still wait.")
    for sentence in told["trouble"]:
        echo(sentence)


@outbox.command("resend")
@click.argument("delivery_id", metavar="ID", type=click.IntRange(1, 2**31 - 1), required=False)
@click.option("--failed-since", metavar="TIME", help="All that failed since then (ISO 8601).")
@click.option("--even-if-it-arrives-twice", "despite_doubt", is_flag=True, help="Also one that is uncertain.")
def resend(delivery_id: int | None, failed_since: str | None, despite_doubt: bool) -> None:
    """Send delivery ID of `outbox list` again, or all that failed since a time.

    It is sent by the service desk that runs, or by `servicedesk outbox deliver`.
    """
    if (delivery_id is None) == (failed_since is None):
        raise click.UsageError("Name one delivery by its ID, or --failed-since TIME.")
    since = moment_of(failed_since) if failed_since else None
    with opened() as instance, instance.database.writing() as session:
        if since is not None:
            number = by_hand.resend_failed(session, since=since, now=now(), by=ACTOR)
            audit.record(session, now(), ACTOR, "outbox.resend_failed", since.isoformat(), number=number)
            echo(f"{number} failed deliveries are sent again.")
        elif delivery_id is not None:
            try:
                found = by_hand.resend(session, delivery_id, now=now(), by=ACTOR, despite_doubt=despite_doubt)
            except by_hand.CannotResend as refused:
                raise click.ClickException(f"{refused}{_hint(session, delivery_id)}") from refused
            audit.record(session, now(), ACTOR, "outbox.resend", str(delivery_id))
            echo(f"The message to {found.recipient} is sent again.")


def _hint(session: sa.orm.Session, delivery_id: int) -> str:
    found = session.get(Delivery, delivery_id)
    if found is None or found.state is not DeliveryState.UNCERTAIN:
        return ""
    return " To send it all the same, add --even-if-it-arrives-twice."


def _what_is_left(instance: Instance) -> dict[str, Any]:
    waiting = (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.SENDING)
    with instance.database.reading() as session:
        number = session.scalar(
            sa.select(sa.func.count()).select_from(Delivery).where(Delivery.state.in_(waiting))
        )
        found = [trouble.load(session, row) for row in SENDING_ROWS]
    return {
        "waiting": number or 0,
        "trouble": [
            f"{one.row.capitalize()} email has failed since {one.since:%Y-%m-%d %H:%M} UTC: "
            f"{one.sentence} {one.cure} Next try {one.next_try_at:%Y-%m-%d %H:%M} UTC."
            for one in found
            if one is not None
        ],
    }


def _as_dict(delivery: Delivery, message: OutgoingMessage) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "state": delivery.state.value,
        "to": delivery.recipient,
        "subject": message.subject,
        "kind": message.kind.value,
        "row": message.row,
        "ticket": message.ticket_id,
        "message_id": message.message_id,
        "created_at": message.created_at,
        "attempts": delivery.attempts,
        "next_try_at": delivery.next_try_at,
        "settled_at": delivery.settled_at,
        "repeated_after_doubt": delivery.repeated_after_doubt,
        "server_words": delivery.server_words,
        "error": delivery.error,
    }
