"""A Microsoft account that is connected to a row already: what a sign-in leaves behind, with a token of the
Graph stand-in. No identity provider is asked: `tests/browser/test_office365.py` goes the whole way."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

from tests.rig.graph_server import GraphServer
from webapp.desk import mail_servers
from webapp.desk.microsoft_registration import authority_of
from webapp.instance import Instance
from webapp.models import ConnectionState, MicrosoftConnection, Row

TENANT = "0f0f0f0f-1111-2222-3333-444444444444"
APPLICATION = "a1a1a1a1-5555-6666-7777-888888888888"
SECRET = "canary-client-secret"
SCOPES = ["User.Read", "Mail.ReadWrite", "Mail.Send", "Mail.ReadWrite.Shared", "Mail.Send.Shared"]


def settings_of(server: GraphServer) -> dict[str, object]:
    """What `make_instance` needs for this stand-in; as variables: see `environment_of`."""
    return {
        "mail_ca_file": server.ca_file,
        "ms_graph_base": server.base,
        "ms_authority": "https://localhost:1/organizations",  # never asked
        "ms_stand_ins": True,
    }


def environment_of(server: GraphServer) -> dict[str, str]:
    told = settings_of(server)
    return {f"SERVICEDESK_{name.upper()}": str(value).lower() if value is True else str(value)
            for name, value in told.items()}  # fmt: skip


def set_office365(
    instance: Instance, server: GraphServer, address: str, row: Row = Row.INCOMING, **changes: str
) -> None:
    """An active row of this account; as a person would have it after the sign-in."""
    told = {"protocol": "office365", "tenant_id": TENANT, "client_id": APPLICATION, "active": "false"}
    save(instance, row, told, client_secret=SECRET)
    connect_account(instance, server, address, row)
    more = {"process_unknown": "true"} if row is Row.INCOMING else {}
    save(instance, row, {"active": "true", "mailbox": address, "timeout_ms": "10000", **more, **changes})


def connect_account(instance: Instance, server: GraphServer, address: str, row: Row) -> None:
    """Somebody signed in with this account and said yes."""
    user, now = server.users[address.lower()], datetime.now(UTC)
    token = {
        "credential_type": "AccessToken", "secret": server.issue(address), "home_account_id": "u.t",
        "environment": "localhost", "client_id": APPLICATION, "realm": TENANT, "token_type": "Bearer",
        "target": " ".join(SCOPES), "cached_at": str(int(time.time())),
        "expires_on": str(int(time.time()) + 3600),
    }  # fmt: skip
    with instance.database.writing() as session:
        session.add(
            MicrosoftConnection(
                row=row.value,
                confirmed=True,
                authority=authority_of(instance.settings, TENANT),
                client_id=APPLICATION,
                scopes=SCOPES,
                cache_sealed=instance.vault.seal(json.dumps({"AccessToken": {"one": token}})),
                user_id=user.user_id,
                tenant_id=TENANT,
                tenant_name=user.tenant,
                display_name=user.display_name,
                address=user.address,
                addresses=[user.address, *user.aliases],
                signed_in_at=now,
                signed_in_by="alice@desk.example",
                renewed_at=now,
                state=ConnectionState.CONNECTED,
                state_since=now,
            )
        )


def save(instance: Instance, row: Row, changes: dict[str, str], **secrets: str) -> None:
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, row, changes, **secrets)
        mail_servers.save(session, instance.vault, wanted, now=datetime.now(UTC), actor="test")
