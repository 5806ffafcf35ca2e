"""What is asked of EWS: each operation with exactly the properties that are needed, and what comes back.

exchangelib talks SOAP, keeps the paging and knows the errors. Its models are left aside: an inbox holds
whatever its owner put there (meeting requests, reports, contacts), and a class that does not know one of its
properties must not stop the others. An element that is an error instead of an item is handed on as the
exception it stands for. [MS-OXWSMSG], [MS-OXWSFOLD], [MS-OXWSSRCH]
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from exchangelib.errors import EWSError, ResponseMessageError, SOAPError
from exchangelib.services.common import EWSAccountService, EWSPagingService
from exchangelib.util import MNS, SOAPNS, TNS, ParseError, add_xml_child, create_element, to_xml

from .ews_xml import (
    PAGE,
    SEARCH_KEY,
    Element,
    Folder,
    FolderRef,
    Item,
    all_of,
    folder_shape,
    header_shape,
    item_ids,
    item_shape,
    look_shape,
    message_shape,
    oldest_first,
    page,
    property_of,
    read_folder,
    read_item,
    read_mark,
    tagged,
)

AT_ONCE = 200  # items a request names

Answer: TypeAlias = Item | EWSError

_ENVELOPE_END = b"Envelope>"


class _Strict:
    """Goes before exchangelib's service classes."""

    # Each answer of a batch speaks for itself.
    ERRORS_TO_CATCH_IN_RESPONSE = (ResponseMessageError,)
    WARNINGS_TO_CATCH_IN_RESPONSE = (ResponseMessageError,)

    @classmethod
    def _get_soap_parts(cls, response: Any) -> Any:
        """Header and body of an answer, read in one piece: exchangelib does it octet by octet.

        Its parser mends what it can, so half a message would pass for a whole one.
        """
        octets: bytes = response.content
        if not octets.rstrip().endswith(_ENVELOPE_END):
            raise SOAPError("the answer is not complete")
        try:
            root = to_xml(octets)
        except ParseError as exc:
            raise SOAPError("the answer is not XML") from exc
        body = root.find(f"{{{SOAPNS}}}Body")
        if body is None:
            raise SOAPError("the answer has no body")
        return root.find(f"{{{SOAPNS}}}Header"), body

    def _api_versions_to_try(self) -> tuple[str, ...]:
        """One that every supported Exchange speaks: a request is not repeated in older and older words."""
        return ("Exchange2013_SP1",)

    def _handle_backoff(self, e: Exception) -> None:
        """Nothing is waited for here, and a refusal stays what it is: exchangelib calls several "busy"."""
        raise


class _GetFolder(_Strict, EWSAccountService):  # type: ignore[misc]
    SERVICE_NAME = "GetFolder"
    element_container_name = f"{{{MNS}}}Folders"

    def call(self, folders: Sequence[FolderRef]) -> Iterator[Folder | EWSError]:
        payload = create_element("m:GetFolder")
        payload.append(folder_shape())
        payload.append(all_of("m:FolderIds", folders))
        return self._elems_to_objs(self._get_elements(payload=payload))  # type: ignore[no-any-return]

    def _elem_to_obj(self, elem: Element) -> Folder:
        return read_folder(elem)


class _FindFolder(_Strict, EWSPagingService):  # type: ignore[misc]
    SERVICE_NAME = "FindFolder"
    element_container_name = f"{{{TNS}}}Folders"
    paging_container_name = f"{{{MNS}}}RootFolder"

    def call(self, parent: FolderRef) -> Iterator[Folder | EWSError]:
        def payload(folders: object, offset: int) -> Element:
            elem = create_element("m:FindFolder", attrs={"Traversal": "Shallow"})
            elem.append(folder_shape())
            elem.append(page("m:IndexedPageFolderView", offset))
            elem.append(all_of("m:ParentFolderIds", [parent]))
            return elem

        return self._elems_to_objs(  # type: ignore[no-any-return]
            self._paged_call(payload_func=payload, max_items=None, folders=[parent], offset=0)
        )

    def _elem_to_obj(self, elem: Element) -> Folder:
        return read_folder(elem)


class _CreateFolder(_Strict, EWSAccountService):  # type: ignore[misc]
    SERVICE_NAME = "CreateFolder"
    element_container_name = f"{{{MNS}}}Folders"

    def call(self, parent: FolderRef, name: str) -> Iterator[Folder | EWSError]:
        payload = create_element("m:CreateFolder")
        payload.append(all_of("m:ParentFolderId", [parent]))
        folders, folder = create_element("m:Folders"), create_element("t:Folder")
        add_xml_child(folder, "t:FolderClass", "IPF.Note")
        add_xml_child(folder, "t:DisplayName", name)
        folders.append(folder)
        payload.append(folders)
        return self._elems_to_objs(self._get_elements(payload=payload))  # type: ignore[no-any-return]

    def _elem_to_obj(self, elem: Element) -> Folder:
        return read_folder(elem)


class _FindItem(_Strict, EWSPagingService):  # type: ignore[misc]
    SERVICE_NAME = "FindItem"
    element_container_name = f"{{{TNS}}}Items"
    paging_container_name = f"{{{MNS}}}RootFolder"

    def call(self, folder: FolderRef, condition: Callable[[], Element] | None) -> Iterator[Answer]:
        def payload(folders: object, offset: int) -> Element:
            elem = create_element("m:FindItem", attrs={"Traversal": "Shallow"})
            elem.append(item_shape(property_of("item:DateTimeReceived"), tagged(SEARCH_KEY, "Binary")))
            elem.append(page("m:IndexedPageItemView", offset))
            if condition is not None:
                restriction = create_element("m:Restriction")
                restriction.append(condition())
                elem.append(restriction)
            elem.append(oldest_first())
            elem.append(all_of("m:ParentFolderIds", [folder]))
            return elem

        return self._elems_to_objs(  # type: ignore[no-any-return]
            self._paged_call(payload_func=payload, max_items=None, folders=[folder], offset=0)
        )

    def _elem_to_obj(self, elem: Element) -> Item:
        return read_item(elem)


class _GetItem(_Strict, EWSAccountService):  # type: ignore[misc]
    SERVICE_NAME = "GetItem"
    element_container_name = f"{{{MNS}}}Items"

    def call(self, ids: Sequence[str], shape: Callable[[], Element]) -> Iterator[Answer]:
        payload = create_element("m:GetItem")
        payload.append(shape())
        payload.append(item_ids(ids))
        return self._elems_to_objs(self._get_elements(payload=payload))  # type: ignore[no-any-return]

    def _elem_to_obj(self, elem: Element) -> Item:
        return read_item(elem)


class _MoveItem(_Strict, EWSAccountService):  # type: ignore[misc]
    SERVICE_NAME = "MoveItem"
    element_container_name = f"{{{MNS}}}Items"

    def call(self, ids: Sequence[str], folder: FolderRef) -> Iterator[bool | EWSError]:
        payload = create_element("m:MoveItem")
        payload.append(all_of("m:ToFolderId", [folder]))
        payload.append(item_ids(ids))
        return self._get_elements(payload=payload)  # type: ignore[no-any-return]

    @classmethod
    def _get_elements_in_container(cls, container: Element) -> list[bool]:
        """The new id may be missing, and is not needed: the search key stays."""
        return [True]


class _UpdateItem(_Strict, EWSAccountService):  # type: ignore[misc]
    SERVICE_NAME = "UpdateItem"
    element_container_name = f"{{{MNS}}}Items"

    def call(self, items: Sequence[Item]) -> Iterator[bool | EWSError]:
        """IsRead. The sender's wish for a read receipt is not granted by a program."""
        payload = create_element(
            "m:UpdateItem",
            attrs={
                "MessageDisposition": "SaveOnly",
                "ConflictResolution": "AlwaysOverwrite",
                "SuppressReadReceipts": "true",
            },
        )
        changes = create_element("m:ItemChanges")
        for item in items:
            changes.append(read_mark(item))
        payload.append(changes)
        return self._get_elements(payload=payload)  # type: ignore[no-any-return]

    @classmethod
    def _get_elements_in_container(cls, container: Element) -> list[bool]:
        return [True]


class _CreateItem(_Strict, EWSAccountService):  # type: ignore[misc]
    SERVICE_NAME = "CreateItem"
    element_container_name = f"{{{MNS}}}Items"

    def call(self, raw: bytes) -> Iterator[bool | EWSError]:
        payload = create_element("m:CreateItem", attrs={"MessageDisposition": "SendOnly"})
        items, message = create_element("m:Items"), create_element("t:Message")
        mime = create_element("t:MimeContent", attrs={"CharacterSet": "UTF-8"})
        mime.text = base64.b64encode(raw).decode("ascii")
        message.append(mime)
        items.append(message)
        payload.append(items)
        return self._get_elements(payload=payload)  # type: ignore[no-any-return]

    @classmethod
    def _get_elements_in_container(cls, container: Element) -> list[bool]:
        return [True]


class _ResolveNames(_Strict, EWSAccountService):  # type: ignore[misc]
    SERVICE_NAME = "ResolveNames"
    element_container_name = f"{{{MNS}}}ResolutionSet"

    def call(self, address: str) -> Iterator[str | EWSError]:
        attrs = {"ReturnFullContactData": "false", "SearchScope": "ActiveDirectory"}
        payload = create_element("m:ResolveNames", attrs=attrs)
        add_xml_child(payload, "m:UnresolvedEntry", f"smtp:{address}")
        return self._elems_to_objs(self._get_elements(payload=payload))  # type: ignore[no-any-return]

    def _elem_to_obj(self, elem: Element) -> str:
        return elem.findtext(f"{{{TNS}}}Mailbox/{{{TNS}}}EmailAddress") or ""


# The operations.


def get_folders(account: Any, folders: Sequence[FolderRef]) -> Iterator[Folder | EWSError]:
    """One answer for each, in order."""
    return _GetFolder(account=account).call(folders)


def find_folders(account: Any, parent: FolderRef) -> Iterator[Folder | EWSError]:
    """The folders right below `parent`."""
    return _FindFolder(account=account, page_size=PAGE).call(parent)


def create_folder(account: Any, parent: FolderRef, name: str) -> Iterator[Folder | EWSError]:
    """One answer; ErrorFolderExists where there is one of that name."""
    return _CreateFolder(account=account).call(parent, name)


def find_items(
    account: Any, folder: FolderRef, condition: Callable[[], Element] | None = None
) -> Iterator[Answer]:
    """id, key and time of receipt of what is in the folder, oldest first."""
    return _FindItem(account=account, page_size=PAGE).call(folder, condition)


def look_at_items(account: Any, ids: Sequence[str]) -> Iterator[Answer]:
    """Key, size, time of receipt and folder of each, in order."""
    return _GetItem(account=account).call(ids, look_shape)


def get_messages(account: Any, ids: Sequence[str]) -> Iterator[Answer]:
    """Key, MIME and transport headers of each, in order."""
    return _GetItem(account=account).call(ids, message_shape)


def get_headers(account: Any, ids: Sequence[str]) -> Iterator[Answer]:
    """Key, transport headers and header text of each, in order."""
    return _GetItem(account=account).call(ids, header_shape)


def move_items(account: Any, ids: Sequence[str], folder: FolderRef) -> Iterator[bool | EWSError]:
    """Whether each was moved, in order."""
    return _MoveItem(account=account).call(ids, folder)


def mark_as_read(account: Any, items: Sequence[Item]) -> Iterator[bool | EWSError]:
    """Whether each was marked, in order."""
    return _UpdateItem(account=account).call(items)


def send_message(account: Any, raw: bytes) -> Iterator[bool | EWSError]:
    """One answer. The message goes to whom its To, Cc and Bcc name, and no copy is kept."""
    return _CreateItem(account=account).call(raw)


def resolve_address(account: Any, address: str) -> Iterator[str | EWSError]:
    """The primary address of the mailbox that this address leads to."""
    return _ResolveNames(account=account).call(address)
