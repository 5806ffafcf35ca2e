"""A server's words, made fit to be shown, and settings, made fit to be sent."""

from __future__ import annotations

import base64
import re
import unicodedata
from urllib.parse import quote, quote_plus

from .base import MailProtocol, ServerSettings
from .errors import InvalidSettings, Stage, WrongProtocol

LIMIT = 500


def said(words: bytes | str, *secrets: str) -> str:
    """What the server said: decoded, on one line, cut to 500 characters.

    A server may repeat what it was sent, so the secrets are taken out, and before the cut: half a
    password is one too.
    """
    text = words if isinstance(words, str) else words.decode("utf-8", "replace")
    text = redacted(text, *secrets)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LIMIT]


def redacted(text: str, *secrets: str) -> str:
    """The text without the secrets: as they are, quoted, percent-encoded, and inside any base64."""
    secrets = tuple(filter(None, secrets))
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = _without(text, form)
    return _BASE64.sub(lambda found: "***" if _hides(found[0], secrets) else found[0], text)


def has_control_characters(text: str) -> bool:
    """CR LF in a password reaches the wire as a second command (RFC 3501 section 9 knows no such string)."""
    return any(unicodedata.category(c) == "Cc" or c in "\u2028\u2029" for c in text)


def check_complete(settings: ServerSettings) -> None:
    """Refuse settings that lack what a connection needs."""
    needed = ["host"]
    if settings.requires_auth or settings.protocol is MailProtocol.IMAP:
        needed += ["username", "password"]
    for field in needed:
        if not getattr(settings, field).strip():
            raise InvalidSettings(f"{field} is missing", stage=Stage.SETTINGS, field=field)
    if not 0 < settings.port < 65536:
        raise InvalidSettings(f"{settings.port} is no port", stage=Stage.SETTINGS, field="port")


def check_sendable(settings: ServerSettings) -> None:
    """Refuse what must never reach a wire, before anything does."""
    for field in ("host", "username", "password", "from_address", "archive_folder"):
        if has_control_characters(getattr(settings, field)):
            raise InvalidSettings(f"{field} contains control characters", stage=Stage.SETTINGS, field=field)


def check_speaks(expected: str, greeting: bytes, stage: Stage) -> None:
    """Raise WrongProtocol if a greeting is that of another kind of server."""
    for speaks, pattern in _GREETINGS.items():
        if speaks != expected and re.match(pattern, greeting, re.IGNORECASE):
            text = said(greeting)
            raise WrongProtocol(f"an {speaks} server: {text}", stage=stage, speaks=speaks, server_said=text)


_GREETINGS = {
    "SMTP": rb"(220|421|554)[ -]",
    "IMAP": rb"\* (OK|BYE|PREAUTH)\b",
    "POP3": rb"(\+OK|-ERR)\b",
    "HTTP": rb"HTTP/|<!DOCTYPE|<html",
    "SSH": rb"SSH-",
}


_BASE64 = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}")


def _forms(secret: str) -> set[str]:
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    encoded = base64.b64encode(secret.encode()).decode("ascii")
    return {secret, escaped, quote(secret, safe=""), quote_plus(secret), encoded, encoded.rstrip("=")}


def _hides(token: str, secrets: tuple[str, ...]) -> bool:
    """Whether base64 decodes to a secret, to something with one inside, or to a piece of one cut short."""
    bare = token.rstrip("=")
    decoded = base64.b64decode(bare[: len(bare) - (len(bare) % 4 == 1)] + "==")
    # An answer of SASL PLAIN (RFC 4616), whole or not; its user name is never empty ("AADSTS..." is none).
    if decoded.count(b"\0") == 2 and decoded.startswith(b"\0") and decoded[1:2] != b"\0":
        return True
    for secret in map(str.encode, secrets):
        if decoded == secret or (len(secret) >= 4 and secret in decoded):
            return True
        if len(decoded) >= 4 and secret.startswith(decoded):
            return True
    return False


def _without(text: str, secret: str) -> str:
    if len(secret) >= 4:
        return text.replace(secret, "***")
    return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
