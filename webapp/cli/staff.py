"""Whose words or whose decision a command is: an account that works on tickets."""

from __future__ import annotations

import click
import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.mail.address import fold_addr_spec
from webapp.models import Account, Role

by_option = click.option("--by", "by", metavar="EMAIL", required=True, help="Who decides: an account.")


def working_account(session: Session, email: str) -> Account:
    """Raises ClickException where nobody has that address, or who has it may not work on tickets."""
    query = sa.select(Account).where(Account.email_key == fold_addr_spec(email))
    found = session.scalar(query)
    if found is None:
        raise click.ClickException(f"There is no account {email}. `servicedesk user list` shows all.")
    if not found.enabled or found.role is Role.VIEWER:
        raise click.ClickException(f"{email} may not work on tickets.")
    return found
