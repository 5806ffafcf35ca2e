"""What Microsoft's sign-in answers, judged: whom an id_token speaks of, and what a refusal means. Pure."""

from __future__ import annotations

import enum
import hashlib
import time
from collections.abc import Collection, Mapping
from typing import Any

from .errors import AppMisconfigured, ServerBusy, SignInNeeded, Stage
from .microsoft_errors import SIGN_IN_AGAIN, Kind, words_for
from .words import said

CLOCK_SKEW_SECONDS = 300
PERSONAL_ACCOUNTS = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of outlook.com and the like
# Words of OAuth and OpenID Connect for "a person has to come", RFC 6749 section 5.2 and OIDC Core 3.1.2.6.
_PERSON_NEEDED = {"invalid_grant", "interaction_required", "login_required", "consent_required"}


class Reason(enum.StrEnum):
    """Why a sign-in came to nothing."""

    CANCELLED = "cancelled"
    CONSENT = "consent"
    MISSING_SCOPES = "missing_scopes"
    OTHER_TENANT = "other_tenant"
    PERSONAL = "personal"
    APP = "app"
    DOUBTFUL = "doubtful"  # what came back does not prove that it belongs to this sign-in
    OTHER = "other"


class SignInFailed(Exception):
    """Nobody is signed in by this, and nothing changes. `said` are Microsoft's own words, without secrets."""

    def __init__(self, reason: Reason, server_said: str = "", *, missing: Collection[str] = ()) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.server_said = server_said
        self.missing = tuple(sorted(missing))


def check_claims(claims: Mapping[str, Any], *, client_id: str, tenant: str, issuer: str, nonce: str) -> str:
    """The tenant's id, of an id_token that is about this sign-in (OpenID Connect Core 3.1.3.7).

    `tenant` is the one that was asked, `issuer` as its own description names it, `nonce` as msal keeps it.
    Raises SignInFailed.
    """
    tenant_id = str(claims.get("tid", ""))
    expected = hashlib.sha256(nonce.encode("ascii")).hexdigest()
    proved = (
        claims.get("aud") == client_id
        and claims.get("iss") == issuer.replace("{tenantid}", tenant_id)
        and claims.get("nonce") == expected
        and isinstance(claims.get("exp"), int)
        and claims["exp"] > time.time() - CLOCK_SKEW_SECONDS
        and claims.get("sub")
    )
    if tenant_id == PERSONAL_ACCOUNTS:
        raise SignInFailed(Reason.PERSONAL)
    if _is_guid(tenant) and tenant_id.casefold() != tenant.casefold():
        raise SignInFailed(Reason.OTHER_TENANT)
    if not proved or not tenant_id:
        raise SignInFailed(Reason.DOUBTFUL)
    return tenant_id


def _is_guid(text: str) -> bool:
    return [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]


def refusal(result: Mapping[str, Any], secret: str) -> SignInFailed:
    """Of a sign-in. `secret` is taken out of what Microsoft said."""
    error, words = str(result.get("error", "")), first_line(result, secret)
    known = words_for(words)
    if error == "invalid_grant" and known in (None, SIGN_IN_AGAIN):
        return SignInFailed(Reason.DOUBTFUL, words)  # the code was used before, or was not meant for us
    if known is not None:
        reasons = {Kind.CONSENT: Reason.CONSENT, Kind.APP: Reason.APP}
        return SignInFailed(reasons.get(known.kind, Reason.OTHER), words)
    if error in ("invalid_client", "unauthorized_client"):
        return SignInFailed(Reason.APP, words)
    if error == "consent_required":
        return SignInFailed(Reason.CONSENT, words)
    if error == "access_denied":
        return SignInFailed(Reason.CANCELLED, words)
    return SignInFailed(Reason.OTHER, words)


def failure(result: Mapping[str, Any], secret: str) -> SignInNeeded | AppMisconfigured | ServerBusy:
    error, words = str(result.get("error", "")), first_line(result, secret)
    known = words_for(words)
    message = f"the token endpoint answered {error}"
    if error in ("invalid_client", "unauthorized_client") or (known and known.kind is Kind.APP):
        return AppMisconfigured(message, stage=Stage.TOKEN, server_said=words)
    if error in _PERSON_NEEDED or (known and known.kind is not Kind.APP):
        return SignInNeeded(message, stage=Stage.TOKEN, server_said=words)
    if error == "temporarily_unavailable":
        return ServerBusy(message, stage=Stage.TOKEN, server_said=words)
    return AppMisconfigured(message, stage=Stage.TOKEN, server_said=words)


def first_line(result: Mapping[str, Any], *secrets: str) -> str:
    """Microsoft's words: the first line. The others are a trace id, a correlation id and a time."""
    text = str(result.get("error_description") or result.get("error") or "").strip().split("\n")[0]
    return said(text.partition(" Trace ID:")[0], *secrets)
