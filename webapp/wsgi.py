"""The process: pages and jobs together, until it is told to stop.

The only importer of `scheduler`. The port is bound before anything else is started, so a second start on
the same port ends with one line and changes nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import click
import waitress  # type: ignore[import-untyped]
from flask import Flask

import scheduler
from webapp.app import MAX_REQUEST_BYTES, create_app
from webapp.config import Settings, load_settings
from webapp.desk import accounts
from webapp.instance import Instance
from webapp.views.current import now

STOP_SECONDS = 4  # waitress takes up to 5 for answers under way; both together stay under 10

logger = logging.getLogger(__name__)


class ServeError(Exception):
    """The pages cannot be served; the message is one line for people."""


def serve(
    settings: Settings | None = None, *, jobs: bool = True, when_ready: Callable[[], None] | None = None
) -> None:
    """Run until SIGTERM or SIGINT; `when_ready` is called once, after people were told where the pages are.

    Raises ServeError, ConfigError, VaultError or DatabaseError.
    """
    settings = settings or load_settings()
    with _listen(settings) as listener:
        app = create_app(settings)
        _start_logging(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        try:
            _run(app, listener, jobs=jobs, when_ready=when_ready)
        finally:
            app.extensions["instance"].close()
            logger.info("stopped")


def address(settings: Settings) -> str:
    """What to type into a browser."""
    if settings.public_url:
        return settings.public_url
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}"


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host.strip("[]"), settings.port), family=family, backlog=1024)
    except OSError as error:
        raise ServeError(_why_not_bound(error, settings)) from error


def _run(
    app: Flask, listener: socket.socket, *, jobs: bool, when_ready: Callable[[], None] | None = None
) -> None:
    instance: Instance = app.extensions["instance"]
    server = waitress.create_server(app, sockets=[listener], **_server_settings(instance.settings))
    running = None
    try:
        running = scheduler.start(app) if jobs else None
        _announce(instance)
        if when_ready is not None:
            when_ready()
        server.run()  # returns after SystemExit from `_stop`, its threads ended
    except SystemExit:  # the signal came before the server ran
        pass
    finally:
        server.close()
        _end_jobs(running)


def _server_settings(settings: Settings) -> dict[str, Any]:
    return {
        "threads": settings.threads,
        "ident": None,
        # Well over the application's own limit, so that its 413 page is what people see.
        "max_request_body_size": 16 * MAX_REQUEST_BYTES,
        # waitress drops X-Forwarded headers by default; ProxyFix believes them only as far as configured.
        "clear_untrusted_proxy_headers": settings.trusted_proxies == 0,
    }


def _why_not_bound(error: OSError, settings: Settings) -> str:
    where = f"{settings.host} port {settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is already in use. Stop the other program, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"This user may not listen on {where}. Choose a port from 1024 up with --port."
    return f"The pages cannot listen on {where}: {error.strerror or error}."


def _announce(instance: Instance) -> None:
    """Where everything is, and at the first start how to get in."""
    settings = instance.settings
    where = address(settings)
    click.echo(f"Service desk is ready at {where}")
    click.echo(f"  data        {_without_password(instance)}")
    click.echo(f"  keys        {settings.instance} (keep them apart from a copy of the database)")
    click.echo("  stop        Ctrl+C")
    with instance.database.writing() as session:
        code = accounts.renew_setup_code(session, now=now())
    if code:
        logger.info("no account yet: %s/setup takes the one-time code %s", where, code)
        click.echo(f"\nFirst start: open {where}/setup and enter the one-time code\n\n    {code}\n")
    sys.stdout.flush()


def _without_password(instance: Instance) -> str:
    url = instance.database.engine.url
    return url.database or "" if instance.settings.is_sqlite else url.render_as_string(hide_password=True)


def _stop(number: int, _frame: FrameType | None) -> None:
    """A second signal ends at once."""
    for known in (signal.SIGTERM, signal.SIGINT):
        signal.signal(known, signal.SIG_DFL)
    raise SystemExit(0)


def _end_jobs(running: scheduler.Scheduler | None) -> None:
    """Wait a little for a run that is going; cut short, the next start goes on where it stopped."""
    if running is None:
        return
    ending = threading.Thread(target=running.shutdown, daemon=True)
    ending.start()
    ending.join(STOP_SECONDS)
    if ending.is_alive():
        logger.warning("a job is still going and is cut short; the next start goes on from there")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


def _start_logging(settings: Settings) -> None:
    """To stderr, unless whoever called has set it up."""
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # two lines a minute that say nothing
