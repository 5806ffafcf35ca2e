"""`servicedesk user`: the desk's own people."""

from __future__ import annotations

import click

from webapp.cli.group import echo_json, echo_table, json_option, now, opened, read_password
from webapp.desk import accounts
from webapp.models import Role


@click.group()
def user() -> None:
    """Accounts that sign in: administrators, technicians, viewers."""


@user.command("add")
@click.argument("email")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--name", default="", help="As shown to others; default: the address.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def add_account(email: str, role: str, name: str, password_stdin: bool) -> None:
    """Create an account."""
    password = read_password(password_stdin, f"Password for {email}", confirm=True)
    with opened() as instance, instance.database.writing() as session:
        account = accounts.create_account(
            session,
            email=email,
            name=name,
            password=password,
            role=Role(role),
            now=now(),
            actor="command line",
        )
    click.echo(f"{account.email} can sign in as {account.role.value}.")


@user.command("reset-password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def reset_password(email: str, password_stdin: bool) -> None:
    """Set a new password and end every sign-in of the account."""
    password = read_password(password_stdin, f"New password for {email}", confirm=True)
    with opened() as instance, instance.database.writing() as session:
        account = accounts.reset_password(
            session, email=email, password=password, now=now(), actor="command line"
        )
    click.echo(f"{account.email} has a new password and is signed out everywhere.")


@user.command("list")
@json_option
def list_accounts(as_json: bool) -> None:
    """All accounts."""
    with opened() as instance, instance.database.reading() as session:
        rows = [
            {"email": a.email, "name": a.name, "role": a.role.value, "enabled": a.enabled}
            for a in accounts.list_accounts(session)
        ]
    if as_json:
        echo_json(rows)
    elif not rows:
        click.echo("No accounts yet. Create the first with: servicedesk user add EMAIL --role administrator")
    else:
        table = [(r["email"], r["role"], "enabled" if r["enabled"] else "disabled", r["name"]) for r in rows]
        echo_table(table, ("email", "role", "state", "name"))
