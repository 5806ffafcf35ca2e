"""Single fields of a mail server row: a host name, a moment, a number. A refusal is a sentence."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import idna

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
TRUE, FALSE = frozenset({"true", "on", "yes", "1"}), frozenset({"", "false", "off", "no", "0"})
HOST_SENTENCE = 'Enter only the name, without "https://", spaces or a port.'


WEB_SENTENCE = "Enter a web address that starts with https://."
TENANT_SENTENCE = (
    "Enter the tenant's ID, such as 11111111-2222-3333-4444-555555555555, or its domain, such as "
    "example.onmicrosoft.com."
)


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An https address: `text` as it is asked for, host as lower-case A-labels."""

    text: str
    host: str
    port: int


def has_controls(text: str) -> bool:
    """Control characters, line and paragraph separators, and octets that were no text (surrogates)."""
    return any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def is_true(text: str) -> bool:
    return text.strip().casefold() in TRUE


def is_loopback(host: str) -> bool:
    """Whether a password sent to this host stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_host(text: str) -> str:
    """A host name as lower-case A-labels, or an IP address. Raises ValueError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if any(char in text for char in "/: @\\"):
        raise ValueError(HOST_SENTENCE)
    try:
        name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError:  # IDNAError is one
        raise ValueError(HOST_SENTENCE) from None
    if not _is_host_name(name.rstrip(".")):
        raise ValueError(HOST_SENTENCE)
    return name.rstrip(".")


def read_web_address(text: str, *, path: str = "/") -> WebAddress:
    """An https address without user name or query; `path` is for one without any. Raises ValueError."""
    try:
        parts = urlsplit(text)
        port = parts.port or 443
    except ValueError:
        raise ValueError(WEB_SENTENCE) from None
    if parts.scheme.lower() != "https" or not parts.hostname:
        raise ValueError(WEB_SENTENCE)
    if parts.username is not None or parts.password is not None:
        raise ValueError("Enter the address without a user name; that has a field of its own.")
    if parts.query or parts.fragment or any(char.isspace() for char in text):
        raise ValueError("Enter the address without spaces and without anything after a ? or #.")
    host = read_host(parts.hostname)
    shown = f"[{host}]" if ":" in host else host
    where = shown if port == 443 else f"{shown}:{port}"
    return WebAddress(f"https://{where}{parts.path if parts.path.strip('/') else path}", host, port)


def read_tenant(text: str) -> str:
    """A directory (tenant) ID, one of its domains, or "organizations". Raises ValueError."""
    name = text.lower()
    if name in ("common", "consumers"):
        raise ValueError(
            f"“{name}” lets in personal Microsoft accounts. Enter your own tenant's ID, or organizations."
        )
    if name == "organizations":
        return name
    try:
        return str(uuid.UUID(name))
    except ValueError:
        pass
    if "." not in name or not name.isascii() or not _is_host_name(name):
        raise ValueError(TENANT_SENTENCE)
    return name


def read_client_id(text: str) -> str:
    """The application (client) ID of an app registration. Raises ValueError."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        example = "such as 11111111-2222-3333-4444-555555555555"
        raise ValueError(f"Enter the application (client) ID of the app registration, {example}.") from None


def read_moment(text: str, zone: ZoneInfo) -> datetime:
    """ISO 8601, in UTC. Without an offset it is the desk's own time; of a doubled hour the first is meant.

    Raises ValueError.
    """
    try:
        moment = datetime.fromisoformat(text)
        as_utc = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("Enter a date and a time, such as 2026-11-23T12:00.") from None
    if moment.tzinfo is None and not _exists(moment, zone):
        raise ValueError(
            f"{moment:%H:%M} on {moment.day} {moment:%B %Y} does not exist in {zone.key} "
            f"(clocks go forward). Choose {_next_existing(moment, zone):%H:%M} or later."
        )
    return as_utc


def _is_host_name(text: str) -> bool:
    return len(text) <= 253 and all(map(_LABEL.fullmatch, text.split(".")))


def _exists(moment: datetime, zone: ZoneInfo) -> bool:
    """A local time that the clock skips comes back from UTC as another one."""
    return moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment


def _next_existing(moment: datetime, zone: ZoneInfo) -> datetime:
    moment = moment.replace(second=0, microsecond=0)
    while not _exists(moment, zone):  # a gap is an hour as a rule, once it was a day
        moment += timedelta(minutes=1)
    return moment
