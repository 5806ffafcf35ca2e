"""Who a Microsoft account is, told by Graph."""

from __future__ import annotations

import time

import pytest

from tests.mailserver.contract import DESK
from tests.rig.graph_server import GraphServer
from tests.rig.graph_wire import Fault, Reply, error
from webapp.mailserver.errors import (
    ServerBusy,
    SignInNeeded,
    UnexpectedServer,
)
from webapp.mailserver.graph_account import can_open, identity


def test_identity(graph_server: GraphServer) -> None:
    user = graph_server.add_user(
        "anna@example.com",
        display_name="Anna Petrova",
        aliases=("a.petrova@example.com",),
        tenant="Example Ltd",
    )
    token = graph_server.issue("anna@example.com")
    found = identity(token, graph_base=graph_server.base, ca_file=graph_server.ca_file)
    assert (found.user_id, found.address, found.display_name) == (
        user.user_id,
        "anna@example.com",
        "Anna Petrova",
    )
    assert found.tenant_name == "Example Ltd"
    assert found.addresses == ("anna@example.com", "a.petrova@example.com")
    assert found.owns("A.Petrova@Example.com")
    assert not found.owns("boss@example.com")
    assert token not in repr(found)


def test_identity_without_the_organisations_name(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault("GET", "organization", reply=error(403, "Authorization_RequestDenied")))
    token = graph_server.issue(DESK, "User.Read")
    found = identity(token, graph_base=graph_server.base, ca_file=graph_server.ca_file)
    assert (found.address, found.tenant_name) == (DESK, "")


def test_identity_of_a_refused_token(graph_server: GraphServer) -> None:
    with pytest.raises(SignInNeeded):
        identity("made-up", graph_base=graph_server.base, ca_file=graph_server.ca_file)


def test_identity_of_a_personal_account(graph_server: GraphServer) -> None:
    """It has no proxy addresses, and its name is all there is."""
    body = {"id": "1", "displayName": None, "mail": None, "userPrincipalName": "me@outlook.com"}
    graph_server.faults.append(Fault("GET", "/me$", reply=Reply(200, body)))
    token = graph_server.issue(DESK)
    found = identity(token, graph_base=graph_server.base, ca_file=graph_server.ca_file)
    assert found.addresses == ("me@outlook.com",)


@pytest.mark.parametrize("body", [{}, {"id": "1"}, {"mail": "a@b.example"}])
def test_identity_of_nobody(graph_server: GraphServer, body: dict[str, str]) -> None:
    graph_server.faults.append(Fault("GET", "/me$", reply=Reply(200, body)))
    token = graph_server.issue(DESK)
    with pytest.raises(UnexpectedServer):
        identity(token, graph_base=graph_server.base, ca_file=graph_server.ca_file)


def test_whose_mailbox_can_be_opened(graph_server: GraphServer) -> None:
    graph_server.add_user("team@example.com")
    graph_server.add_user("boss@example.com")
    graph_server.share("team@example.com", DESK)
    token = graph_server.issue(DESK)

    def ask(mailbox: str) -> bool:
        return can_open(mailbox, token, graph_base=graph_server.base, ca_file=graph_server.ca_file)

    assert ask("team@example.com")
    assert not ask("boss@example.com")
    assert not ask("nobody@example.com")
    graph_server.faults.append(Fault("GET", "inbox$", reply=error(429, "x", Retry_After="99")))
    with pytest.raises(ServerBusy):
        ask("team@example.com")


def test_another_provider_of_tokens(graph_server: GraphServer) -> None:
    """Tokens that the stand-in did not hand out are asked of `accept`."""
    from tests.rig.graph_server import Grant

    known = {"theirs": Grant(DESK, frozenset({"User.Read"}), time.time() + 60)}
    graph_server.accept = known.get
    found = identity("theirs", graph_base=graph_server.base, ca_file=graph_server.ca_file)
    assert found.address == DESK
    known["theirs"] = Grant(DESK, frozenset({"User.Read"}), time.time() - 1)
    with pytest.raises(SignInNeeded):
        identity("theirs", graph_base=graph_server.base, ca_file=graph_server.ca_file)
