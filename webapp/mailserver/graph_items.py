"""What Graph says about a message, as values: size, time of receipt, header fields. Pure but for the log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from .base import UNKNOWN_TIME, FetchedMessage, RemoteMessage
from .errors import Stage, UnexpectedServer
from .ews_unreadable import header_with_note
from .graph_errors import Answer

# PidTagMessageSize (MS-OXPROPS 2.797); Graph repeats the id as "Integer 0xe08".
_SIZE = re.compile(r"\w+ 0x0*e08", re.IGNORECASE)
EXPAND_SIZE = "singleValueExtendedProperties($filter=id eq 'Integer 0x0E08')"
_CONTROLS = dict.fromkeys((*range(9), *range(10, 32), 127), " ")

logger = logging.getLogger(__name__)


def read_listed(one: dict[str, Any]) -> RemoteMessage:
    key = one.get("id")
    if not isinstance(key, str) or not key:
        raise UnexpectedServer("a message without an id", stage=Stage.INBOX)
    return RemoteMessage(key, _size(one), _time(one.get("receivedDateTime")))


def _time(text: object) -> datetime:
    """An Edm.DateTimeOffset. Of a message that was never received there is none."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return UNKNOWN_TIME
    return moment.astimezone(UTC) if moment.tzinfo else UNKNOWN_TIME


def _size(one: dict[str, Any]) -> int:
    """Octets as Exchange counts them; 0 where it does not say."""
    properties = one.get("singleValueExtendedProperties")
    for found in properties if isinstance(properties, list) else ():
        value = str(found.get("value", "")) if isinstance(found, dict) else ""
        if value and _SIZE.fullmatch(str(found.get("id", ""))) and value.isascii() and value.isdigit():
            return int(value)
    return 0


def transport_headers(one: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    headers = one.get("internetMessageHeaders")
    return tuple(
        (_on_one_line(header.get("name")), _on_one_line(header.get("value")))
        for header in (headers if isinstance(headers, list) else ())
        if isinstance(header, dict)
    )


def _on_one_line(value: object) -> str:
    """Without folds, control characters, and halves of surrogate pairs that no database takes."""
    text = str(value or "").replace("\r\n", " ").translate(_CONTROLS)
    return text.encode("utf-8", "replace").decode("utf-8")


def header_of(headers: Sequence[tuple[str, str]]) -> bytes:
    """The header as octets; a name that could not stand in one is left out."""
    lines = [
        f"{name}: {value}\r\n".encode("utf-8", "replace")
        for name, value in headers
        if name and all("!" <= sign <= "~" and sign != ":" for sign in name)
    ]
    return b"".join(lines) + b"\r\n"


def unreadable(key: str, headers: tuple[tuple[str, str], ...], answer: Answer) -> Iterator[FetchedMessage]:
    code = answer.error[0] or f"HTTP {answer.status}"
    if answer.is_broken and not answer.is_poison:
        logger.warning("Graph failed over one message (%s), which is left for the next run: %s", code, key)
    elif not headers:
        logger.warning("Graph cannot hand out a message (%s); it stays in the inbox: %s", code, key)
    else:
        logger.warning("Graph hands out a message's header only (%s): %s", code, key)
        yield FetchedMessage(key, header_with_note(header_of(headers)[:-2], code), headers)
