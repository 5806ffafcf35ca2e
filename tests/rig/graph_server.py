"""A stand-in for Microsoft Graph v1.0 mail, over TLS, in threads of this process.

Written from Microsoft's documentation and never compared with the service itself. It signs nobody in:
tokens are those that a test handed out, or that `accept` knows. `faults` says what goes wrong, `requests`
what was asked. See `graph_process` for the same as a process of its own.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tests.rig.graph_api import LARGEST_REQUEST, Caller, GraphApi
from tests.rig.graph_schema import GraphSchema, SchemaError
from tests.rig.graph_store import GraphMailboxStore, GraphUser
from tests.rig.graph_wire import Fault, GraphHttp, Reply, Seen, error, read_query
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.errors import SignInNeeded, Stage

ALL_SCOPES = "User.Read Mail.ReadWrite Mail.Send Mail.ReadWrite.Shared Mail.Send.Shared"
_COLLECTION = re.compile(r"Collection\((.+)\)")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token is good for; `expires_at` by time.time()."""

    address: str
    scopes: frozenset[str]
    expires_at: float


class GraphServer:
    """The server, its accounts and their mailboxes."""

    def __init__(self, context: ssl.SSLContext, ca_file: str) -> None:
        self.ca_file = ca_file
        self.users: dict[str, GraphUser] = {}
        self.accept: Callable[[str], Grant | None] = lambda token: None
        self.claims = ""  # what a 401 asks to be proved, as JSON text
        self.schema = GraphSchema.find()
        self.schema_errors: list[str] = []
        self._grants: dict[str, Grant] = {}
        self._api = GraphApi(lambda: self.base, self.schema)
        self._http = GraphHttp(context, self._answer)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    # What a test does.

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Once is enough; every connection ends."""
        if self._http.stopping.is_set():
            return
        self._http.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.cut_all()
        self._http.server_close()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def base(self) -> str:
        return f"https://localhost:{self.port}/v1.0"

    @property
    def faults(self) -> list[Fault]:
        return self._http.faults

    @property
    def requests(self) -> list[Seen]:
        return self._http.requests

    @property
    def largest_page(self) -> int:
        return self._api.largest_page

    @largest_page.setter
    def largest_page(self, size: int) -> None:
        self._api.largest_page = size

    def add_user(
        self,
        address: str,
        *,
        display_name: str = "Help Desk",
        aliases: tuple[str, ...] = (),
        tenant: str = "Contoso",
        mailbox: bool = True,
    ) -> GraphUser:
        store = GraphMailboxStore() if mailbox else None
        user = GraphUser(secrets.token_hex(16), address, display_name, aliases, tenant, store)
        self.users[address.lower()] = user
        return user

    def share(self, mailbox: str, with_address: str) -> None:
        """Full Access and Send As."""
        self.users[mailbox.lower()].shared_with.add(with_address.lower())

    def mailbox_of(self, address: str) -> GraphMailboxStore:
        store = self.users[address.lower()].mailbox
        assert store is not None
        return store

    def issue(self, address: str, scopes: str = ALL_SCOPES, *, seconds: float = 3600) -> str:
        """A new access token of that account."""
        token = f"token-{secrets.token_urlsafe(24)}"
        self._grants[token] = Grant(address.lower(), frozenset(scopes.split()), time.time() + seconds)
        return token

    def revoke(self, token: str) -> None:
        del self._grants[token]

    def tokens_of(self, address: str, scopes: str = ALL_SCOPES) -> Tokens:
        return Tokens(self, address, scopes)

    def settings(self, address: str, **changes: Any) -> ServerSettings:
        """What a row with this account connected comes to."""
        values: dict[str, Any] = {
            "protocol": MailProtocol.OFFICE365,
            "host": "localhost",
            "port": self.port,
            "tls_mode": TlsMode.IMPLICIT,
            "timeout": 10.0,
            "from_address": address,
            "ca_file": self.ca_file,
            "graph_base": self.base,
            "tokens": self.tokens_of(address),
            **changes,
        }
        return ServerSettings(**values)

    # What is answered.

    def _answer(self, seen: Seen) -> Reply:
        if found := re.fullmatch(r"/upload/([^/]+)", seen.path):
            return self._api.upload(seen, found[1])
        if not seen.path.startswith("/v1.0/"):
            return error(404, "UnknownVersion")
        if len(seen.body) > LARGEST_REQUEST:
            return error(413, "RequestEntityTooLarge")
        grant = self._grant(seen.token)
        if grant is None:
            return self._unauthorised()
        inside = Seen(seen.method, seen.path.removeprefix("/v1.0"), seen.query, seen.headers, seen.body)
        if inside.path == "/$batch" and inside.method == "POST":
            return self._batch(inside, grant)
        return self._one(inside, grant)

    def _grant(self, token: str) -> Grant | None:
        grant = self._grants.get(token) or (self.accept(token) if token else None)
        return grant if grant is not None and grant.expires_at > time.time() else None

    def _unauthorised(self) -> Reply:
        challenge = 'Bearer realm="", authorization_uri="https://login.example/authorize"'
        if self.claims:
            encoded = base64.b64encode(self.claims.encode()).decode()
            challenge += f', error="insufficient_claims", claims="{encoded}"'
        text = "Lifetime validation failed, the token is expired."
        reply = error(401, "InvalidAuthenticationToken", text)
        return Reply(401, reply.body, {"WWW-Authenticate": challenge})

    def _batch(self, seen: Seen, grant: Grant) -> Reply:
        calls = json.loads(seen.body)["requests"]
        if not 1 <= len(calls) <= 20 or len({call["id"] for call in calls}) < len(calls):
            return error(400, "BadRequest", "a batch has 1 to 20 requests with ids of their own")
        responses = [self._in_batch(call, grant) for call in calls]
        return Reply(200, {"responses": responses[::-1]})  # the order is not promised

    def _in_batch(self, call: dict[str, Any], grant: Grant) -> dict[str, Any]:
        path, _, query = str(call["url"]).partition("?")
        headers = {name.lower(): value for name, value in call.get("headers", {}).items()}
        body = json.dumps(call["body"]).encode() if "body" in call else b""
        seen = Seen(call["method"], path, read_query(query), headers, body)
        fault = next((one for one in self.faults if one.path.startswith("^") and one.is_about(seen)), None)
        reply = fault.reply if fault and isinstance(fault.reply, Reply) else self._one(seen, grant)
        told: Any = reply.body
        if isinstance(told, bytes):
            told = base64.b64encode(told).decode()
        return {"id": call["id"], "status": reply.status, "headers": dict(reply.headers), "body": told}

    def _one(self, seen: Seen, grant: Grant) -> Reply:
        try:
            return self._checked(self._routed(seen, grant))
        except SchemaError as exc:
            self.schema_errors.append(str(exc))
            return error(400, "BadRequest", str(exc))

    def _checked(self, reply: Reply) -> Reply:
        if self.schema and reply.kind:
            if found := _COLLECTION.fullmatch(reply.kind):
                assert isinstance(reply.body, dict)
                for one in reply.body["value"]:
                    self.schema.check_object(one, found[1])
            else:
                self.schema.check_object(reply.body, reply.kind)
        return reply

    def _routed(self, seen: Seen, grant: Grant) -> Reply:
        user = self.users[grant.address]
        if seen.path == "/me" and seen.method == "GET":
            return self._me(seen, user, grant)
        if seen.path == "/organization" and seen.method == "GET":
            return Reply(200, {"value": [{"id": "1", "displayName": user.tenant}]})
        found = re.fullmatch(r"/(me|users/([^/]+))(/.+)", seen.path)
        if found is None:
            return error(404, "UnknownPath", seen.path)
        owner = self._owner(user, unquote(found[2] or ""))
        if isinstance(owner, Reply):
            return owner
        if (refusal := _refusal(seen, user, owner, grant.scopes)) is not None:
            return refusal
        if owner.mailbox is None:
            text = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
            return error(404, "MailboxNotEnabledForRESTAPI", text)
        immutable = 'IdType="ImmutableId"' in seen.headers.get("prefer", "")
        caller = Caller(user, owner, owner.mailbox, immutable, found[1])
        return self._api.answer(seen, caller, found[3])

    def _owner(self, user: GraphUser, name: str) -> GraphUser | Reply:
        if not name:
            return user
        by_id = {one.user_id: one for one in self.users.values()}
        owner = self.users.get(name.lower()) or by_id.get(name)
        return owner or error(404, "ErrorInvalidUser", f"The requested user '{name}' is invalid.")

    def _me(self, seen: Seen, user: GraphUser, grant: Grant) -> Reply:
        if "User.Read" not in grant.scopes:
            return error(403, "Authorization_RequestDenied", "Insufficient privileges.")
        everything = {
            "id": user.user_id,
            "displayName": user.display_name,
            "mail": user.address if user.mailbox else None,
            "userPrincipalName": user.address,
            "proxyAddresses": [
                *(f"smtp:{alias}" for alias in user.aliases),
                f"SMTP:{user.address}",
                f"SIP:{user.address}",
            ],
        }
        names = seen.query.get("$select", "id,displayName,mail,userPrincipalName").split(",")
        if self.schema:
            self.schema.check_select(",".join(names), "graph.user")
        return Reply(200, {name: everything[name] for name in names}, kind="graph.user")


def _refusal(seen: Seen, user: GraphUser, owner: GraphUser, scopes: frozenset[str]) -> Reply | None:
    shared = "" if user is owner else ".Shared"
    needed = "Mail.Send" if seen.path.lower().endswith(("/sendmail", "/send")) else "Mail.ReadWrite"
    denied = error(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    if needed + shared not in scopes:
        return denied
    if user is not owner and user.address.lower() not in owner.shared_with:
        return denied
    return None


class Tokens:
    """A TokenSource over a GraphServer, as simple as one can be."""

    def __init__(self, server: GraphServer, address: str, scopes: str) -> None:
        self._server, self._address, self._scopes = server, address, scopes
        self._lock = threading.Lock()
        self.token = ""
        self.refused: list[str] = []
        self.challenges: list[str] = []
        self.withdrawn = False

    def access_token(self, *, refused: str = "", claims_challenge: str = "") -> str:
        with self._lock:
            if refused:
                self.refused.append(refused)
                self.challenges.append(claims_challenge)
            if self.withdrawn:
                raise SignInNeeded("withdrawn", stage=Stage.TOKEN, server_said="AADSTS70000: revoked")
            if not self.token or refused == self.token:
                self.token = self._server.issue(self._address, self._scopes)
            return self.token
