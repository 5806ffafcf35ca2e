"""A row with a Microsoft account, signed in at the stand-in as people do, but without a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import argon2
import pytest

from tests.rig.microsoft_sign_in import (
    CLIENT_ID,
    CLIENT_SECRET,
    HELP,
    TENANT,
    IdentityProvider,
    StandInAccount,
    StandInBrowser,
)
from webapp.desk import accounts, mail_servers, microsoft_connections, microsoft_sign_in
from webapp.desk.microsoft_registration import redirect_address
from webapp.desk.microsoft_tokens import ConnectionTokens, token_source
from webapp.instance import Instance
from webapp.mailserver.microsoft_oauth import AppRegistration
from webapp.models import Account, MicrosoftConnection, Role, Row

ACTOR = "admin@desk.example"


def now() -> datetime:
    return datetime.now(UTC)


def register(instance: Instance, row: Row = Row.INCOMING, **changes: str) -> None:
    """Save the row as Office365 with the stand-in's app registration."""
    told = {"protocol": "office365", "tenant_id": TENANT, "client_id": CLIENT_ID} | changes
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, row, told, client_secret=CLIENT_SECRET)
        mail_servers.save(session, instance.vault, wanted, now=now(), actor=ACTOR)


def session_token(instance: Instance) -> str:
    """Of an administrator who has just signed in."""
    with pytest.MonkeyPatch.context() as patch, instance.database.writing() as session:
        patch.setattr(accounts, "_hasher", argon2.PasswordHasher(1, 8, 1))
        account: Account | None = accounts.find_account(session, ACTOR)
        if account is None:
            account = accounts.create_account(
                session,
                email=ACTOR,
                name="Admin",
                password="correct horse battery",
                role=Role.ADMINISTRATOR,
                now=now(),
                actor="test",
            )
        token = accounts.start_session(session, account.id, now=now(), idle=timedelta(hours=1))
    assert token is not None
    return token


def sign_in(
    instance: Instance,
    provider: IdentityProvider,
    account: StandInAccount = HELP,
    row: Row = Row.INCOMING,
    *,
    choose_account: bool = False,
) -> MicrosoftConnection:
    """The account that waits for the yes."""
    provider.allow(redirect_address(instance.settings))
    token = session_token(instance)
    address = microsoft_sign_in.begin_sign_in(
        instance, row, session_token=token, choose_account=choose_account, now=now()
    )
    answer = StandInBrowser(provider).answer(address, account)
    found, flow = microsoft_sign_in.take_sign_in(
        instance, state=answer["state"], session_token=token, now=now()
    )
    assert found is row
    return microsoft_sign_in.finish_sign_in(instance, row, flow, answer, now=now(), actor=ACTOR)


def say_yes(instance: Instance, waiting: MicrosoftConnection, *, own_mailbox: bool = False) -> None:
    """Also to taking the place of whoever is there."""
    with instance.database.writing() as session:
        there = microsoft_connections.find(session, Row(waiting.row))
        microsoft_connections.confirm(
            session,
            instance,
            Row(waiting.row),
            mark=microsoft_connections.mark_of(waiting),
            own_mailbox=own_mailbox,
            now=now(),
            actor=ACTOR,
            replaces=there.address if there else "",
        )


def connect(
    instance: Instance, provider: IdentityProvider, account: StandInAccount = HELP, row: Row = Row.INCOMING
) -> None:
    say_yes(instance, sign_in(instance, provider, account, row))


def registration(instance: Instance, secret: str = CLIENT_SECRET) -> AppRegistration:
    return AppRegistration(instance.settings.ms_authority, CLIENT_ID, secret)


def tokens_of(
    instance: Instance, row: Row = Row.INCOMING, *, secret: str = CLIENT_SECRET, timeout: float = 10.0
) -> ConnectionTokens:
    source = token_source(instance, row, registration(instance, secret), timeout=timeout)
    assert isinstance(source, ConnectionTokens)
    return source


def held(instance: Instance, row: Row = Row.INCOMING) -> MicrosoftConnection:
    with instance.database.reading() as session:
        found = microsoft_connections.find(session, row)
    assert found is not None
    return found
