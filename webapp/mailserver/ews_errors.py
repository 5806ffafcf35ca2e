"""What an Exchange's refusals mean: EWS response codes and HTTP statuses become errors of ours.

exchangelib has an exception class for each response code; they are told by name, never by their text.
"""

from __future__ import annotations

from exchangelib.errors import (
    ErrorServerBusy,
    EWSError,
    MalformedResponseError,
    ResponseMessageError,
    SOAPError,
    UnauthorizedError,
)

from .errors import (
    AccessDenied,
    AuthenticationFailed,
    FolderRefused,
    InvalidSettings,
    MailboxUnavailable,
    MailServerError,
    MessageRefused,
    QuotaExceeded,
    SenderRefused,
    ServerBusy,
    Stage,
    UnexpectedServer,
)
from .words import said

# A person or another program was quicker: moved, deleted or changed it.
GONE = frozenset(
    {"ErrorItemNotFound", "ErrorInvalidChangeKey", "ErrorInvalidIdMalformed", "ErrorStaleObject"}
)
# This one item cannot be handed out; the others can.
_POISON = frozenset(
    {
        "ErrorMimeContentConversionFailed", "ErrorContentConversionFailed", "ErrorItemCorrupt",
        "ErrorCorruptData", "ErrorMessageSizeExceeded", "ErrorUnsupportedMimeConversion", "ErrorItemSave",
        "ErrorInvalidPropertyRequest", "ErrorPropertyValidationFailure",
    }
)  # fmt: skip
# There is no such folder (any more).
NO_FOLDER = frozenset({"ErrorFolderNotFound", "ErrorToFolderNotFound", "ErrorParentFolderNotFound"})
# The server gave up in the middle: what it was asked may be done all the same.
UNFINISHED = frozenset(
    {
        "ErrorInternalServerError", "ErrorInternalServerTransientError", "ErrorTimeoutExpired",
        "ErrorClientDisconnected", "ErrorRequestAborted", "ErrorProxyCallFailed",
        "ErrorProxyRequestProcessingFailed",
    }
)  # fmt: skip

_NO_OWN_MAILBOX = "ErrorMissingEmailAddress"

_MEANING: dict[str, type[MailServerError]] = {
    "ErrorAccessDenied": AccessDenied,
    "ErrorCreateItemAccessDenied": AccessDenied,
    "ErrorDelegateNoUser": AccessDenied,
    "ErrorMailboxLogonFailed": AccessDenied,
    "ErrorAccountDisabled": AuthenticationFailed,
    "ErrorPasswordExpired": AuthenticationFailed,
    "ErrorPasswordChangeRequired": AuthenticationFailed,
    "ErrorNonExistentMailbox": MailboxUnavailable,
    "ErrorMailboxConfiguration": MailboxUnavailable,
    "ErrorNoPublicFolderReplicaAvailable": MailboxUnavailable,
    "ErrorSendAsDenied": SenderRefused,
    "ErrorQuotaExceeded": QuotaExceeded,
    "ErrorMessageSizeExceeded": MessageRefused,
    "ErrorAttachmentSizeLimitExceeded": MessageRefused,
    "ErrorDataSizeLimitExceeded": MessageRefused,
    "ErrorRequestStreamTooBig": MessageRefused,
    "ErrorInvalidRecipients": MessageRefused,
    "ErrorMissingRecipients": MessageRefused,
    "ErrorMimeContentInvalid": MessageRefused,
    "ErrorMimeContentInvalidBase64String": MessageRefused,
    "ErrorFolderNotFound": FolderRefused,
    "ErrorToFolderNotFound": FolderRefused,
    "ErrorParentFolderNotFound": FolderRefused,
    "ErrorInvalidFolderId": FolderRefused,
    "ErrorFolderSave": FolderRefused,
}
_BUSY = UNFINISHED | {
    "ErrorServerBusy", "ErrorMailboxStoreUnavailable", "ErrorMailboxMoveInProgress", "ErrorMailboxFailover",
    "ErrorExceededConnectionCount", "ErrorTooManyObjectsOpened", "ErrorConnectionFailed",
    "ErrorConnectionFailedTransientError", "ErrorNotEnoughMemory", "ErrorInsufficientResources",
    "ErrorADUnavailable", "ErrorADOperation", "ErrorSubmissionQuotaExceeded", "ErrorBatchProcessingStopped",
    "ErrorNoRespondingCASInDestinationSite", "ErrorNoDestinationCASDueToKerberosRequirements",
}  # fmt: skip


def is_about_the_item(exc: EWSError) -> bool:
    """Whether this refusal is about one item alone, so that the others can go on; also one nobody knows."""
    code = code_of(exc)
    if code in _POISON:
        return True
    known = code in _MEANING or code in _BUSY or code in GONE or code == _NO_OWN_MAILBOX
    return isinstance(exc, ResponseMessageError) and not known


def translated(exc: EWSError, stage: Stage, *secrets: str) -> MailServerError:
    """What a refusal of EWS means at this stage."""
    code = code_of(exc)
    words = said(f"{code}: {exc}" if isinstance(exc, ResponseMessageError) else str(exc), *secrets)
    if code == _NO_OWN_MAILBOX:
        return InvalidSettings("the account has no mailbox of its own", stage=stage, field="mailbox")
    if code in _MEANING:
        return _MEANING[code](code, stage=stage, server_said=words)
    if code in _BUSY:
        wait = float(getattr(exc, "back_off", None) or 0) if isinstance(exc, ErrorServerBusy) else 0.0
        return ServerBusy(code, stage=stage, server_said=words, retry_after=wait)
    if isinstance(exc, UnauthorizedError):
        return AuthenticationFailed("HTTP 401", stage=stage)
    if isinstance(exc, SOAPError | MalformedResponseError):
        return UnexpectedServer("an answer that is not EWS", stage=stage, server_said="")
    return UnexpectedServer(code, stage=stage, server_said=words)


def code_of(exc: BaseException) -> str:
    """The EWS response code, which is the name of the exception's class."""
    return type(exc).__name__
