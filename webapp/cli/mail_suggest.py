"""`servicedesk mail suggest`: the settings that belong to an e-mail address."""

from __future__ import annotations

import shlex
from dataclasses import asdict

import click

from webapp.cli.group import echo, echo_json, json_option, opened
from webapp.mailserver.base import MailProtocol
from webapp.mailserver.suggest import suggest


@click.command("suggest")
@click.argument("address")
@click.option("--sending", is_flag=True, help="For a row that sends (SMTP) instead of one that receives.")
@json_option
def suggest_settings(address: str, sending: bool, as_json: bool) -> None:
    """Which server the mail of ADDRESS is kept at, from DNS and the servers' certificates. Nothing is saved.

    No password is asked for or sent. Exit 1 where nothing was found.
    """
    with opened() as instance:
        ca_file = instance.settings.mail_ca_file or None
    try:
        found = suggest(address, sending=sending, ca_file=ca_file)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if found is None:
        raise click.ClickException(f"Nothing was found out about {address}. Ask its mail provider.")
    if as_json:
        echo_json(asdict(found) | {"changes": found.changes})
        return
    echo(found.sentence)
    for line in filter(None, (found.note, found.unchecked)):
        echo(line)
    if found.changes:
        assignments = shlex.join(f"{name}={value}" for name, value in found.changes.items())
        needs = "" if found.protocol is MailProtocol.OFFICE365 else " --password-stdin"
        echo(f"servicedesk mail set {'outgoing' if sending else 'incoming'} {assignments}{needs}")
