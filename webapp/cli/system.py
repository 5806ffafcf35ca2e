"""`servicedesk run`, `db` and `doctor`: the process and the place it lives in."""

from __future__ import annotations

from typing import Any

import click

from webapp.cli.group import echo, echo_json, json_option, opened
from webapp.config import load_settings
from webapp.desk.doctor import Finding, examine

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
