"""The process: pages and jobs together, or one of them (`servicedesk web`, `servicedesk worker`).

The only importer of `scheduler`. The port is bound before anything else is started, so a second start on
the same port ends with one line and changes nothing.
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click
import waitress  # type: ignore[import-untyped]
from flask import Flask

import scheduler
from webapp import logs, supervision
from webapp.app import MAX_REQUEST_BYTES, create_app
from webapp.config import Settings, load_settings
from webapp.desk import accounts
from webapp.instance import Instance, open_instance
from webapp.running import in_use
from webapp.views.current import now

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where "everywhere" can be asked
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
    with _listen(settings) as listener, in_use(settings.instance):
        app = create_app(settings)
        logs.start(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        try:
            _run(app, listener, jobs=jobs, when_ready=when_ready)
        finally:
            app.extensions["instance"].close()
            logger.info("stopped")


def work(settings: Settings | None = None) -> None:
    """Only the jobs, until SIGTERM or SIGINT: the pages are another process's.

    Raises ConfigError, VaultError or DatabaseError.
    """
    settings = settings or load_settings()
    with in_use(settings.instance):
        _work(open_instance(settings))


def _work(instance: Instance) -> None:
    logs.start(instance.settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    running = None
    try:
        running = scheduler.Scheduler(instance)
        running.start()
        click.echo("Service desk's worker is ready: it polls the mailbox and sends what waits in the outbox.")
        _announce_place(instance)
        sys.stdout.flush()
        with _watched(lambda: running.is_alive):
            threading.Event().wait()
    except SystemExit:
        pass
    finally:
        supervision.tell("STOPPING=1")
        _end_jobs(running)
        instance.close()
        logger.info("stopped")


def address(settings: Settings) -> str:
    """What to type into a browser."""
    if settings.public_url:
        return settings.public_url
    host = _LOOPBACK.get(settings.host, settings.host)
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
        running = app.extensions["scheduler"] = scheduler.start(app) if jobs else None
        _announce(instance)
        if when_ready is not None:
            when_ready()
        with _watched(lambda: _answers(listener) and (running is None or running.is_alive)):
            server.run()  # returns after SystemExit from `_stop`, its threads ended
    except SystemExit:  # the signal came before the server ran
        pass
    finally:
        supervision.tell("STOPPING=1")
        server.close()
        _end_jobs(running)


@contextmanager
def _watched(is_alive: Callable[[], bool]) -> Iterator[None]:
    """Ready, and alive for as long as it is."""
    watchdog = supervision.Watchdog(is_alive, supervision.watchdog_seconds())
    supervision.tell("READY=1")
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


def is_ready(settings: Settings) -> str:
    """What `/readyz` of the process on these settings says; empty where nobody answers."""
    return _ask(settings.host.strip("[]"), settings.port, "/readyz")


def _answers(listener: socket.socket) -> bool:
    """Whether a page comes back from our own port."""
    host, port = listener.getsockname()[:2]
    return _ask(host, port, "/healthz") == "ok\n"


def _ask(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(_LOOPBACK.get(host, host), port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


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
    _announce_place(instance)
    with instance.database.writing() as session:
        code = accounts.renew_setup_code(session, now=now())
    if code:
        logger.info("no account yet: %s/setup takes the one-time code %s", where, code)
        click.echo(f"\nFirst start: open {where}/setup and enter the one-time code\n\n    {code}\n")
    sys.stdout.flush()


def _announce_place(instance: Instance) -> None:
    click.echo(f"  data        {_without_password(instance)}")
    click.echo(f"  keys        {instance.settings.instance} (keep them apart from a copy of the database)")
    click.echo("  stop        Ctrl+C")


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
