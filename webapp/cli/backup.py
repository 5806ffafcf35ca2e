"""`servicedesk backup`, `restore` and `keys`: what keeps an instance through theft, fire and mistakes."""

from __future__ import annotations

from pathlib import Path

import click

from webapp.cli.group import echo, now, opened, progress_bar
from webapp.config import load_settings
from webapp.desk import backup as backups
from webapp.desk import keys as key_work
from webapp.desk import restore as restores
from webapp.instance import open_instance
from webapp.running import alone
from webapp.vault import VARIABLE

KEYS_SENTENCE = (
    "The keys are NOT in it, and without them stored passwords cannot be read. Keep a copy of them apart "
    "from the backup: {keys}"
)


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Write a verified backup to PATH, one file, while the service desk goes on working."""
    with opened() as instance:
        with progress_bar("Backing up") as tell:
            made = backups.make_backup(instance.database, instance.settings, path, tell)
        source = instance.vault.source
    echo(f"{made.path}: {_described(made)}.")
    echo("It was read again from end to end and is sound.")
    echo(KEYS_SENTENCE.format(keys=source))


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only verify the backup; nothing is changed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--skip-numbers",
    type=click.IntRange(0, 1_000_000),
    default=restores.TICKET_GAP,
    show_default=True,
    help="How many ticket numbers to leave out: those given since the backup are in customers' mail.",
)
def restore(path: Path, check: bool, yes: bool, skip_numbers: int) -> None:
    """Put the backup at PATH in the place of this instance's database. Stop the service desk first."""
    if check:
        with progress_bar("Verifying") as tell:
            found = backups.verify(path, tell)
        echo(f"{path} is sound: {_described(found)}.")
        return
    settings = load_settings()
    with alone(settings.instance):
        found = backups.verify(path)
        echo(f"{path}: {_described(found)}.")
        if not yes:
            click.confirm("Put it in the place of what is there now (which is kept aside)?", abort=True)
        with progress_bar("Restoring") as tell:
            done = restores.restore(settings, path, tell, now=now(), ticket_gap=skip_numbers)
    echo(f"Restored. New tickets start at {done.next_ticket}.")
    if done.aside:
        echo(f"What was there before is kept in {done.aside}. Delete it once all is well: it holds all mail.")
    if done.held:
        echo(
            f"{done.held} messages waited to be sent when the backup was made. They may have been sent since"
        )
        echo("and are not sent by themselves: see `servicedesk outbox list --state not-sent`.")
    echo("Mail that came in since the backup is in the archive folder and not in this database. To see it:")
    echo(f"  servicedesk mail check-archive --since {(now() - found.made_at).days + 1}")


@click.group()
def keys() -> None:
    """The keys that stored passwords and tokens are encrypted with."""


@keys.command()
@click.option(
    "--drop-old", is_flag=True, help="Afterwards keep the newest key only; stop the service desk first."
)
def rotate(drop_old: bool) -> None:
    """Make a new key and encrypt everything with it; the old keys stay until --drop-old."""
    if drop_old:
        settings = load_settings()
        with alone(settings.instance):
            instance = open_instance(settings)
            try:
                dropped = key_work.drop_old_keys(instance)
            finally:
                instance.close()
        echo(
            "There was no old key."
            if not dropped
            else f"Dropped: {dropped}. One key is left; keep a copy of it."
        )
        return
    with opened() as instance:
        done = key_work.rotate(instance)
        path, source = instance.vault.path, instance.vault.source
    echo(f"Encrypted anew: {done.resealed} stored secrets, with the newest key in {source}.")
    if done.unreadable:
        echo(f"No key opens these, so enter them again: {', '.join(done.unreadable)}.")
    if path is None:
        echo(f"The keys in {VARIABLE} were not changed. Take the old ones out once nothing uses them.")
    else:
        echo("A running service desk finds the new key by itself. Keep a new copy of the key file.")
        echo("The old keys still open old backups. To drop them: servicedesk keys rotate --drop-old")


def _described(found: backups.Verified) -> str:
    size = f"{found.octets / 1_000_000:.1f} MB"
    return (
        f"made {found.made_at:%Y-%m-%d %H:%M} UTC, {size}, {found.rows.get('ticket', 0)} tickets, "
        f"{found.messages} messages"
    )
