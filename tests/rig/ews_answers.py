"""The operations of the EWS stand-in: a request's element in, the answer's element out.

Only what a program that reads, moves and sends mail asks for. [MS-OXWSMSG], [MS-OXWSFOLD], [MS-OXWSSRCH]
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.utils import getaddresses
from typing import Any

from lxml import etree
from lxml.builder import ElementMaker  # type: ignore[import-not-found]

from tests.rig.ews_store import Folder, Item, Mailbox, Sent

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MNS = "http://schemas.microsoft.com/exchange/services/2006/messages"
TNS = "http://schemas.microsoft.com/exchange/services/2006/types"
ENS = "http://schemas.microsoft.com/exchange/services/2006/errors"
NAMES = {"s": SOAP, "m": MNS, "t": TNS}
M = ElementMaker(namespace=MNS, nsmap={"m": MNS, "t": TNS})
T = ElementMaker(namespace=TNS, nsmap={"t": TNS})
Element = Any


class Refused(Exception):
    """One element of a request cannot be answered: its ResponseCode."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(code)
        self.code, self.text = code, text or f"The stand-in says {code}."


@dataclass(slots=True)
class Behaviour:
    """What real servers do differently, or wrong."""

    rebuilds_mime: bool = False  # hands out a MIME of its own making: see microsoft.md
    move_returns_ids: bool = True
    aliases_open: bool = True  # else only the primary address opens a mailbox
    checks_send_as: bool = True
    refuse_send: str = ""  # the ResponseCode of every CreateItem
    refuse_folders: str = ""  # the ResponseCode of every CreateFolder
    hidden_move: str = ""  # after MoveItem is done it says this ResponseCode all the same
    codes: dict[str, str] = field(default_factory=dict)  # operation -> ResponseCode of each element


class Desk:
    """All mailboxes of one stand-in, for one request of one user."""

    def __init__(self, mailboxes: dict[str, Mailbox], behaviour: Behaviour, user: str) -> None:
        self.mailboxes, self.behaviour, self.user = mailboxes, behaviour, user

    def answer(self, request: Element) -> Element:
        name = etree.QName(request).localname
        operation: Callable[[Element], Iterable[Element]] = getattr(self, f"_{name}")
        answer = M(f"{name}Response", M.ResponseMessages(*operation(request)))
        return answer

    # Folders.

    def _GetFolder(self, request: Element) -> Iterable[Element]:
        for ref in request.find("m:FolderIds", NAMES):

            def got(ref: Element = ref) -> Element:
                return M.Folders(_folder(self._folder(ref)[1]))

            yield self._one("GetFolder", got)

    def _FindFolder(self, request: Element) -> Iterable[Element]:
        assert request.get("Traversal") == "Shallow"
        view = request.find("m:IndexedPageFolderView", NAMES)
        for ref in request.find("m:ParentFolderIds", NAMES):

            def found(ref: Element = ref) -> Element:
                mailbox, parent = self._folder(ref)
                page, paging = _page(mailbox.children(parent), view)
                return M.RootFolder(paging, T.Folders(*map(_folder, page)))

            yield self._one("FindFolder", found, paged=True)

    def _CreateFolder(self, request: Element) -> Iterable[Element]:
        mailbox, parent = self._folder(request.find("m:ParentFolderId", NAMES)[0])
        for wanted in request.find("m:Folders", NAMES):

            def made(wanted: Element = wanted) -> Element:
                if self.behaviour.refuse_folders:
                    raise Refused(self.behaviour.refuse_folders)
                folder = mailbox.make(wanted.findtext("t:DisplayName", namespaces=NAMES), parent)
                if folder is None:
                    raise Refused("ErrorFolderExists", "A folder with the specified name already exists.")
                return M.Folders(T.Folder(_id("FolderId", folder)))

            yield self._one("CreateFolder", made)

    # Items.

    def _FindItem(self, request: Element) -> Iterable[Element]:
        assert request.get("Traversal") == "Shallow"
        view = request.find("m:IndexedPageItemView", NAMES)
        condition = request.find("m:Restriction", NAMES)
        wanted = _asked(request)
        for ref in request.find("m:ParentFolderIds", NAMES):

            def found(ref: Element = ref) -> Element:
                _, folder = self._folder(ref)
                items = [i for i in folder.items if condition is None or _holds(condition[0], i)]
                items.sort(key=_received_or_first)
                page, paging = _page(items, view)
                return M.RootFolder(paging, T.Items(*(_item(i, folder, wanted) for i in page)))

            yield self._one("FindItem", found, paged=True)

    def _GetItem(self, request: Element) -> Iterable[Element]:
        wanted = _asked(request)
        with_mime = request.findtext("m:ItemShape/t:IncludeMimeContent", namespaces=NAMES) == "true"
        for ref in request.find("m:ItemIds", NAMES):

            def got(ref: Element = ref) -> Element:
                _, folder, item = self._item(ref)
                if with_mime and item.error:
                    raise Refused(item.error)
                mime = self._mime(item) if with_mime else None
                return M.Items(_item(item, folder, wanted, mime))

            yield self._one("GetItem", got, empty=M.Items())

    def _MoveItem(self, request: Element) -> Iterable[Element]:
        target = request.find("m:ToFolderId", NAMES)[0]
        for ref in request.find("m:ItemIds", NAMES):

            def moved(ref: Element = ref) -> Element:
                mailbox, _, item = self._item(ref)
                try:
                    folder = self._folder(target)[1]
                except Refused as refused:
                    raise Refused("ErrorToFolderNotFound") from refused
                mailbox.move(item, folder)
                if self.behaviour.hidden_move:
                    raise Refused(self.behaviour.hidden_move)
                with_id = self.behaviour.move_returns_ids
                return M.Items(T.Message(_id("ItemId", item))) if with_id else M.Items()

            yield self._one("MoveItem", moved, empty=M.Items())

    def _UpdateItem(self, request: Element) -> Iterable[Element]:
        assert request.get("SuppressReadReceipts") == "true", "the sender would be told"
        for change in request.find("m:ItemChanges", NAMES):

            def updated(change: Element = change) -> Element:
                _, _, item = self._item(change.find("t:ItemId", NAMES), needs_change_key=True)
                update = change.find("t:Updates/t:SetItemField", NAMES)
                assert update.find("t:FieldURI", NAMES).get("FieldURI") == "message:IsRead"
                item.seen = update.findtext("t:Message/t:IsRead", namespaces=NAMES) == "true"
                item.touch()
                return M.Items(T.Message(_id("ItemId", item)))

            conflicts = M.ConflictResults(T.Count("0"))
            yield self._one("UpdateItem", updated, empty=M.Items(), after=[conflicts])

    def _CreateItem(self, request: Element) -> Iterable[Element]:
        assert request.get("MessageDisposition") == "SendOnly"
        for message in request.find("m:Items", NAMES):

            def sent(message: Element = message) -> Element:
                raw = base64.b64decode(message.findtext("t:MimeContent", namespaces=NAMES), validate=True)
                self._send(raw)
                return M.Items()

            yield self._one("CreateItem", sent, empty=M.Items())

    def _ResolveNames(self, request: Element) -> Iterable[Element]:
        asked = request.findtext("m:UnresolvedEntry", namespaces=NAMES).removeprefix("smtp:").casefold()

        def resolved() -> Element:
            for mailbox in self.mailboxes.values():
                if asked in _addresses(mailbox):
                    return M.ResolutionSet(
                        T.Resolution(
                            T.Mailbox(
                                T.Name(mailbox.address),
                                T.EmailAddress(mailbox.address),
                                T.RoutingType("SMTP"),
                                T.MailboxType("Mailbox"),
                            )
                        ),
                        TotalItemsInView="1",
                        IncludesLastItemInRange="true",
                    )
            raise Refused("ErrorNameResolutionNoResults")

        yield self._one("ResolveNames", resolved)

    # Details.

    def _one(
        self,
        name: str,
        work: Callable[[], Element],
        *,
        empty: Element | None = None,
        after: Sequence[Element] = (),
        paged: bool = False,
    ) -> Element:
        """One response message: what `work` gives, or the refusal it raises."""
        make = getattr(M, f"{name}ResponseMessage")
        try:
            if name in self.behaviour.codes:
                raise Refused(self.behaviour.codes[name])
            return make(M.ResponseCode("NoError"), work(), *after, ResponseClass="Success")
        except Refused as refused:
            parts = [M.MessageText(refused.text), M.ResponseCode(refused.code)]
            parts.append(M.DescriptiveLinkKey("0"))
            parts += [] if empty is None else [empty]
            return make(*parts, ResponseClass="Error")

    def _mailbox(self, address: str) -> Mailbox:
        """The mailbox this user may open by that address; "": the user's own."""
        if not address:
            own = [one for one in self.mailboxes.values() if self.user in one.users]
            if not own:
                raise Refused("ErrorMissingEmailAddress")
            return own[0]
        for mailbox in self.mailboxes.values():
            if address.casefold() in _addresses(mailbox):
                if address.casefold() != mailbox.address.casefold() and not self.behaviour.aliases_open:
                    raise Refused("ErrorNonPrimarySmtpAddress")
                if self.user not in mailbox.users:
                    raise Refused("ErrorAccessDenied")
                return mailbox
        raise Refused("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")

    def _folder(self, ref: Element) -> tuple[Mailbox, Folder]:
        if etree.QName(ref).localname == "DistinguishedFolderId":
            address = ref.findtext("t:Mailbox/t:EmailAddress", default="", namespaces=NAMES)
            mailbox = self._mailbox(address)
            return mailbox, mailbox.well_known[ref.get("Id")]
        for mailbox in self.mailboxes.values():
            if self.user in mailbox.users and (folder := mailbox.folders_by_id.get(ref.get("Id"))):
                return mailbox, folder
        raise Refused("ErrorItemNotFound")

    def _item(self, ref: Element, *, needs_change_key: bool = False) -> tuple[Mailbox, Folder, Item]:
        item_id = ref.get("Id")
        if len(item_id) < 20:
            raise Refused("ErrorInvalidIdMalformed")
        if needs_change_key and not ref.get("ChangeKey"):
            raise Refused("ErrorChangeKeyRequired")
        for mailbox in self.mailboxes.values():
            if self.user in mailbox.users and (found := mailbox.locate(item_id)):
                return mailbox, *found
        raise Refused("ErrorItemNotFound")

    def _send(self, raw: bytes) -> None:
        if self.behaviour.refuse_send:
            raise Refused(self.behaviour.refuse_send)
        header = message_from_bytes(raw)
        sender = getaddresses(header.get_all("From", []))[0][1]
        named = [h for name in ("To", "Cc", "Bcc") for h in header.get_all(name, [])]
        recipients = tuple(address for _, address in getaddresses(named))
        if not recipients:
            raise Refused("ErrorInvalidRecipients")
        mailbox = self._sending(sender)
        mailbox.sent.append(Sent(raw, sender, recipients))

    def _sending(self, sender: str) -> Mailbox:
        for mailbox in self.mailboxes.values():
            if sender.casefold() in _addresses(mailbox):
                if self.user in mailbox.send_as or not self.behaviour.checks_send_as:
                    return mailbox
                break
        raise Refused("ErrorSendAsDenied", "The user account does not have the right to send as.")

    def _mime(self, item: Item) -> bytes:
        return _rebuilt(item.raw) if self.behaviour.rebuilds_mime else item.raw


def envelope(body: Element) -> bytes:
    """The whole answer."""
    version = T.ServerVersionInfo(
        MajorVersion="15",
        MinorVersion="2",
        MajorBuildNumber="1544",
        MinorBuildNumber="9",
        Version="V2017_07_11",
    )
    s = ElementMaker(namespace=SOAP, nsmap={"s": SOAP})
    return etree.tostring(s.Envelope(s.Header(version), s.Body(body)), xml_declaration=True, encoding="utf-8")


def fault(code: str, *, back_off_ms: int = 0) -> bytes:
    """A SOAP fault as Exchange sends it (HTTP 500)."""
    s = ElementMaker(namespace=SOAP, nsmap={"s": SOAP})
    e = ElementMaker(namespace=ENS, nsmap={"e": ENS})
    detail: list[Element] = [e.ResponseCode(code), e.Message(f"The stand-in says {code}.")]
    if back_off_ms:
        detail.append(T.MessageXml(T.Value(str(back_off_ms), Name="BackOffMilliseconds")))
    parts = [etree.Element("faultcode"), etree.Element("faultstring"), etree.Element("detail")]
    parts[0].text, parts[1].text = f"a:{code}", f"The stand-in says {code}."
    parts[2].extend(detail)
    return etree.tostring(s.Envelope(s.Body(s.Fault(*parts))), xml_declaration=True, encoding="utf-8")


def _addresses(mailbox: Mailbox) -> set[str]:
    return {address.casefold() for address in (mailbox.address, *mailbox.aliases)}


def _id(tag: str, thing: Folder | Item) -> Element:
    return T(tag, Id=thing.id, ChangeKey=thing.change_key)


def _folder(folder: Folder) -> Element:
    unread = sum(not item.seen for item in folder.items)
    parts = [
        _id("FolderId", folder),
        T.FolderClass(folder.folder_class),
        T.DisplayName(folder.name),
        T.TotalCount(str(len(folder.items))),
        T.ChildFolderCount("0"),
    ]
    if folder.folder_class.startswith("IPF.Appointment"):
        return T.CalendarFolder(*parts)
    return T.Folder(*parts, T.UnreadCount(str(unread)))


def _page(things: Sequence[Any], view: Element) -> tuple[Sequence[Any], dict[str, str]]:
    first, size = int(view.get("Offset")), int(view.get("MaxEntriesReturned"))
    page = things[first : first + size]
    end = first + len(page)
    return page, {
        "IndexedPagingOffset": str(end),
        "TotalItemsInView": str(len(things)),
        "IncludesLastItemInRange": "true" if end >= len(things) else "false",
    }


def _asked(request: Element) -> set[str]:
    """FieldURIs and property tags of AdditionalProperties; with IdOnly there is nothing else."""
    shape = request.find("m:ItemShape", NAMES)
    assert shape.findtext("t:BaseShape", namespaces=NAMES) == "IdOnly"
    properties = shape.find("t:AdditionalProperties", NAMES)
    return {p.get("FieldURI") or str(int(p.get("PropertyTag"), 16)) for p in properties}


SEARCH_KEY, TRANSPORT_HEADERS = str(0x300B), str(0x007D)


def _item(item: Item, folder: Folder, wanted: set[str], mime: bytes | None = None) -> Element:
    """In the schema's order of elements; what an item does not have is left out."""
    headers = item.headers or _headers(item.raw)
    parts: list[Element] = []
    if mime is not None:
        parts.append(T.MimeContent(base64.b64encode(mime).decode(), CharacterSet="UTF-8"))
    parts.append(_id("ItemId", item))
    if "item:ParentFolderId" in wanted:
        parts.append(_id("ParentFolderId", folder))
    if "item:DateTimeReceived" in wanted and item.received_at is not None:
        parts.append(T.DateTimeReceived(item.received_at.strftime("%Y-%m-%dT%H:%M:%SZ")))
    if "item:Size" in wanted:
        parts.append(T.Size(str(len(item.raw))))
    if "item:InternetMessageHeaders" in wanted and headers:
        all_headers = [T.InternetMessageHeader(value, HeaderName=name) for name, value in headers]
        parts.append(T.InternetMessageHeaders(*all_headers))
    if SEARCH_KEY in wanted:
        value = base64.b64encode(bytes.fromhex(item.search_key)).decode()
        parts.append(_extended("0x300b", "Binary", value))
    if TRANSPORT_HEADERS in wanted and item.has_transport_headers:
        head = item.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        parts.append(_extended("0x7d", "String", head.decode("utf-8", "replace")))
    return T(item.kind, *parts)


def _extended(tag: str, kind: str, value: str) -> Element:
    uri = T.ExtendedFieldURI(PropertyTag=tag, PropertyType=kind)
    return T.ExtendedProperty(uri, T.Value(value))


def _headers(raw: bytes) -> tuple[tuple[str, str], ...]:
    parsed = message_from_bytes(raw.partition(b"\r\n\r\n")[0])
    return tuple((name, _printable(str(value))) for name, value in parsed.items())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() and not 0xD800 <= ord(c) < 0xE000 else "?" for c in text)


def _received_or_first(item: Item) -> float:
    return item.received_at.timestamp() if item.received_at else 0.0


def _holds(condition: Element, item: Item) -> bool:
    """[MS-OXWSSRCH 2.2.4]; a comparison with a property that is missing does not hold."""
    kind = etree.QName(condition).localname
    if kind == "And":
        return all(_holds(part, item) for part in condition)
    if kind == "Or":
        return any(_holds(part, item) for part in condition)
    if kind == "Not":
        return not _holds(condition[0], item)
    value = _property(condition[0], item)
    if kind == "Exists":
        return value is not None
    constant = condition.find("t:FieldURIOrConstant/t:Constant", NAMES).get("Value")
    if value is None:
        return False
    if kind == "IsEqualTo":
        return bool(value == _typed(constant, value))
    assert kind == "IsGreaterThan", kind
    return bool(value > _typed(constant, value))


def _property(path: Element, item: Item) -> Any:
    if path.get("PropertyTag"):
        assert int(path.get("PropertyTag"), 16) == 0x300B
        return bytes.fromhex(item.search_key)
    return {"message:IsRead": item.seen, "item:DateTimeReceived": item.received_at}[path.get("FieldURI")]


def _typed(constant: str, like: Any) -> Any:
    if isinstance(like, bool):
        return {"true": True, "false": False}[constant]
    if isinstance(like, bytes):
        return base64.b64decode(constant, validate=True)
    return datetime.fromisoformat(constant)


def _rebuilt(raw: bytes) -> bytes:
    """A MIME made of the properties: what is no property of a message is gone (seen on a real server)."""
    header, blank, body = raw.partition(b"\r\n\r\n")
    lines = header.replace(b"\r\n\t", b" ").replace(b"\r\n ", b" ").split(b"\r\n")
    automatic = any(line.lower().startswith(b"auto-submitted:") for line in lines)
    kept = [
        line for line in lines if not line.lower().startswith((b"auto-submitted:", b"x-", b"precedence:"))
    ]
    if automatic:
        kept.append(b"X-Auto-Response-Suppress: OOF, AutoReply")
    return b"\r\n".join(kept) + blank + body
