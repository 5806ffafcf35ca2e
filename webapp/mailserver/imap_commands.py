"""The commands of a mailbox, one function each: what is sent, and what the answer means.

They run inside a step of the session (see `imap_session`), so each has its deadline from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from imapclient.datetime_util import format_criteria_date, parse_to_datetime
from imapclient.response_parser import parse_response

from .base import UNKNOWN_TIME
from .imap_folders import DEFAULT_NAME, Folder, read_list, special_archive, with_prefix
from .imap_sets import read_set
from .imap_wire import Client, CommandRefused

_NO_SUCH_FOLDER = {"TRYCREATE", "NONEXISTENT"}


def count_unread(client: Client) -> int | None:
    """STATUS before SELECT (RFC 3501 section 6.3.10): a number, where SEARCH would list them all."""
    try:
        counted = client.folder_status("INBOX", ["UNSEEN"]).get(b"UNSEEN")
    except CommandRefused:
        return None
    return None if counted is None else int(counted)


def search(client: Client, criteria: str) -> list[int]:
    _, data = client.wire.uid("SEARCH", criteria)
    return [int(uid) for line in data if line for uid in line.split()]


def find_present(client: Client, uids: str) -> list[int]:
    """Those of a set that are there. NOOP first: until then Dovecot finds what another session expunged."""
    client.wire.noop()
    return search(client, f"UID {uids}")


@dataclass(slots=True)
class Moved:
    """What MOVE commands moved: by name (COPYUID, RFC 4315), or all of a set that something left."""

    named: set[str] = field(default_factory=set)
    unnamed: set[str] = field(default_factory=set)


def move_or_create(client: Client, uids: str, folder: str, moved: Moved) -> None:
    try:
        return _move(client, uids, folder, moved)
    except CommandRefused as refused:
        if refused.code not in _NO_SUCH_FOLDER:
            raise
    create_folder(client, folder)
    return _move(client, uids, folder, moved)


def _move(client: Client, uids: str, folder: str, moved: Moved) -> None:
    """UID MOVE. A UID that is not there is no error (RFC 6851 section 3.3): it is just not moved.

    A server without COPYUID still says EXPUNGE for what leaves the inbox: without one nothing did.
    """
    told = client.wire.untagged_responses
    for name in ("COPYUID", "EXPUNGE"):
        told.pop(name, None)
    client.move(uids, folder)
    if copied := told.pop("COPYUID", []):
        moved.named.update(str(uid) for words in copied for uid in read_set(words.split()[1].decode("ascii")))
    elif "EXPUNGE" in told and not moved.named:
        moved.unnamed.update(map(str, read_set(uids)))


def read_fetch(data: list[Any]) -> Iterator[dict[bytes, Any]]:
    """One dict an answer. IMAPClient's own reader merges answers by sequence number and takes that for
    the UID where there is none."""
    parsed = iter(parse_response(data))
    for _, items in zip(parsed, parsed, strict=True):
        answer = {bytes(name).upper(): value for name, value in zip(items[::2], items[1::2], strict=True)}
        if b"UID" in answer:
            yield answer


def read_size(number: Any) -> int:
    """RFC822.SIZE, or 0 where it is none."""
    return number if isinstance(number, int) and number > 0 else 0


def read_time(text: Any) -> datetime:
    """INTERNALDATE in UTC, or UNKNOWN_TIME where it is none.

    A year that stands there in another way than it was read (0000, two digits) was only guessed.
    """
    try:
        received: datetime = parse_to_datetime(text, normalise=False)
        if received.tzinfo is not None and b"%04d" % received.year in text:
            return received.astimezone(UTC)
    except (TypeError, ValueError, AttributeError, OverflowError):
        pass
    return UNKNOWN_TIME


def day_before(moment: datetime) -> str:
    """SINCE compares days in whatever zone the server likes (RFC 3501 section 6.4.4)."""
    day: bytes = format_criteria_date(moment.astimezone(UTC) - timedelta(days=1))
    return day.decode("ascii")


def ask_namespace(client: Client) -> tuple[str, str]:
    if client.has_capability("NAMESPACE"):
        for prefix, delimiter in client.namespace().personal or ():
            return prefix, delimiter or ""
    roots = read_list(client.list_folders("", ""))
    return "", roots[0].delimiter if roots else ""


def find_named(client: Client, name: str, prefix: str) -> Folder | None:
    """The folder a person typed: under our own prefix, else exactly as written."""
    full = with_prefix(name, prefix)
    return find_folder(client, full) or (find_folder(client, name) if full != name else None)


def find_default(client: Client, prefix: str) -> Folder | None:
    return special_archive(_list(client, "*")) or find_folder(client, prefix + DEFAULT_NAME)


def find_folder(client: Client, name: str) -> Folder | None:
    return next((folder for folder in _list(client, name) if folder.name == name), None)


def _list(client: Client, pattern: str) -> list[Folder]:
    return read_list(client.list_with_uses(pattern))


def create_folder(client: Client, path: str) -> None:
    """CREATE and SUBSCRIBE. Not every server says [ALREADYEXISTS]."""
    try:
        client.create_folder(path)
    except CommandRefused as refused:
        if refused.code != "ALREADYEXISTS" and find_folder(client, path) is None:
            raise
    with suppress(CommandRefused):
        client.subscribe_folder(path)
