"""What the Graph stand-in answers: strict where Microsoft's service is, and where it is merely odd.

A stand-in, written from Microsoft's documentation; nothing here was compared with the service itself.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Any
from urllib.parse import unquote

from tests.rig.graph_schema import GraphSchema
from tests.rig.graph_store import GraphMailboxStore, GraphUser, SentMail, StoredFile, StoredMessage
from tests.rig.graph_wire import Reply, Seen, error

LARGEST_REQUEST = 4 * 1024 * 1024
THROWN_AWAY_FROM = 2_200_000  # MIME of this size: 200, and nothing is sent
LARGEST_PAGE = 1000
_FILTER = re.compile(r"receivedDateTime ge (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(?: and isRead eq (true|false))?")
_ID = re.compile(r"A[AQ][A-Za-z0-9_-]{20,}=*")
_EXPAND = re.compile(r"singleValueExtendedProperties\(\$filter=id eq '(\w+) 0x0*([0-9A-Fa-f]+)'\)")
_SIZE = 0xE08
_START = "#start"


@dataclass(slots=True)
class Session:
    """An upload session for one file of a draft."""

    draft: StoredMessage
    file: StoredFile
    size: int
    got: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, about whose mailbox, and how."""

    user: GraphUser
    owner: GraphUser
    store: GraphMailboxStore
    immutable: bool
    where: str  # "me", or "users/..." as it was asked: links lead there again


class GraphApi:
    """Requests below the version, for one caller each."""

    def __init__(self, base: Callable[[], str], schema: GraphSchema | None) -> None:
        self._base, self._schema = base, schema
        self.largest_page = LARGEST_PAGE
        self._next: dict[str, tuple[str, dict[str, str], int]] = {}
        self.uploads: dict[str, Session] = {}

    def answer(self, seen: Seen, caller: Caller, path: str) -> Reply:
        """`path` is what follows /me or /users/{id}."""
        if "$skiptoken" in seen.query:
            followed = self._follow(seen)
            if followed is None:
                return error(400, "BadRequest", "not the link that was given out")
            seen = followed
        for method, pattern, handler in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == seen.method:
                parts = [unquote(part) for part in found.groups()]
                with caller.store.lock:
                    return handler(self, seen, caller, *parts)
        return error(405 if seen.method != "GET" else 404, "UnknownError", f"{seen.method} {path}")

    # Folders.

    def _folders(self, seen: Seen, caller: Caller, parent: str = "") -> Reply:
        if parent and (parent := self._folder_id(caller, parent)) == "":
            return _gone()
        found = [self._folder(caller, one.id) for one in caller.store.children(parent)]
        return self._collection(seen, found, "graph.mailFolder", allowed={"$select", "$top", "$skip"})

    def _one_folder(self, seen: Seen, caller: Caller, folder: str) -> Reply:
        folder_id = self._folder_id(caller, folder)
        if not folder_id:
            return _gone()
        return self._selected(seen, self._folder(caller, folder_id), "graph.mailFolder")

    def _make_folder(self, seen: Seen, caller: Caller, parent: str = "") -> Reply:
        body = _json(seen)
        if body is None or not str(body.get("displayName") or ""):
            return error(400, "ErrorInvalidRequest", "a folder needs a displayName")
        self._check(body, "graph.mailFolder")
        if parent and (parent := self._folder_id(caller, parent)) == "":
            return _gone()
        name = str(body["displayName"])
        if caller.store.child(parent, name):
            text = "A folder with the specified name already exists."
            return error(409, "ErrorFolderExists", text)
        made = caller.store.make_folder(parent, name)
        return Reply(201, self._folder(caller, made.id), kind="graph.mailFolder")

    # Messages.

    def _list(self, seen: Seen, caller: Caller, folder: str) -> Reply:
        folder_id = self._folder_id(caller, folder)
        if not folder_id:
            return _gone()
        query = dict(seen.query)
        order, condition = query.pop("$orderby", ""), query.pop("$filter", "")
        if "internetMessageHeaders" in query.get("$select", ""):
            return error(400, "ErrorInvalidProperty", "only of one message")
        messages = [one for one in caller.store.messages.values() if one.folder_id == folder_id]
        if condition:
            found = _FILTER.fullmatch(condition)
            if order.startswith("receivedDateTime") and not condition.startswith("receivedDateTime"):
                return error(400, "InefficientFilter", "The restriction or sort order is too complex")
            if found is None:
                return error(400, "BadRequest", f"Invalid filter clause: {condition}")
            since = datetime.fromisoformat(found[1])
            messages = [one for one in messages if one.received_at and one.received_at >= since]
            if found[2]:
                messages = [one for one in messages if one.seen == (found[2] == "true")]
        if order not in ("", "receivedDateTime asc", "receivedDateTime desc"):
            return error(400, "BadRequest", f"Invalid orderby: {order}")
        if order:
            messages = [one for one in messages if one.received_at]
            messages.sort(key=lambda one: str(one.received_at), reverse=order.endswith("desc"))
        found_ = [self._message(caller, one, seen.query) for one in messages]
        options = {"$select", "$top", "$expand", "$filter", "$orderby"}
        return self._collection(seen, found_, "graph.message", allowed=options)

    def _one_message(self, seen: Seen, caller: Caller, key: str) -> Reply:
        message = self._find(caller, key)
        if isinstance(message, Reply):
            return message
        return self._selected(seen, self._message(caller, message, seen.query), "graph.message")

    def _mime(self, seen: Seen, caller: Caller, key: str) -> Reply:
        message = self._find(caller, key)
        return message if isinstance(message, Reply) else Reply(200, message.raw)

    def _patch(self, seen: Seen, caller: Caller, key: str) -> Reply:
        message = self._find(caller, key)
        if isinstance(message, Reply):
            return message
        body = _json(seen)
        if body is None:
            return error(400, "BadRequest", "no JSON")
        self._check(body, "graph.message")
        if "isRead" in body:
            message.seen = bool(body["isRead"])
        return Reply(200, self._message(caller, message, {}), kind="graph.message")

    def _move(self, seen: Seen, caller: Caller, key: str) -> Reply:
        message = self._find(caller, key)
        if isinstance(message, Reply):
            return message
        body = _json(seen) or {}
        if self._schema:
            self._schema.check_action("move", body)
        folder_id = self._folder_id(caller, str(body.get("destinationId")))
        if not folder_id:
            return _gone()
        if caller.store.full:
            return error(507, "ErrorQuotaExceeded", "The mailbox is full.")
        caller.store.move(message, folder_id)
        return Reply(201, self._message(caller, message, {}), kind="graph.message")

    def _delete(self, seen: Seen, caller: Caller, key: str) -> Reply:
        message = self._find(caller, key)
        if isinstance(message, Reply):
            return message
        caller.store.move(message, caller.store.well_known["deleteditems"])
        return Reply(204)

    # Sending.

    def _send_mail(self, seen: Seen, caller: Caller) -> Reply:
        if seen.headers.get("content-type", "").startswith("application/json"):
            return self._send_json(seen, caller)
        raw = _mime_of(seen)
        if raw is None:
            return error(
                400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
            )
        if len(raw) >= THROWN_AWAY_FROM:
            return Reply(200)
        return self._accept(caller, raw, [])

    def _send_json(self, seen: Seen, caller: Caller) -> Reply:
        body = _json(seen) or {}
        if self._schema:
            self._schema.check_action("sendMail", body)
        message = body.get("message") or body.get("Message") or {}
        recipients = [one["emailAddress"]["address"] for one in message.get("toRecipients", [])]
        if not recipients:
            return error(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
        text = f"Subject: {message.get('subject', '')}\r\n\r\n{message.get('body', {}).get('content', '')}"
        caller.store.sent.append(SentMail(text.encode(), caller.owner.address, recipients))
        return Reply(202)

    def _make_draft(self, seen: Seen, caller: Caller) -> Reply:
        raw = _mime_of(seen)
        if raw is None:
            return error(400, "ErrorMimeContentInvalidBase64String")
        draft = caller.store.add_draft(raw)
        return Reply(201, self._message(caller, draft, {}), kind="graph.message")

    def _attach(self, seen: Seen, caller: Caller, key: str) -> Reply:
        draft = self._draft(caller, key)
        if isinstance(draft, Reply):
            return draft
        body = _json(seen) or {}
        if body.get("@odata.type") != "#microsoft.graph.fileAttachment":
            return error(400, "ErrorInvalidRequest", "no type")
        self._check(body, "graph.fileAttachment")
        octets = base64.b64decode(str(body.get("contentBytes")), validate=True)
        if len(octets) >= 3 * 1024 * 1024:
            return error(413, "ErrorMessageSizeExceeded", "use an upload session")
        draft.files.append(StoredFile(str(body["name"]), str(body.get("contentType")), octets))
        return Reply(
            201, {"id": caller.store.new_id("AQMk"), "name": body["name"]}, kind="graph.fileAttachment"
        )

    def _open_upload(self, seen: Seen, caller: Caller, key: str) -> Reply:
        draft = self._draft(caller, key)
        if isinstance(draft, Reply):
            return draft
        body = _json(seen) or {}
        if self._schema:
            self._schema.check_action("createUploadSession", body)
        item = body.get("AttachmentItem") or {}
        if item.get("attachmentType") != "file" or int(item.get("size", 0)) < 3_000_000:
            return error(400, "ErrorInvalidRequest", "an upload session is for files of 3 MB and more")
        token = secrets.token_urlsafe(24)
        file = StoredFile(str(item["name"]), str(item.get("contentType")), b"")
        self.uploads[token] = Session(draft, file, int(item["size"]))
        session = {
            "uploadUrl": f"{self._base().rpartition('/')[0]}/upload/{token}?authtoken={token}",
            "expirationDateTime": "2099-01-01T00:00:00Z",
            "nextExpectedRanges": ["0-"],
        }
        return Reply(201, session, kind="graph.uploadSession")

    def upload(self, seen: Seen, token: str) -> Reply:
        """A piece; the address is the authorisation, another one with it is refused."""
        session = self.uploads.get(token)
        if session is None or seen.query.get("authtoken") != token or "authorization" in seen.headers:
            return error(401, "InvalidAuthenticationToken")
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", seen.headers.get("content-range", ""))
        if not found or len(seen.body) > LARGEST_REQUEST:
            return error(400, "InvalidRange")
        start, end, size = map(int, found.groups())
        if start != len(session.got) or end - start + 1 != len(seen.body) or size != session.size:
            return error(416, "InvalidRange")
        session.got += seen.body
        if len(session.got) < session.size:
            return Reply(200, {"nextExpectedRanges": [f"{len(session.got)}-"]}, kind="graph.uploadSession")
        session.file.octets = bytes(session.got)
        session.draft.files.append(session.file)
        del self.uploads[token]
        return Reply(201, None, {"Location": "https://outlook.office.com/attachment"})

    def _send_draft(self, seen: Seen, caller: Caller, key: str) -> Reply:
        draft = self._draft(caller, key)
        if isinstance(draft, Reply):
            return draft
        reply = self._accept(caller, draft.raw, draft.files)
        if reply.status == 202:
            draft.is_draft = False
            caller.store.move(draft, caller.store.well_known["sentitems"])
        return reply

    def _accept(self, caller: Caller, raw: bytes, files: list[StoredFile]) -> Reply:
        message = BytesParser(policy=policy.compat32).parsebytes(raw, headersonly=True)
        senders = [address for _, address in getaddresses([str(v) for v in message.get_all("From", [])])]
        own = {address.lower() for address in caller.owner.addresses}
        if any(sender.lower() not in own for sender in senders):
            text = (
                "The user account which was used to submit this request does not have the right to send mail"
            )
            return error(403, "ErrorSendAsDenied", text)
        fields = [str(v) for name in ("To", "Cc", "Bcc") for v in message.get_all(name, [])]
        recipients = [address for _, address in getaddresses(fields) if address]
        if not recipients:
            return error(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
        sender = senders[0] if senders else caller.owner.address
        caller.store.sent.append(SentMail(raw, sender, recipients, list(files)))
        return Reply(202)

    # Objects.

    def _find(self, caller: Caller, key: str) -> StoredMessage | Reply:
        """By the kind of id that this request asks for; ids are compared exactly."""
        if not _ID.fullmatch(key):
            return error(400, "ErrorInvalidIdMalformed", "Id is malformed.")
        store = caller.store
        if caller.immutable:
            return store.messages.get(key) or _gone()
        return next((one for one in store.messages.values() if one.item_id == key), None) or _gone()

    def _draft(self, caller: Caller, key: str) -> StoredMessage | Reply:
        found = self._find(caller, key)
        if isinstance(found, StoredMessage) and not found.is_draft:
            return error(403, "ErrorAccessDenied", "not a draft")
        return found

    def _folder_id(self, caller: Caller, name: str) -> str:
        store = caller.store
        known = store.well_known.get(name.lower(), name)
        return known if known in store.by_folder else ""

    def _folder(self, caller: Caller, folder_id: str) -> dict[str, Any]:
        store = caller.store
        folder = store.by_folder[folder_id]
        inside = [one for one in store.messages.values() if one.folder_id == folder_id]
        return {
            "id": folder.id,
            "displayName": folder.name,
            "parentFolderId": folder.parent or "AQMkroot",
            "childFolderCount": len(store.children(folder.id)),
            "totalItemCount": len(inside),
            "unreadItemCount": sum(not one.seen for one in inside),
            "isHidden": False,
        }

    def _message(self, caller: Caller, one: StoredMessage, query: Mapping[str, str]) -> dict[str, Any]:
        headers = {name.lower(): value for name, value in one.headers}
        found: dict[str, Any] = {
            "id": one.immutable_id if caller.immutable else one.item_id,
            "parentFolderId": one.folder_id,
            "receivedDateTime": f"{one.received_at:%Y-%m-%dT%H:%M:%SZ}" if one.received_at else None,
            "isRead": one.seen,
            "isDraft": one.is_draft,
            "hasAttachments": bool(one.files),
            "subject": headers.get("subject", ""),
            "internetMessageId": headers.get("message-id", ""),
        }
        if "internetMessageHeaders" in query.get("$select", ""):
            found["internetMessageHeaders"] = [{"name": n, "value": v} for n, v in one.headers]
        expanded = _EXPAND.fullmatch(query.get("$expand", ""))
        if expanded and int(expanded[2], 16) == _SIZE:
            value = {"id": f"{expanded[1]} 0x{_SIZE:x}", "value": str(len(one.raw))}
            found["singleValueExtendedProperties"] = [value]
        return found

    # Shapes.

    def _selected(self, seen: Seen, found: dict[str, Any], kind: str) -> Reply:
        unknown = seen.query.keys() - {"$select", "$expand"}
        if unknown:
            return error(400, "BadRequest", f"unknown options {unknown}")
        if wrong := self._wrong_options(seen.query, kind):
            return wrong
        return Reply(200, _chosen(found, seen.query), kind=kind)

    def _collection(self, seen: Seen, found: list[dict[str, Any]], kind: str, *, allowed: set[str]) -> Reply:
        query = dict(seen.query)
        start = int(query.pop(_START, 0))
        if query.keys() - allowed:
            return error(400, "BadRequest", f"unknown options {query.keys() - allowed}")
        if wrong := self._wrong_options(query, kind):
            return wrong
        size = min(int(query.get("$top") or 10), self.largest_page)
        page: dict[str, Any] = {"value": [_chosen(one, query) for one in found[start : start + size]]}
        if start + size < len(found):
            token = secrets.token_urlsafe(9)
            self._next[token] = (seen.path, query, start + size)
            page["@odata.nextLink"] = f"{self._base()}{seen.path}?%24skiptoken={token}&opaque=a+b%2Bc"
        return Reply(200, page, kind=f"Collection({kind})")

    def _follow(self, seen: Seen) -> Seen | None:
        """The request that a nextLink goes on with. It must come back as it was given out.

        It goes on by position: what left the list meanwhile makes it pass over others, as Graph does.
        """
        known = self._next.get(seen.query["$skiptoken"])
        if known is None or known[0] != seen.path or seen.query.get("opaque") != "a b+c":
            return None
        path, query, start = known
        return Seen(seen.method, path, query | {_START: str(start)}, seen.headers)

    def _wrong_options(self, query: Mapping[str, str], kind: str) -> Reply | None:
        expand = query.get("$expand")
        if expand is not None and not _EXPAND.fullmatch(expand):
            return error(400, "BadRequest", f"cannot expand {expand}")
        top = query.get("$top")
        if top is not None and not (top.isdigit() and 1 <= int(top) <= LARGEST_PAGE):
            return error(400, "BadRequest", "$top is from 1 to 1000")
        if self._schema and "$select" in query:
            self._schema.check_select(query["$select"], kind)
        return None

    def _check(self, body: Mapping[str, object], kind: str) -> None:
        if self._schema:
            self._schema.check_object(body, kind)


def _chosen(found: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """What $select names; what $expand adds stays."""
    if "$select" not in query:
        return found
    names = {"id", "singleValueExtendedProperties", *query["$select"].split(",")}
    return {name: value for name, value in found.items() if name in names}


def _gone() -> Reply:
    return error(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def _json(seen: Seen) -> dict[str, Any] | None:
    if not seen.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        value = json.loads(seen.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _mime_of(seen: Seen) -> bytes | None:
    if not seen.headers.get("content-type", "").startswith("text/plain"):
        return None
    try:
        return base64.b64decode(seen.body, validate=True)
    except (binascii.Error, ValueError):
        return None


Handler = Callable[..., Reply]
_KEY = r"([^/]+)"
_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/mailFolders", GraphApi._folders),
    ("POST", "/mailFolders", GraphApi._make_folder),
    ("GET", f"/mailFolders/{_KEY}", GraphApi._one_folder),
    ("GET", f"/mailFolders/{_KEY}/childFolders", GraphApi._folders),
    ("POST", f"/mailFolders/{_KEY}/childFolders", GraphApi._make_folder),
    ("GET", f"/mailFolders/{_KEY}/messages", GraphApi._list),
    ("POST", "/messages", GraphApi._make_draft),
    ("GET", f"/messages/{_KEY}", GraphApi._one_message),
    ("PATCH", f"/messages/{_KEY}", GraphApi._patch),
    ("DELETE", f"/messages/{_KEY}", GraphApi._delete),
    ("GET", rf"/messages/{_KEY}/\$value", GraphApi._mime),
    ("POST", f"/messages/{_KEY}/move", GraphApi._move),
    ("POST", f"/messages/{_KEY}/send", GraphApi._send_draft),
    ("POST", f"/messages/{_KEY}/attachments", GraphApi._attach),
    ("POST", f"/messages/{_KEY}/attachments/createUploadSession", GraphApi._open_upload),
    ("POST", "/sendMail", GraphApi._send_mail),
)
