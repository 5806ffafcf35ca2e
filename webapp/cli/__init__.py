"""The `servicedesk` command. Every command ends non-zero with one clear line when something is wrong."""

from __future__ import annotations

import click

from webapp.cli.backup import backup, keys, restore
from webapp.cli.directory import directory
from webapp.cli.group import PlainErrors
from webapp.cli.invoice import invoice
from webapp.cli.mail import mail
from webapp.cli.outbox import outbox
from webapp.cli.system import db, doctor, healthy, run, web, worker
from webapp.cli.ticket import ticket
from webapp.cli.user import user


@click.group(cls=PlainErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="servicedesk-mail", prog_name="servicedesk")
def main() -> None:
    """The e-mail side of a service desk: a mailbox that becomes tickets, and the pages to run it."""


for command in (
    run,
    web,
    worker,
    healthy,
    db,
    backup,
    restore,
    keys,
    doctor,
    user,
    mail,
    directory,
    outbox,
    ticket,
    invoice,
):
    main.add_command(command)
