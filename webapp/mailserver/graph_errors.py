"""What Microsoft Graph's refusals mean: by its error code, else by the HTTP status. No I/O."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import (
    AccessDenied,
    FolderRefused,
    MailboxUnavailable,
    MailServerError,
    MessageRefused,
    QuotaExceeded,
    SenderRefused,
    ServerBusy,
    SignInNeeded,
    Stage,
    UnexpectedServer,
)
from .words import said

# Nothing in a message's own address says so: it is not there (any more), or was never one of this mailbox.
GONE = frozenset({"erroritemnotfound", "errorinvalididmalformed", "errorinvalidid", "errorfoldernotfound"})
# This one message cannot be handed out; the others can.
_POISON = frozenset(
    {
        "errormimecontentconversionfailed", "errorcontentconversionfailed", "erroritemcorrupt",
        "errorcorruptdata", "errormessagesizeexceeded", "errorunsupportedmimeconversion",
        "errorpropertyrequestfailed", "errorinvalidpropertyrequest", "errorpropertyvalidationfailure",
    }
)  # fmt: skip
FOLDER_EXISTS = "errorfolderexists"

# Why a message was not even handed over: MessageRefused with this text.
TOO_LARGE = "The message without its attached files is too large for Microsoft 365."
NO_PERMISSION = (
    "The message is too large to be sent in one piece, and the connected account has not allowed the service "
    "desk to make drafts (permission Mail.ReadWrite)."
)

_BY_CODE: dict[str, type[MailServerError]] = {
    "mailboxnotenabledforrestapi": MailboxUnavailable,
    "mailboxnotsupportedforrestapi": MailboxUnavailable,
    "errorinvaliduser": MailboxUnavailable,
    "errornonexistentmailbox": MailboxUnavailable,
    "request_resourcenotfound": MailboxUnavailable,
    "resourcenotfound": MailboxUnavailable,
    "erroraccessdenied": AccessDenied,
    "accessdenied": AccessDenied,
    "authorization_requestdenied": AccessDenied,
    "errormessagesubmissionblocked": AccessDenied,  # the account is kept from sending
    "errorsendasdenied": SenderRefused,
    "errorquotaexceeded": QuotaExceeded,
    "errormessagesizeexceeded": MessageRefused,
    "errormimecontentinvalid": MessageRefused,
    "errormimecontentinvalidbase64string": MessageRefused,
    "errorinvalidrecipients": MessageRefused,
    "errorserverbusy": ServerBusy,
    "applicationthrottled": ServerBusy,
    "errormailboxmoveinprogress": ServerBusy,
    "errormailboxstoreunavailable": ServerBusy,
    "errorinternalservertransienterror": ServerBusy,
    "errorsubmissionquotaexceeded": ServerBusy,
}
_CLAIMS = re.compile(r'\bclaims="([A-Za-z0-9+/_=-]+)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of Graph's, or one of several inside a $batch. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self, stage: Stage) -> dict[str, Any]:
        """The object that the answer is. Raises UnexpectedServer where it is none."""
        try:
            value = json.loads(self.content)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise UnexpectedServer(f"an answer ({self.status}) that is no JSON object", stage=stage)
        return value

    @property
    def error(self) -> tuple[str, str]:
        """Graph's error code and message, ("", "") where it gave none."""
        try:
            error = json.loads(self.content)["error"]
            return str(error["code"]), str(error.get("message", ""))
        except (ValueError, LookupError, TypeError, AttributeError):
            return "", ""

    @property
    def is_gone(self) -> bool:
        """Whether what was asked for is not there; another 404 is about the whole mailbox."""
        return self.status in (400, 404) and self.error[0].lower() in GONE

    @property
    def is_poison(self) -> bool:
        """Whether it is about a message that Exchange has and cannot hand out, and about that one alone."""
        return self.status >= 400 and self.error[0].lower() in _POISON

    @property
    def is_broken(self) -> bool:
        """Whether something inside Graph failed: that may be about one message, or about everything."""
        return self.status in (500, 502)

    @property
    def retry_after(self) -> float | None:
        """In how many seconds to come back (RFC 9110 section 10.2.3); None where it does not say."""
        text = self.headers.get("retry-after", "").strip()
        return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None

    @property
    def claims_challenge(self) -> str:
        """What a new token must prove (continuous access evaluation), as JSON text; else empty."""
        found = _CLAIMS.search(self.headers.get("www-authenticate", ""))
        if found is None:
            return ""
        text = found[1].replace("-", "+").replace("_", "/")
        try:
            claims = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8")
            json.loads(claims)
        except (binascii.Error, ValueError):
            return ""
        return claims


def refusal(answer: Answer, stage: Stage, *secrets: str) -> MailServerError:
    """The error that an answer is."""
    code, message = answer.error
    told = said(f"{code}: {message}" if code else "", *secrets)
    words = f"HTTP {answer.status}" + (f" {said(code, *secrets)}" if code else "")
    kind = _BY_CODE.get(code.lower()) or _by_status(answer.status, code, stage)
    if kind is ServerBusy:
        return ServerBusy(
            words,
            stage=stage,
            server_said=told,
            reply_code=answer.status,
            retry_after=answer.retry_after or 0.0,
        )
    return kind(words, stage=stage, server_said=told)


def _by_status(status: int, code: str, stage: Stage) -> type[MailServerError]:
    if status == 401:
        return SignInNeeded
    if status == 429 or status >= 500:
        return ServerBusy
    if status == 413:
        return MessageRefused
    if not code:  # whoever answers is not Graph
        return UnexpectedServer
    if status == 403:
        return AccessDenied
    if stage in (Stage.ARCHIVE, Stage.MOVE):
        return FolderRefused
    if status == 404:
        return MailboxUnavailable
    return MessageRefused if stage is Stage.SEND else UnexpectedServer
