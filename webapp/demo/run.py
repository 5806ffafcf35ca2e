"""`servicedesk run --demo`: servers, people and sample mail around the ordinary process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from webapp.instance import Instance, open_instance
from webapp.vault import VARIABLE as KEYS_VARIABLE
from webapp.wsgi import serve

from .certificate import make_server_context, system_authorities
from .feeder import PAUSE_SECONDS, SCRIPT, Feeder
from .furnish import furnish, known_ports, point_rows
from .people import COLLEAGUES, MAILBOX
from .place import CA_FILE, DemoError, load_demo_settings, load_passwords, locked, make_folder
from .servers import MailServers
from .smtp_server import OutsideWorld

__all__ = ["DemoError", "run_demo"]


def run_demo(**told: Any) -> None:
    """Run until SIGTERM or SIGINT. `told` are settings from the command line.

    Raises DemoError, ServeError, ConfigError, VaultError or DatabaseError.
    """
    _quiet_libraries()
    os.environ.pop(KEYS_VARIABLE, None)  # the real service desk's keys seal nothing here
    folder = make_folder(os.environ)
    with ExitStack() as stack:
        stack.enter_context(locked(folder))
        passwords = load_passwords(folder, (*(one.email for one in COLLEAGUES), MAILBOX))
        servers = stack.enter_context(MailServers(MAILBOX, passwords[MAILBOX], OutsideWorld(folder / "sent")))
        context = make_server_context(folder / CA_FILE, _trusted(os.environ))
        settings = load_demo_settings(folder, os.environ, told)
        instance = open_instance(settings)
        stack.callback(instance.close)
        feeder = _prepare(instance, servers, context, passwords)
        stack.callback(feeder.stop)

        def when_ready() -> None:
            _announce(folder, passwords, feeder)
            feeder.start()

        serve(settings, when_ready=when_ready)


def _prepare(instance: Instance, servers: MailServers, context: Any, passwords: Mapping[str, str]) -> Feeder:
    now = datetime.now(UTC)
    furnish(instance, passwords, now)
    imap_port, smtp_port = known_ports(instance)
    servers.start(context, imap_port=imap_port, smtp_port=smtp_port)
    point_rows(instance, servers, now)
    feeder = Feeder(instance, servers)
    feeder.deliver_first()
    return feeder


def _quiet_libraries() -> None:
    """A line for every SMTP command and every poll would bury the sign-in; DEBUG does not bring them back."""
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of its own deprecations
    logging.getLogger("apscheduler").setLevel(logging.WARNING)


def _trusted(environ: Mapping[str, str]) -> Path | None:
    """The authorities this machine believes: a private one stays believed in the demonstration."""
    told = environ.get("SERVICEDESK_MAIL_CA_FILE", "").strip()
    path = Path(told).expanduser() if told else system_authorities()
    return path if path and path.is_file() else None


def _announce(folder: Path, passwords: Mapping[str, str], feeder: Feeder) -> None:
    width = max(len(one.email) for one in COLLEAGUES)
    click.echo("\nDemonstration: no message leaves this machine. Sign in as\n")
    for one in COLLEAGUES:
        click.echo(f"    {one.email:<{width}}  {passwords[one.email]}  ({one.role.value})")
    if feeder.waiting:
        pause = f"{PAUSE_SECONDS.start} to {PAUSE_SECONDS.stop - 1} s"
        mail = f"{len(feeder.waiting)} more sample messages, one every {pause}, then no more"
    else:
        mail = f"all {len(SCRIPT)} sample messages have arrived; no more will"
    click.echo(f"\n  mail        {mail}")
    click.echo(f"  sent mail   {folder / 'sent'}")
    click.echo(f"  start over  stop, then delete {folder}")
    sys.stdout.flush()
