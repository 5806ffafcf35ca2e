"""A sign-in at Microsoft: begun in one browser, answered there once within ten minutes, and then waiting.

What the answer has to fit (state, PKCE verifier, nonce) is kept encrypted in the database under a hash of the
state, bound to the sign-in to the desk it was begun in.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import closing
from datetime import datetime, timedelta
from typing import TypedDict

import sqlalchemy as sa

from webapp.desk import audit, mail_servers
from webapp.desk.microsoft_connections import NotConfirmed, find, forget_pending, registration_to_use
from webapp.desk.microsoft_registration import other_mailbox, redirect_address, scopes_for
from webapp.desk.microsoft_tokens import open_http
from webapp.instance import Instance
from webapp.mailserver import graph_account, microsoft_oauth
from webapp.mailserver.microsoft_answers import SignInFailed
from webapp.mailserver.microsoft_oauth import Begun, Grant
from webapp.models import ConnectionState, MicrosoftConnection, MicrosoftSignIn, Row

SIGN_IN_LASTS = timedelta(minutes=10)
MOST_SIGN_INS = 10  # begun and not answered, of one sign-in to the desk
TIMEOUT_SECONDS = 20.0


class _Graph(TypedDict):
    graph_base: str
    ca_file: str | None
    timeout: float


class UnknownSignIn(Exception):
    """This answer belongs to no sign-in of this browser that is still open. The text is for people."""


def begin_sign_in(
    instance: Instance, row: Row, *, session_token: str, choose_account: bool, now: datetime
) -> str:
    """Where to send the browser. Raises NotConfirmed, VaultError or a MailServerError."""
    with instance.database.reading() as session:
        stored, held = mail_servers.load(session, row), find(session, row)
    registration = registration_to_use(instance, stored)
    # Who comes back is not known yet: most likely the account the row has.
    own = held.addresses if held is not None and not choose_account else []
    scopes = scopes_for(row, shared=bool(stored and other_mailbox(own, stored.mailbox)))
    with closing(open_http(instance, TIMEOUT_SECONDS)) as http:
        begun = microsoft_oauth.begin(
            registration,
            scopes=scopes,
            redirect_uri=redirect_address(instance.settings),
            http=http,
            choose_account=choose_account,
        )
    _keep(instance, begun, row, session_token, now)
    return begun.address


def take_sign_in(instance: Instance, *, state: str, session_token: str, now: datetime) -> tuple[Row, str]:
    """The row and the flow of the sign-in this state stands for, once. Raises UnknownSignIn or VaultError.

    One that was begun in another browser is left to that browser.
    """
    with instance.database.writing() as session:
        found = session.get(MicrosoftSignIn, _sha256(state)) if state else None
        if found is None:
            raise UnknownSignIn(
                "This answer from Microsoft belongs to no sign-in that is open here: it was used before, or "
                "is too old."
            )
        if not secrets.compare_digest(found.session_sha256, _sha256(session_token)):
            raise UnknownSignIn("This sign-in was begun in another browser, or by somebody else.")
        # Deleting is what uses it up: of two requests with the same answer only one deletes the row.
        gone = session.execute(
            sa.delete(MicrosoftSignIn)
            .where(MicrosoftSignIn.state_sha256 == found.state_sha256)
            .returning(MicrosoftSignIn.state_sha256)
        )
        if gone.first() is None:
            raise UnknownSignIn("This answer from Microsoft was used before.")
        row, flow, began = Row(found.row), found.flow_sealed, found.created_at
    if not began <= now <= began + SIGN_IN_LASTS:
        minutes = SIGN_IN_LASTS // timedelta(minutes=1)
        raise UnknownSignIn(f"The sign-in at Microsoft took longer than {minutes} minutes.")
    return row, instance.vault.unseal(flow)


def finish_sign_in(
    instance: Instance, row: Row, flow: str, answer: dict[str, str], *, now: datetime, actor: str
) -> MicrosoftConnection:
    """Let the account wait for its answer. Nothing else of the row changes.

    Raises SignInFailed, NotConfirmed, VaultError or a MailServerError.
    """
    with instance.database.reading() as session:
        stored = mail_servers.load(session, row)
    registration = registration_to_use(instance, stored)
    assert stored is not None
    with closing(open_http(instance, TIMEOUT_SECONDS)) as http:
        grant = microsoft_oauth.finish(registration, flow, answer, http=http)
    account = graph_account.identity(grant.access_token, **_graph(instance))
    mailbox = other_mailbox(account.addresses, stored.mailbox)
    waiting = MicrosoftConnection(
        row=row.value,
        confirmed=False,
        authority=registration.authority,
        client_id=registration.client_id,
        scopes=sorted(grant.scopes),
        cache_sealed=instance.vault.seal(grant.cache),
        user_id=account.user_id,
        tenant_id=grant.tenant_id,
        tenant_name=account.tenant_name,
        display_name=account.display_name,
        address=account.address,
        addresses=list(account.addresses),
        mailbox=mailbox,
        mailbox_opens=_opens(instance, row, mailbox, grant),
        signed_in_at=now,
        signed_in_by=actor,
        renewed_at=now,
        state=ConnectionState.CONNECTED,
        state_since=now,
    )
    with instance.database.writing() as session:
        forget_pending(session, row)
        session.flush()
        session.add(waiting)
        audit.record(session, now, actor, "microsoft.sign_in", row.value, account=account.address)
    return waiting


def _keep(instance: Instance, begun: Begun, row: Row, session_token: str, now: datetime) -> None:
    owner = _sha256(session_token)
    with instance.database.writing() as session:
        session.execute(
            sa.delete(MicrosoftSignIn).where(
                (MicrosoftSignIn.created_at < now - SIGN_IN_LASTS) | (MicrosoftSignIn.created_at > now)
            )
        )
        newest = (
            sa.select(MicrosoftSignIn.state_sha256)
            .where(MicrosoftSignIn.session_sha256 == owner)
            .order_by(MicrosoftSignIn.created_at.desc())
            .limit(MOST_SIGN_INS - 1)
        )
        session.execute(
            sa.delete(MicrosoftSignIn).where(
                MicrosoftSignIn.session_sha256 == owner, MicrosoftSignIn.state_sha256.not_in(newest)
            )
        )
        session.add(
            MicrosoftSignIn(
                state_sha256=_sha256(begun.state),
                session_sha256=owner,
                row=row.value,
                flow_sealed=instance.vault.seal(begun.flow),
                created_at=now,
            )
        )


def _opens(instance: Instance, row: Row, mailbox: str, grant: Grant) -> bool | None:
    """Whether the account can read the other mailbox. For sending Microsoft tells only when mail is sent."""
    needed = scopes_for(row, shared=True)
    if not mailbox or row is not Row.INCOMING or microsoft_oauth.missing_scopes(needed, grant.scopes):
        return None
    return graph_account.can_open(mailbox, grant.access_token, **_graph(instance))


def _graph(instance: Instance) -> _Graph:
    settings = instance.settings
    return {
        "graph_base": settings.ms_graph_base,
        "ca_file": settings.mail_ca_file or None,
        "timeout": TIMEOUT_SECONDS,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


__all__ = [
    "NotConfirmed", "SignInFailed", "UnknownSignIn", "begin_sign_in", "finish_sign_in", "take_sign_in",
]  # fmt: skip
