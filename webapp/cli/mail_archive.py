"""`servicedesk mail check-archive`: mail in the archive that the email log does not know."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import click

from webapp.cli.group import echo, echo_json, echo_table, json_option, now, opened
from webapp.cli.mail_preview import NOT_SET_UP
from webapp.desk import mail_servers
from webapp.inbound.archive_check import ArchiveCheck, check_archive
from webapp.instance import Instance
from webapp.mailserver.errors import MailServerError
from webapp.mailserver.remedies import explain
from webapp.mailserver.remedy import plural
from webapp.models import Row


@click.command("check-archive")
@click.option("--since", "days", type=click.IntRange(1), default=30, show_default=True, metavar="DAYS",
              help="Only messages received in the last so many days.")  # fmt: skip
@json_option
def check_archive_folder(days: int, as_json: bool) -> None:
    """Messages in the archive folder that the email log does not know. Changes nothing.

    After an older database was restored these are the messages that were archived since: they are not taken
    in again by themselves. What somebody else put into the folder is shown too.
    """
    with opened() as instance:
        found = _look(instance, days)
    if as_json:
        echo_json([asdict(message) for message in found.unknown])
        return
    if not found.folders:
        echo("There is no archive folder yet.")
        return
    if found.unknown:
        table = [
            (f"{m.received_at:%Y-%m-%d %H:%M}", m.folder, m.from_addr or "-", m.subject[:60] or "-")
            for m in found.unknown
        ]
        echo_table(table, ("received (UTC)", "folder", "from", "subject"))
        echo("")
    for line in _totals(found, days):
        echo(line)


def _look(instance: Instance, days: int) -> ArchiveCheck:
    with instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        if stored is None or not stored.is_set_up:
            raise click.ClickException(NOT_SET_UP)
        wanted = mail_servers.stored_draft(instance.vault, stored)
    try:
        return check_archive(instance, wanted, since=now() - timedelta(days=days))
    except MailServerError as error:
        remedy = explain(error, mail_servers.server_settings(wanted, instance))
        raise click.ClickException(f"{remedy.sentence} {remedy.cure}") from error


def _totals(found: ArchiveCheck, days: int) -> list[str]:
    messages = plural(found.looked, "message")
    folders = " and ".join(f'"{folder}"' for folder in found.folders)
    told = f"{messages} of the last {plural(days, 'day')} in {folders}, "
    if not found.unknown:
        return [told + "all known to the email log."]
    return [
        told + f"{len(found.unknown)} not known to the email log.",
        "To have one processed, move it back to the inbox and mark it as unread.",
    ]
