"""`servicedesk directory`: companies and users in and out as CSV."""

from __future__ import annotations

from typing import BinaryIO

import click

from webapp.cli.group import now, opened
from webapp.desk.directory import CsvError, export_users, import_users, read_csv


@click.group()
def directory() -> None:
    """Companies and their users."""


@directory.command("import")
@click.argument("file", type=click.File("rb"))
def import_file(file: BinaryIO) -> None:
    """Create or update users from FILE (email,name,company[,other_emails,phone,active]). All or nothing."""
    try:
        users = read_csv(file.read())
        with opened() as instance, instance.database.writing() as session:
            result = import_users(session, users, now=now(), actor="command line")
    except CsvError as error:
        raise click.ClickException(f"{file.name}, {error} Nothing was imported.") from error
    click.echo(
        f"Users: {result.created} created, {result.updated} updated, {result.unchanged} unchanged. "
        f"Companies: {len(result.companies)} created."
        + (
            f" Earlier tickets that are theirs now: {result.earlier_tickets}."
            if result.earlier_tickets
            else ""
        )
    )


@directory.command("export")
def export_file() -> None:
    """Print all users in the format of import."""
    with opened() as instance, instance.database.reading() as session:
        click.echo(export_users(session).encode(), nl=False)  # UTF-8, whatever the terminal speaks
