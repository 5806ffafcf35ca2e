"""`servicedesk run`, `db` and `doctor`: the process and the place it lives in."""

from __future__ import annotations

from typing import Any

import click

from webapp.cli.group import echo, echo_json, json_option, opened, progress_bar
from webapp.config import load_settings, read_database_url
from webapp.desk.doctor import Finding, examine

COPY_VARIABLE = "SERVICEDESK_COPY_TO"
DEMO_PACKAGES = {"pymap", "pysasl", "proxyprotocol", "aiosmtpd"}  # of the extra `demo`


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--demo", is_flag=True, help="A demonstration with mail servers and sample mail of its own.")
def run(host: str | None, port: int | None, demo: bool) -> None:
    """Start the web pages and the email parser in one process."""
    from webapp.wsgi import ServeError, serve

    told: dict[str, Any] = {"host": host, "port": port}
    told = {name: value for name, value in told.items() if value is not None}
    try:
        if demo:
            _run_demo(told)
        else:
            serve(load_settings(**told))
    except ServeError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
def web(host: str | None, port: int | None) -> None:
    """Serve only the web pages; mail is the affair of `servicedesk worker`."""
    from webapp.wsgi import ServeError, serve

    told: dict[str, Any] = {"host": host, "port": port}
    told = {name: value for name, value in told.items() if value is not None}
    try:
        serve(load_settings(**told), jobs=False)
    except ServeError as error:
        raise click.ClickException(str(error)) from error


@click.command()
def worker() -> None:
    """Poll the mailbox and send what waits in the outbox, without web pages."""
    from webapp.wsgi import work

    work(load_settings())


@click.command()
def healthy() -> None:
    """Whether the web process of these settings is ready; for a container's health check."""
    from webapp.wsgi import is_ready

    found = is_ready(load_settings())
    click.echo(found.strip() or "No answer.")
    if not found.startswith("database: ok") or "stuck" in found:
        raise SystemExit(1)


def _run_demo(told: dict[str, Any]) -> None:
    """Its servers are an extra; nothing else of the product needs them."""
    try:
        from webapp.demo.run import DemoError, run_demo
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in DEMO_PACKAGES:
            raise
        raise click.ClickException(
            f"The demonstration needs a package that is not installed ({error.name}). In the folder of the "
            "checkout: pip install --editable '.[demo]'"
        ) from error
    try:
        run_demo(**told)
    except DemoError as error:
        raise click.ClickException(str(error)) from error


@click.group()
def db() -> None:
    """The database."""


@db.command()
def upgrade() -> None:
    """Bring the database to the version of this program; every other command does so too."""
    with opened() as instance:
        click.echo(f"The database is at revision {instance.database.current_revision()}.")


@db.command()
def current() -> None:
    """Print the database's revision."""
    with opened() as instance:
        click.echo(instance.database.current_revision())


@db.command()
@click.option(
    "--to",
    "target",
    required=True,
    envvar=COPY_VARIABLE,
    help=f"The empty PostgreSQL database (or {COPY_VARIABLE}: nobody sees its password in the process list).",
)
def copy(target: str) -> None:
    """Copy this instance's SQLite database to an empty PostgreSQL database, and verify every row.

    Stop the service desk first: nothing else can be written while this runs.
    """
    from webapp.desk.database_copy import copy_to_postgres

    with opened() as instance:
        if not instance.settings.is_sqlite:
            raise click.ClickException("This instance is on PostgreSQL already: there is nothing to copy.")
        try:
            with progress_bar("Copying") as tell:
                copied = copy_to_postgres(
                    instance.database, instance.settings, read_database_url(target), tell
                )
        except ValueError as error:
            raise click.ClickException(str(error)) from error
    for one in copied:
        click.echo(f"{one.rows:>9}  {one.table:<24} {one.digest[:16]}")
    click.echo(
        f"{sum(one.rows for one in copied)} rows copied and read back, all alike. Now set "
        "SERVICEDESK_DATABASE_URL (or database_url in servicedesk.toml) to the new database and start again. "
        "The keys in the instance folder stay in use; keep servicedesk.db until all is well."
    )


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Settings, database, keys and mail rows: what is fine, and what to do about the rest."""
    with opened() as instance:
        findings = examine(instance)
    if as_json:
        echo_json([{"area": f.area, "state": f.state, "text": f.text, "cure": f.cure} for f in findings])
    else:
        for finding in findings:
            _echo(finding)
    if any(finding.state == "failed" for finding in findings):
        raise SystemExit(1)


def _echo(finding: Finding) -> None:
    mark = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}[finding.state]
    echo(f"{mark}  {finding.area:<10} {finding.text}")
    if finding.cure:
        echo(f"{'':<17}{finding.cure}")
