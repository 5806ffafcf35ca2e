"""A test written out for whoever is asked for help: plain text to copy, with nothing secret in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from .base import MailProtocol, ServerSettings
from .errors import CertificateRefused, ConnectionFailed, MailServerError
from .remedy import MODES
from .words import LIMIT, redacted, said

if TYPE_CHECKING:
    from .diagnosis import StageResult


def technical_details(
    settings: ServerSettings, results: Sequence[StageResult], *, now: datetime | None = None
) -> str:
    """Date, product, server, every stage, and what failed with its numbers and the server's own words.

    The user name is masked (a***@example.com) and the password left out, also where the server repeats them.
    """
    lines = [*_about(settings, now or datetime.now(UTC)), "", *map(_stage, results)]
    for result in results:
        if result.error is not None:
            lines += ["", *_failure(result.error, settings)]
    text = redacted("\n".join(lines), settings.password)
    for name in (settings.username, settings.mailbox):
        text = _without_user(text, name)
    return text + "\n"


def _about(settings: ServerSettings, now: datetime) -> Iterator[str]:
    yield f"Test Connection, {now:%Y-%m-%d %H:%M:%S} UTC, servicedesk-mail {_product_version()}"
    yield f"Protocol: {settings.protocol.upper()}"
    if settings.protocol is MailProtocol.OFFICE365:
        yield f"Microsoft Graph: {settings.graph_base}"
        yield f"Application: {settings.app.strip() or 'as in the settings of this installation'}"
        yield f"Account: {'connected' if settings.tokens else 'not connected'}"
    else:
        yield f"Host: {settings.host}"
        yield f"Port: {settings.port}"
        yield f"Encryption: {MODES[settings.tls_mode]}"
    if settings.ews_url:
        yield f"EWS address: {settings.ews_url}"
    yield f"Own CA file: {'yes' if settings.ca_file else 'no'}"
    yield f"Timeout: {settings.timeout * 1000:.0f} ms"
    if settings.protocol is MailProtocol.SMTP:
        yield f"Requires authentication: {'yes' if settings.requires_auth else 'no'}"
    if settings.protocol is not MailProtocol.OFFICE365:
        yield f"User name: {settings.username or 'none'}"
    if settings.mailbox:
        yield f"Mailbox: {settings.mailbox}"


def _stage(result: StageResult) -> str:
    fact = said(result.fact)
    return f"{result.state.value:<8} {result.label:<18} {result.elapsed_ms:>6} ms  {fact}".rstrip()


def _failure(error: MailServerError, settings: ServerSettings) -> Iterator[str]:
    yield f"Error: {type(error).__name__} at {error.stage.value}: {said(str(error))}"
    if isinstance(error, ConnectionFailed) and error.errno:
        yield f"errno: {error.errno}"
    if isinstance(error, CertificateRefused):
        yield f"OpenSSL verify code: {error.verify_code}"
    if error.reply_code:
        kind = "SMTP code" if settings.protocol is MailProtocol.SMTP else "HTTP status"
        yield f"{kind}: {error.reply_code}"
    if error.server_said:
        yield f"The server said: {said(error.server_said)[:LIMIT]}"


def _without_user(text: str, username: str) -> str:
    """The user name masked wherever it stands, and taken out of base64."""
    if len(username) < 3:
        return text
    masked = mask(username)
    text = text.replace(username, "\0")
    return redacted(text, username).replace("\0", masked)


def mask(username: str) -> str:
    """a***@example.com"""
    local, at, domain = username.partition("@")
    return f"{local[:1]}***{at}{domain}"


def _product_version() -> str:
    try:
        return version("servicedesk-mail")
    except PackageNotFoundError:  # a copy of the tree, not installed
        return "(not installed)"
