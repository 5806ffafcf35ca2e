"""Microsoft accounts of the rows: signed in, waiting for the explicit yes, confirmed, disconnected.

Microsoft signs in whoever the browser happens to be signed in as, without a question. So what comes back
only waits: the confirmed account of the row, and the row, are as they were until somebody has seen who it is
and said yes.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit, mail_servers
from webapp.desk.addresses import is_a_persons
from webapp.desk.microsoft_registration import (
    other_mailbox,
    registration_of,
    scopes_for,
)
from webapp.desk.microsoft_tokens import is_of, token_source
from webapp.instance import Instance
from webapp.mail.address import fold_addr_spec
from webapp.mailserver import microsoft_oauth
from webapp.mailserver.base import MailProtocol
from webapp.mailserver.microsoft_oauth import AppRegistration
from webapp.models import MailServer, MicrosoftConnection, Row

ROW_NAMES = {Row.OUTGOING: "Outgoing email", Row.INVOICE: "Invoice email", Row.INCOMING: "Incoming email"}


class NotConfirmed(Exception):
    """The account was not taken; the text says why."""


def find(session: Session, row: Row) -> MicrosoftConnection | None:
    """The account the row's mail goes through: somebody has said yes to it."""
    return session.scalar(_of(row).where(MicrosoftConnection.confirmed))


def find_pending(session: Session, row: Row) -> MicrosoftConnection | None:
    """The account that waits for an answer."""
    return session.scalar(_of(row).where(~MicrosoftConnection.confirmed))


def own_addresses(session: Session, row: Row) -> tuple[str, ...]:
    """Those of the row's account, the main one first, as Microsoft writes them; none while there is none."""
    held = find(session, row)
    return tuple(held.addresses) if held else ()


def graph_mailbox(connection: MicrosoftConnection, mailbox: str) -> str:
    """The mailbox where it is another one than the account's own, else empty."""
    return other_mailbox(connection.addresses, mailbox)


def registration_of_row(instance: Instance, stored: MailServer) -> AppRegistration | None:
    """The saved row's app registration, None while something is missing. Raises VaultError."""
    sealed = stored.client_secret_sealed
    return registration_of(
        instance.settings,
        tenant_id=stored.tenant_id,
        client_id=stored.client_id,
        client_secret=instance.vault.unseal(sealed) if sealed else "",
    )


def registration_to_use(instance: Instance, stored: MailServer | None) -> AppRegistration:
    """The same, of a row that is saved as Office365. Raises NotConfirmed where something is missing."""
    saved = stored is not None and stored.protocol == MailProtocol.OFFICE365
    registration = registration_of_row(instance, stored) if stored is not None and saved else None
    if registration is None:
        raise NotConfirmed(
            "Enter tenant ID, application (client) ID and client secret of the app registration, and save."
        )
    return registration


def forget_pending(session: Session, row: Row) -> bool:
    """Whether there was one."""
    waiting = find_pending(session, row)
    if waiting is not None:
        session.delete(waiting)
    return waiting is not None


def mark_of(waiting: MicrosoftConnection) -> str:
    """Names one sign-in: a yes is for the account that was shown, not for one that came meanwhile."""
    told = f"{waiting.tenant_id} {waiting.user_id} {waiting.signed_in_at.isoformat()}"
    return hashlib.sha256(told.encode()).hexdigest()[:20]


def refusal_of(session: Session, row: Row, account: MicrosoftConnection, mailbox: str) -> str:
    """Why this account must not be used with that mailbox; empty: it may.

    A person's own mailbox would turn that person's mail into tickets, and hand out their password resets.
    """
    if row is not Row.INCOMING:
        return ""
    other = graph_mailbox(account, mailbox)
    for address in (other,) if other else account.addresses:
        if is_a_persons(session, address):
            return f"{address} is also a portal user's address. Use a dedicated mailbox."
    return ""


def is_another(session: Session, row: Row, waiting: MicrosoftConnection) -> MicrosoftConnection | None:
    """The account the row is connected with, where that is somebody else."""
    held = find(session, row)
    same = held is not None and (held.tenant_id, held.user_id) == (waiting.tenant_id, waiting.user_id)
    return None if same else held


def confirm(
    session: Session,
    instance: Instance,
    row: Row,
    *,
    mark: str,
    own_mailbox: bool,
    now: datetime,
    actor: str,
    replaces: str = "",
) -> MicrosoftConnection:
    """The explicit yes: from now on the row's mail goes through this account. Said twice it is one.

    `own_mailbox`: its own mailbox is meant, whatever the row names. `replaces`: the address of the other
    account this yes was told it takes the place of. The row is off then: its mailbox is another one, and
    turning it on asks what to take in. Raises NotConfirmed or FormErrors.
    """
    waiting, stored = find_pending(session, row), mail_servers.load(session, row)
    said_before = find(session, row)
    if waiting is None and said_before is not None and mark_of(said_before) == mark:
        return said_before
    if waiting is None or mark_of(waiting) != mark:
        raise NotConfirmed("Another sign-in has taken the place of the one you saw. Look at it first.")
    registration = registration_to_use(instance, stored)
    if stored is None or not is_of(waiting, registration):
        raise NotConfirmed("The app registration was changed after this sign-in. Connect again.")
    mailbox = waiting.address if own_mailbox or not stored.mailbox else stored.mailbox
    if sentence := reason_against(session, row, waiting, mailbox):
        raise NotConfirmed(sentence)
    replaced = is_another(session, row, waiting)
    if replaced is not None and replaced.address != replaces:
        raise NotConfirmed(
            f"This row is connected to {replaced.address}. Say first that it is to be replaced."
        )
    held = _take_over(session, row, waiting)
    changes = {"mailbox": mailbox} if own_mailbox or row is Row.INCOMING else {}
    if row is not Row.INCOMING and not _may_be_from(held, stored):
        changes["from_address"] = mailbox
    if replaced is not None:
        changes["active"] = "false"
    wanted = mail_servers.draft(session, instance, row, changes)
    mail_servers.save(session, instance.vault, wanted, now=now, actor=actor)
    audit.record(session, now, actor, "microsoft.confirm", row.value, account=held.address)
    return held


def disconnect(session: Session, instance: Instance, row: Row, *, now: datetime, actor: str) -> str:
    """Forget the account and its tokens, and switch the row off; the address it had, "" if none."""
    forget_pending(session, row)
    held, stored = find(session, row), mail_servers.load(session, row)
    if held is None:
        return ""
    address = held.address
    session.delete(held)
    session.flush()
    if stored is not None and stored.active and stored.protocol == MailProtocol.OFFICE365:
        wanted = mail_servers.draft(session, instance, row, {"active": "false"})
        mail_servers.save(session, instance.vault, wanted, now=now, actor=actor)
    audit.record(session, now, actor, "microsoft.disconnect", row.value, account=address)
    return address


def why_not_active(
    session: Session, row: Row, registration: AppRegistration | None, *, mailbox: str = ""
) -> str:
    """The sentence that keeps an Office365 row from being on; empty: it may be."""
    held = find(session, row)
    if held is None:
        if waiting := find_pending(session, row):
            return f"First answer whether {waiting.address} is the right Microsoft account."
        return "Connect a Microsoft account before you turn this on."
    if registration is None or not is_of(held, registration):
        return "The app registration was changed. Connect the account again before you turn this on."
    return reason_against(session, row, held, mailbox)


def reason_against(session: Session, row: Row, account: MicrosoftConnection, mailbox: str) -> str:
    """Why this account cannot be used with that mailbox; empty: it can, as far as is known."""
    other = graph_mailbox(account, mailbox)
    if microsoft_oauth.missing_scopes(scopes_for(row, shared=bool(other)), account.scopes):
        return (
            f"{account.address} is another account than {mailbox}, and Microsoft was not asked for the "
            "permission to use a shared mailbox. Connect another account again to be asked."
        )
    if other and fold_addr_spec(other) == fold_addr_spec(account.mailbox) and account.mailbox_opens is False:
        return f"{account.address} cannot open the mailbox {other}."
    return refusal_of(session, row, account, mailbox)


def _of(row: Row) -> sa.Select[MicrosoftConnection]:
    return sa.select(MicrosoftConnection).where(MicrosoftConnection.row == row.value)


def _take_over(session: Session, row: Row, waiting: MicrosoftConnection) -> MicrosoftConnection:
    """The waiting record becomes the confirmed one; one that was there keeps its id and counts on."""
    held = find(session, row)
    if held is None:
        waiting.confirmed = True
        return waiting
    kept = {"id", "row", "confirmed", "version"}
    for column in MicrosoftConnection.__table__.columns:
        if column.name not in kept:
            setattr(held, column.name, getattr(waiting, column.name))
    held.version += 1
    held.tried_with, held.next_try_at, held.problem = "", None, ""
    session.delete(waiting)
    session.flush()
    return held


def _may_be_from(account: MicrosoftConnection, stored: MailServer) -> bool:
    allowed = {fold_addr_spec(address) for address in (*account.addresses, stored.mailbox) if address}
    return bool(stored.from_address) and fold_addr_spec(stored.from_address) in allowed


__all__ = [
    "NotConfirmed", "confirm", "disconnect", "find", "find_pending", "forget_pending", "graph_mailbox",
    "is_another", "mark_of", "own_addresses", "reason_against", "registration_of", "registration_of_row",
    "registration_to_use", "token_source", "why_not_active",
]  # fmt: skip
