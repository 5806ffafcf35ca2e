"""`servicedesk mail preview`: a dry run over the live inbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from webapp.cli.group import echo, echo_json, echo_table, json_option, opened, progress_bar
from webapp.desk import mail_servers
from webapp.inbound.dry_run import PreviewRow
from webapp.inbound.preview import Preview, preview
from webapp.inbound.verdict import counts_in_words, verdict
from webapp.instance import Instance
from webapp.mailserver.errors import MailServerError
from webapp.mailserver.remedies import explain
from webapp.models import Row

NOT_SET_UP = (
    "Incoming email settings are not set up. Set them up with: servicedesk mail set incoming host=..."
)


@click.command("preview")
@click.option("--limit", type=click.IntRange(1), help="Look at the newest so many only; default: all.")
@json_option
def preview_inbox(limit: int | None, as_json: bool) -> None:
    """What the parser would do with the inbox right now, message by message. Changes nothing.

    Works on the saved row, active or not. --json is an array with an object a message, in the order in which
    a run would come to them.
    """
    with opened() as instance:
        seen = _look(instance, limit)
    if as_json:
        echo_json([_as_dict(row, seen) for row in seen.rows])
        return
    table = [_cells(row, seen) for row in seen.rows]
    if table:
        echo_table(table, ("#", "received (UTC)", "from", "subject", "verdict", "moves to", "why"))
    for line in _totals(seen):
        echo(line)


def _look(instance: Instance, limit: int | None) -> Preview:
    with instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        if stored is None or not stored.is_set_up:
            raise click.ClickException(NOT_SET_UP)
        wanted = mail_servers.stored_draft(instance.vault, stored)
    try:
        with progress_bar("Looking at the inbox") as progress:
            return preview(instance, wanted, limit=limit, progress=progress)
    except MailServerError as error:
        remedy = explain(error, mail_servers.server_settings(wanted, instance))
        raise click.ClickException(f"{remedy.sentence} {remedy.cure}") from error


def _as_dict(row: PreviewRow, seen: Preview) -> dict[str, Any]:
    return {
        "position": row.position, "key": row.key, "received_at": row.received_at, "size": row.size,
        "from": row.from_addr, "from_name": row.from_name, "subject": row.subject,
        "disposition": row.disposition.value if row.disposition else None,
        "verdict": verdict(row), "rule": row.rule, "saw": row.saw,
        "ticket": row.ticket_id, "planned_of": row.planned_of,
        "processed_before": row.placed is not None, "folder": seen.folder_of(row),
        "trace": [asdict(step) for step in row.trace],
    }  # fmt: skip


def _cells(row: PreviewRow, seen: Preview) -> tuple[str, ...]:
    sender, subject = row.from_addr or row.from_name or "-", row.subject[:60] or "-"
    folder = seen.folder_of(row) or "(stays)"
    when = f"{row.received_at:%Y-%m-%d %H:%M}"
    return (str(row.position), when, sender, subject, verdict(row), folder, f"{row.rule}: {row.saw}")


def _totals(seen: Preview) -> Iterator[str]:
    if not seen.unread:
        yield "No unread message in the inbox."
        return
    yield ""
    looked = f", looked at the {seen.looked} newest" if seen.partial else ""
    yield f"{seen.unread} unread{looked}: {counts_in_words(seen.counts)}."
    archive = "is there" if seen.archive.exists else "will be created"
    ignored = f'"{seen.ignored_folder}"' if seen.ignored_folder else "the inbox, where it stays"
    yield f'Archive folder "{seen.archive.path}" {archive}; ignored mail goes to {ignored}.'
    yield "Nothing was changed."
