"""EWS as XML: what is written into a request, and what is read out of an answer. [MS-OXWSCORE]

Elements are built anew for each request: one can be in one document only.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from exchangelib.util import TNS, add_xml_child, create_element

SEARCH_KEY = "0x300b"  # PidTagSearchKey: the same wherever the message is moved to [MS-OXPROPS]
TRANSPORT_HEADERS = "0x007d"  # PidTagTransportMessageHeaders: the header as it came in [MS-OXPROPS]
PAGE = 500  # elements an answer brings at most

Element = Any  # lxml's, through exchangelib

_NOT_XML = re.compile("[^\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Folder:
    """`total` and `unread` count its items."""

    id: str
    name: str
    folder_class: str
    total: int
    unread: int


@dataclass(frozen=True, slots=True)
class Item:
    """What was asked for of one item; the rest is empty. `key` is its search key in hex."""

    id: str
    change_key: str
    key: str
    received_at: datetime | None = None
    size: int = 0
    parent_id: str = ""
    mime: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    header_text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class FolderRef:
    """A folder by its id, or by its distinguished name in a mailbox ("": that of the account)."""

    id: str = ""
    name: str = ""
    mailbox: str = ""

    def element(self) -> Element:
        if self.id:
            return create_element("t:FolderId", attrs={"Id": self.id})
        elem = create_element("t:DistinguishedFolderId", attrs={"Id": self.name})
        if self.mailbox:
            mailbox = create_element("t:Mailbox")
            add_xml_child(mailbox, "t:EmailAddress", self.mailbox)
            elem.append(mailbox)
        return elem


# Conditions [MS-OXWSSRCH 2.2.4.2]. Built anew for each page: an element can be in one request only.


def is_read(value: bool) -> Element:
    return _compared("t:IsEqualTo", property_of("message:IsRead"), "true" if value else "false")


def received_after(moment: datetime) -> Element:
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return _compared("t:IsGreaterThan", property_of("item:DateTimeReceived"), text)


def without_time() -> Element:
    """What was never received by the server: saved there by a program, or a draft."""
    exists, negated = create_element("t:Exists"), create_element("t:Not")
    exists.append(property_of("item:DateTimeReceived"))
    negated.append(exists)
    return negated


def has_key(key: str) -> Element:
    value = base64.b64encode(bytes.fromhex(key)).decode("ascii")
    return _compared("t:IsEqualTo", tagged(SEARCH_KEY, "Binary"), value)


def both(*conditions: Element) -> Element:
    return _joined("t:And", conditions)


def either(*conditions: Element) -> Element:
    return conditions[0] if len(conditions) == 1 else _joined("t:Or", conditions)


def is_key(key: str) -> bool:
    """Whether this can be a search key of ours: hex, whole octets."""
    try:
        return bool(key) and base64.b16decode(key, casefold=True).hex() == key
    except (binascii.Error, ValueError):
        return False


def is_xml_text(text: str) -> bool:
    """Whether XML can say this (XML 1.0, section 2.2), on one line."""
    return _NOT_XML.search(text) is None


# Reading.


def read_folder(elem: Element) -> Folder:
    def number(name: str) -> int:
        text = elem.findtext(f"{{{TNS}}}{name}") or "0"
        return int(text) if text.isdigit() else 0

    return Folder(
        _attribute(elem, "FolderId", "Id"),
        elem.findtext(f"{{{TNS}}}DisplayName") or "",
        elem.findtext(f"{{{TNS}}}FolderClass") or "",
        number("TotalCount"),
        number("UnreadCount"),
    )


def read_item(elem: Element) -> Item:
    mime = elem.find(f"{{{TNS}}}MimeContent")
    size = elem.findtext(f"{{{TNS}}}Size") or "0"
    properties = dict(_extended(elem))
    key = properties.get(SEARCH_KEY, "")
    return Item(
        _attribute(elem, "ItemId", "Id"),
        _attribute(elem, "ItemId", "ChangeKey"),
        base64.b64decode(key).hex(),
        _moment(elem.findtext(f"{{{TNS}}}DateTimeReceived")),
        int(size) if size.isdigit() else 0,
        _attribute(elem, "ParentFolderId", "Id"),
        None if mime is None else base64.b64decode(mime.text or ""),
        tuple(
            (header.get("HeaderName") or "", header.text or "")
            for header in elem.iterfind(f"{{{TNS}}}InternetMessageHeaders/{{{TNS}}}InternetMessageHeader")
        ),
        properties.get(TRANSPORT_HEADERS, ""),
    )


def _extended(elem: Element) -> Iterator[tuple[str, str]]:
    for found in elem.iterfind(f"{{{TNS}}}ExtendedProperty"):
        tag = found.find(f"{{{TNS}}}ExtendedFieldURI").get("PropertyTag", "")
        yield f"0x{int(tag, 16):04x}", found.findtext(f"{{{TNS}}}Value") or ""


def _attribute(elem: Element, child: str, name: str) -> str:
    found = elem.find(f"{{{TNS}}}{child}")
    return "" if found is None else found.get(name) or ""


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


# Writing.


def folder_shape() -> Element:
    names = ("DisplayName", "FolderClass", "TotalCount", "UnreadCount")
    return _shape("m:FolderShape", [property_of(f"folder:{name}") for name in names])


def item_shape(*properties: Element) -> Element:
    return _shape("m:ItemShape", properties)


def look_shape() -> Element:
    names = ("item:Size", "item:DateTimeReceived", "item:ParentFolderId")
    return item_shape(*map(property_of, names), tagged(SEARCH_KEY, "Binary"))


def message_shape() -> Element:
    properties = (property_of("item:InternetMessageHeaders"), tagged(SEARCH_KEY, "Binary"))
    return _shape("m:ItemShape", properties, include_mime=True)


def header_shape() -> Element:
    return item_shape(
        property_of("item:InternetMessageHeaders"),
        tagged(SEARCH_KEY, "Binary"),
        tagged(TRANSPORT_HEADERS, "String"),
    )


def _shape(tag: str, properties: Iterable[Element], *, include_mime: bool = False) -> Element:
    elem = create_element(tag)
    add_xml_child(elem, "t:BaseShape", "IdOnly")
    if include_mime:
        add_xml_child(elem, "t:IncludeMimeContent", "true")
    additional = create_element("t:AdditionalProperties")
    for one in properties:
        additional.append(one)
    elem.append(additional)
    return elem


def property_of(uri: str) -> Element:
    return create_element("t:FieldURI", attrs={"FieldURI": uri})


def tagged(tag: str, kind: str) -> Element:
    return create_element("t:ExtendedFieldURI", attrs={"PropertyTag": tag, "PropertyType": kind})


def page(tag: str, offset: int) -> Element:
    attrs = {"MaxEntriesReturned": str(PAGE), "Offset": str(offset), "BasePoint": "Beginning"}
    return create_element(tag, attrs=attrs)


def oldest_first() -> Element:
    order, by = create_element("m:SortOrder"), create_element("t:FieldOrder", attrs={"Order": "Ascending"})
    by.append(property_of("item:DateTimeReceived"))
    order.append(by)
    return order


def all_of(tag: str, folders: Iterable[FolderRef]) -> Element:
    elem = create_element(tag)
    for folder in folders:
        elem.append(folder.element())
    return elem


def item_ids(ids: Iterable[str]) -> Element:
    elem = create_element("m:ItemIds")
    for one in ids:
        elem.append(create_element("t:ItemId", attrs={"Id": one}))
    return elem


def read_mark(item: Item) -> Element:
    change = create_element("t:ItemChange")
    change.append(create_element("t:ItemId", attrs={"Id": item.id, "ChangeKey": item.change_key}))
    updates, update = create_element("t:Updates"), create_element("t:SetItemField")
    update.append(property_of("message:IsRead"))
    message = create_element("t:Message")
    add_xml_child(message, "t:IsRead", "true")
    update.append(message)
    updates.append(update)
    change.append(updates)
    return change


def _compared(tag: str, what: Element, value: str) -> Element:
    elem, constant = create_element(tag), create_element("t:FieldURIOrConstant")
    constant.append(create_element("t:Constant", attrs={"Value": value}))
    elem.append(what)
    elem.append(constant)
    return elem


def _joined(tag: str, conditions: Iterable[Element]) -> Element:
    elem = create_element(tag)
    for condition in conditions:
        elem.append(condition)
    return elem
