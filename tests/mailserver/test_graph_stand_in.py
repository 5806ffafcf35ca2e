"""The stand-in for Microsoft Graph is held against what others know of Graph: Microsoft's description of its
types, and O365, a client somebody else wrote."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.mailserver.contract import DESK, NOON, message, outgoing
from tests.rig.graph_schema import GraphSchema, SchemaError
from tests.rig.graph_server import GraphServer
from tests.rig.graph_store import GraphMailboxStore
from webapp.mailserver.connect import open_mailbox, open_transport

ROOT = Path(__file__).parents[2]
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


@pytest.fixture
def store(graph_server: GraphServer) -> GraphMailboxStore:
    return graph_server.mailbox_of(DESK)


class Client:
    """Plain requests, to ask what no client of ours would."""

    def __init__(self, server: GraphServer) -> None:
        self._server = server
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = server.ca_file
        self.session.headers["Authorization"] = f"Bearer {server.issue(DESK)}"

    def ask(self, method: str, path: str, **options: Any) -> tuple[int, str, Any]:
        """Status, error code, body."""
        url = path if path.startswith("https") else self._server.base + path
        answer = self.session.request(method, url, **options)
        if not answer.headers["Content-Type"].startswith("application/json"):
            return answer.status_code, "", answer.content
        body = answer.json()
        return answer.status_code, body.get("error", {}).get("code", ""), body


@pytest.fixture
def client(graph_server: GraphServer) -> Iterator[Client]:
    client = Client(graph_server)
    with client.session:
        yield client


# Microsoft's own description.


@pytest.mark.schemas
def test_it_is_held_against_microsofts_types(graph_server: GraphServer, client: Client) -> None:
    assert graph_server.schema is not None
    status, code, body = client.ask("GET", "/me/mailFolders/inbox?$select=id,colour")
    assert (status, code) == (400, "BadRequest")
    assert "colour" in body["error"]["message"]
    assert graph_server.schema_errors == ["graph.mailFolder has no property 'colour'"]
    graph_server.schema_errors.clear()


@pytest.mark.schemas
def test_what_is_not_as_microsoft_describes_it() -> None:
    schema = GraphSchema.find()
    assert schema is not None
    good = {
        "id": "AA",
        "isRead": False,
        "receivedDateTime": "2026-11-20T12:00:00Z",
        "toRecipients": [{"emailAddress": {"address": "a@b.example", "name": "A"}}],
        "internetMessageHeaders": [{"name": "X", "value": "y"}],
        "importance": "high",
        "@odata.etag": "x",
    }
    schema.check_object(good, "graph.message")
    mistakes: tuple[dict[str, object], ...] = (
        {"isRead": "false"},
        {"receivedDateTime": "2026-11-20 12:00:00"},
        {"receivedDateTime": "2026-11-20T12:00:00+01:00"},
        {"toRecipients": {"emailAddress": {}}},
        {"toRecipients": [{"address": "a@b.example"}]},
        {"importance": "very"},
        {"isread": True},
        {"hasAttachments": 1},
        {"id": 1},
    )
    for wrong in mistakes:
        with pytest.raises(SchemaError):
            schema.check_object({**good, **wrong}, "graph.message")
    schema.check_action("move", {"destinationId": "x"})
    with pytest.raises(SchemaError):
        schema.check_action("move", {"destination": "x"})
    with pytest.raises(SchemaError):
        schema.check_action("createUploadSession", {"AttachmentItem": {"size": "3"}})


# What Graph does that a client may trip over.


def test_ids_change_unless_immutable_ones_are_asked_for(client: Client, store: GraphMailboxStore) -> None:
    key = store.deliver(message())
    path = "/me/mailFolders/inbox/messages"
    ordinary = client.ask("GET", path)[2]["value"][0]["id"]
    assert client.ask("GET", path, headers=IMMUTABLE)[2]["value"][0]["id"] == key != ordinary
    store.take_away(key, "Drafts")
    assert client.ask("GET", f"/me/messages/{ordinary}")[:2] == (404, "ErrorItemNotFound")
    assert client.ask("GET", f"/me/messages/{key}")[:2] == (404, "ErrorItemNotFound")
    assert client.ask("GET", f"/me/messages/{key}", headers=IMMUTABLE)[0] == 200
    assert client.ask("GET", f"/me/messages/{key.swapcase()}", headers=IMMUTABLE)[0] in (400, 404)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (
            "$filter=isRead eq false and receivedDateTime ge 2026-01-01T00:00:00Z"
            "&$orderby=receivedDateTime asc",
            "InefficientFilter",
        ),
        ("$filter=receivedDateTime ge '2026-01-01T00:00:00Z'", "BadRequest"),
        ("$filter=receivedDateTime ge 2026-01-01", "BadRequest"),
        ("$top=1001", "BadRequest"),
        ("$skip=5", "BadRequest"),
        ("$select=internetMessageHeaders", "ErrorInvalidProperty"),
        ("$expand=attachments", "BadRequest"),
        ("$skiptoken=made-up", "BadRequest"),
    ],
)
def test_queries_that_are_refused(client: Client, query: str, code: str) -> None:
    assert client.ask("GET", f"/me/mailFolders/inbox/messages?{query}")[:2] == (400, code)


def test_paging_while_moving_passes_over_messages(
    graph_server: GraphServer, client: Client, store: GraphMailboxStore
) -> None:
    """Why all ids are collected first."""
    keys = [store.deliver(message(str(n)), received_at=NOON) for n in range(6)]
    page = client.ask("GET", "/me/mailFolders/inbox/messages?$top=2", headers=IMMUTABLE)[2]
    for one in page["value"]:
        store.take_away(one["id"], "Drafts")
    link = page["@odata.nextLink"]
    rest = client.ask("GET", link, headers=IMMUTABLE)[2]
    assert [one["id"] for one in rest["value"]] == keys[4:]
    assert (
        client.ask("GET", link.replace("+", "%20"), headers=IMMUTABLE)[0] == 200
    )  # the same query, written anew
    assert client.ask("GET", link.replace("%2B", "+"), headers=IMMUTABLE)[0] == 400


def test_a_batch_has_its_limits(client: Client) -> None:
    def batch(count: int, **changes: str) -> tuple[int, str, Any]:
        calls = [{"id": str(n), "method": "GET", "url": "/me", **changes} for n in range(count)]
        return client.ask("POST", "/$batch", json={"requests": calls})

    assert batch(20)[0] == 200
    assert batch(21)[0] == 400
    assert batch(2, id="1")[0] == 400


def test_mime_that_is_thrown_away(client: Client, store: GraphMailboxStore) -> None:
    headers = {"Content-Type": "text/plain"}
    large = base64.b64encode(outgoing(body="x" * 2_200_000))
    assert client.ask("POST", "/me/sendMail", data=large, headers=headers)[0] == 200
    assert store.sent == []
    assert client.ask("POST", "/me/sendMail", data=b"?", headers=headers)[:2] == (
        400,
        "ErrorMimeContentInvalidBase64String",
    )
    foreign = base64.b64encode(message())
    assert client.ask("POST", "/me/sendMail", data=foreign, headers=headers)[:2] == (403, "ErrorSendAsDenied")


def test_tokens_end(graph_server: GraphServer, client: Client) -> None:
    client.session.headers["Authorization"] = f"Bearer {graph_server.issue(DESK, seconds=-1)}"
    assert client.ask("GET", "/me")[:2] == (401, "InvalidAuthenticationToken")
    del client.session.headers["Authorization"]
    assert client.ask("GET", "/me")[0] == 401


# Another client.


def test_a_client_that_somebody_else_wrote(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    """O365 lists, reads, marks, makes a folder, moves and sends; what it does is what we see, and the other
    way round."""
    from O365 import Account, MSGraphProtocol
    from O365.utils.token import MemoryTokenBackend

    class ToStandIn(MSGraphProtocol):  # type: ignore[misc]
        _protocol_url = graph_server.base.removesuffix("v1.0")

    account = Account(
        ("client", "secret"),
        protocol=ToStandIn(timezone="UTC"),
        token_backend=MemoryTokenBackend(),
        default_headers=IMMUTABLE,
        requests_delay=0,
    )
    with requests.Session() as session:
        session.trust_env, session.verify = False, graph_server.ca_file
        session.headers["Authorization"] = f"Bearer {graph_server.issue(DESK)}"
        account.con.session = session
        for number in range(3):
            store.deliver(message(f"Number {number}"), received_at=NOON)
        mailbox = account.mailbox()
        theirs = list(mailbox.inbox_folder().get_messages(limit=10))
        assert sorted(one.subject for one in theirs) == ["Number 0", "Number 1", "Number 2"]
        assert theirs[0].get_mime_content() in {message(f"Number {n}") for n in range(3)}

        assert theirs[0].mark_as_read()
        folder = mailbox.create_child_folder("Archive")
        assert folder.name == "Archive"
        assert theirs[1].move(folder)
        with open_mailbox(graph_server.settings(DESK)) as ours:
            assert ours.open().unread == 1
            assert ours.find_archive().exists
            assert list(ours.list_unread()) == [theirs[2].object_id]
            assert ours.still_in_inbox([one.object_id for one in theirs]) == {
                theirs[0].object_id,
                theirs[2].object_id,
            }
            ours.move([theirs[2].object_id], "Archive")
        archived = {one.object_id for one in mailbox.get_folder(folder_id=folder.folder_id).get_messages()}
        assert archived == {theirs[1].object_id, theirs[2].object_id}

        mail = account.new_message()
        mail.to.add("anna@example.net")
        mail.subject, mail.body = "Theirs", "Good morning"
        assert mail.send(save_to_sent_folder=False)
    with open_transport(graph_server.settings(DESK, receives=False)) as transport:
        transport.open()
        transport.send(outgoing("Ours"), sender=DESK, recipients=["anna@example.net"])
    assert [one.recipients for one in store.sent] == [["anna@example.net"]] * 2


# As a process of its own.


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.rig.graph_process", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def say(**order: Any) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(order) + "\n")
            return json.loads(process.stdout.readline())

        told = json.loads(process.stdout.readline())
        say(do="add_user", address=DESK)
        token = say(do="issue", address=DESK)["token"]
        key = say(do="deliver", address=DESK, raw=base64.b64encode(message()).decode())["key"]
        say(do="fault", method="GET", path="inbox$", status=404, code="ErrorItemNotFound", skip=1)
        session = requests.Session()
        session.trust_env, session.verify = False, told["ca_file"]
        session.headers.update({"Authorization": f"Bearer {token}", **IMMUTABLE})
        with session:
            assert session.get(f"{told['base']}/me/mailFolders/inbox").json()["unreadItemCount"] == 1
            assert session.get(f"{told['base']}/me/mailFolders/inbox").status_code == 404
        say(do="take_away", address=DESK, key=key, folder="Drafts")
        assert [one["key"] for one in say(do="contents", address=DESK, folder="Drafts")] == [key]
        assert say(do="folders", address=DESK) == ["INBOX"]
        process.stdin.close()
        assert process.wait(20) == 0


# What a row of another kind does not pay for.


def test_it_is_imported_only_for_its_own_rows() -> None:
    """A fresh interpreter that knows all protocols, and tests an IMAP row, has loaded none of it."""
    code = """
import sys
from webapp.mailserver import connect, diagnosis, remedies
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
settings = ServerSettings(protocol=MailProtocol.IMAP, host="127.0.0.1", port=1, tls_mode=TlsMode.IMPLICIT,
                          timeout=1.0, username="u", password="p")
connect.open_mailbox(settings)
assert [one.stage for one in diagnosis.diagnose(settings)]
heavy = {"requests", "urllib3", "msal", "exchangelib", "webapp.mailserver.graph_session"}
print(sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
