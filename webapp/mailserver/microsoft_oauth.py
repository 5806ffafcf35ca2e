"""Signing in at Microsoft and keeping signed in: authorization code with PKCE (RFC 6749, 7636), through msal.

Values in, values out: what has to be kept is handed back as text, and that text is a secret. The `http` that
is handed in does the talking (`https.HttpsSession`): it ends in time, and all it raises is a MailServerError.

msal does not check an id_token any more (1.38), so `microsoft_answers` does. It comes over TLS from the token
endpoint itself, and then OpenID Connect Core 3.1.3.7 asks for issuer, audience, expiry and nonce, not for a
signature.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from .errors import AppMisconfigured, ServerBusy, SignInNeeded, Stage, UnexpectedServer
from .microsoft_answers import Reason, SignInFailed, check_claims, failure, first_line, refusal

if TYPE_CHECKING:
    import msal

GOOD_FOR_SECONDS = 300  # a token that ends sooner counts as ended

# What msal raises over an answer that is not as it should be.
_MSAL_STUMBLES = (ValueError, RuntimeError, LookupError, TypeError, AttributeError)

# At DEBUG msal writes the one-time code and the PKCE verifier into the log.
logging.getLogger("msal").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class AppRegistration:
    """How Microsoft knows this desk. `authority`: https://login.microsoftonline.com/TENANT."""

    authority: str
    client_id: str
    client_secret: str = field(repr=False)

    @property
    def tenant(self) -> str:
        return urlsplit(self.authority).path.strip("/")

    @property
    def mark(self) -> str:
        """Another one for another registration or secret; tells nothing about them."""
        told = "\0".join((self.authority, self.client_id, self.client_secret))
        return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way: where the browser goes, and what `finish` needs when it comes back (secret)."""

    address: str = field(repr=False)
    state: str = field(repr=False)
    flow: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a sign-in gave. `cache` holds the refresh token: it is kept encrypted."""

    access_token: str = field(repr=False)
    cache: str = field(repr=False)
    scopes: frozenset[str]
    tenant_id: str


def begin(
    registration: AppRegistration,
    *,
    scopes: Collection[str],
    redirect_uri: str,
    http: Any,
    choose_account: bool = False,
) -> Begun:
    """Where to send the browser. Microsoft uses the account it is signed in with, or asks.

    With `choose_account` it always asks which one. Raises AppMisconfigured or what `http` raises.
    """
    careful = _Careful(http)
    app = _application(registration, "", careful)
    with warnings.catch_warnings():
        # form_post would come as a POST from another site: without our session cookie (SameSite=Lax).
        warnings.filterwarnings("ignore", message="response_mode='form_post'", category=UserWarning)
        flow = app.initiate_auth_code_flow(
            sorted(scopes),
            redirect_uri=redirect_uri,
            response_mode="query",
            prompt="select_account" if choose_account else None,
        )
    kept = {"flow": flow, "issuer": careful.issuer, "scopes": sorted(scopes)}
    return Begun(flow["auth_uri"], flow["state"], json.dumps(kept))


def finish(registration: AppRegistration, flow: str, answer: Mapping[str, str], *, http: Any) -> Grant:
    """What Microsoft's answer (the query of the redirect address) gives.

    Raises SignInFailed, AppMisconfigured, or what `http` raises.
    """
    kept = json.loads(flow)
    app = _application(registration, "", _Careful(http))
    try:
        result = app.acquire_token_by_auth_code_flow(kept["flow"], dict(answer))
    except _MSAL_STUMBLES:  # another state or nonce than ours, or no id_token; its text would hold them
        raise SignInFailed(Reason.DOUBTFUL) from None
    if "access_token" not in result:
        raise refusal(result, registration.client_secret)
    tenant_id = check_claims(
        result.get("id_token_claims") or {},
        client_id=registration.client_id,
        tenant=registration.tenant,
        issuer=kept["issuer"],
        nonce=kept["flow"]["nonce"],
    )
    granted = scopes_of(result.get("scope", ""))
    if missing := missing_scopes(kept["scopes"], granted):
        raise SignInFailed(Reason.MISSING_SCOPES, missing=missing)
    return Grant(
        access_token=result["access_token"],
        cache=app.token_cache.serialize(),
        scopes=granted,
        tenant_id=tenant_id,
    )


def held_token(cache: str) -> str:
    """The newest access token that is good for five minutes, without asking anybody; empty: none."""
    import msal

    held = _read_cache(cache)
    good = [
        (int(entry.get("cached_at", 0)), str(entry["secret"]))
        for entry in held.search(msal.TokenCache.CredentialType.ACCESS_TOKEN)
        if int(entry["expires_on"]) >= time.time() + GOOD_FOR_SECONDS
    ]
    return max(good)[1] if good else ""


def renew(
    registration: AppRegistration,
    cache: str,
    *,
    scopes: Collection[str],
    http: Any,
    claims_challenge: str = "",
) -> tuple[str, str]:
    """A new access token and the cache as it is after that: the old refresh token may be void now.

    Raises SignInNeeded, AppMisconfigured, or what `http` raises.
    """
    app = _application(registration, cache, _Careful(http))
    accounts = app.get_accounts()
    if not accounts:
        raise SignInNeeded("no account is signed in", stage=Stage.TOKEN)
    try:
        result = app.acquire_token_silent_with_error(
            sorted(scopes),
            account=accounts[0],
            force_refresh=True,
            claims_challenge=claims_challenge or None,
        )
    except _MSAL_STUMBLES:
        raise UnexpectedServer("Microsoft's answer cannot be read", stage=Stage.TOKEN) from None
    if result is None:
        raise SignInNeeded("no refresh token is left", stage=Stage.TOKEN)
    if "access_token" not in result:
        raise failure(result, registration.client_secret)
    return result["access_token"], app.token_cache.serialize()


def scopes_of(text: str) -> frozenset[str]:
    """The permissions a token is good for, without the address of Graph some of them come with."""
    return frozenset(scope.rpartition("/")[2] for scope in text.split())


def missing_scopes(needed: Collection[str], granted: Collection[str]) -> frozenset[str]:
    held = {scope.casefold() for scope in granted}
    return frozenset(scope for scope in needed if scope.casefold() not in held)


def approval_address(
    registration: AppRegistration, *, scopes: Collection[str], redirect_uri: str, graph_host: str
) -> str:
    """Where an administrator of the Microsoft organisation approves the application for everybody."""
    told = {
        "client_id": registration.client_id,
        "scope": " ".join(f"https://{graph_host}/{scope}" for scope in sorted(scopes)),
        "redirect_uri": redirect_uri,
    }
    return f"{registration.authority}/v2.0/adminconsent?{urlencode(told)}"


class _Careful:
    """An `http` for msal: what is no answer of a token service never reaches it."""

    def __init__(self, http: Any) -> None:
        self._http = http
        self.issuer = ""  # as the authority's own description names it (OpenID Connect Discovery 1.0)
        self.refusal = ""  # what it said instead

    def get(self, url: str, **options: Any) -> Any:
        response, told = _checked(self._http.get(url, **options))
        self.issuer, self.refusal = str(told.get("issuer", "")), first_line(told)
        return response

    def post(self, url: str, **options: Any) -> Any:
        return _checked(self._http.post(url, **options))[0]

    def close(self) -> None:
        """The one who made it closes it."""


def _checked(response: Any) -> tuple[Any, dict[str, Any]]:
    """The response, and the JSON object that it is."""
    status = response.status_code
    if status == 429 or status >= 500:
        raise ServerBusy(
            f"Microsoft's sign-in answered {status}", stage=Stage.TOKEN, retry_after=_retry_after(response)
        )
    try:
        told = json.loads(response.text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise UnexpectedServer("no JSON object came from Microsoft's sign-in", stage=Stage.TOKEN)
    return response, told


def _retry_after(response: Any) -> float:
    text = str(response.headers.get("Retry-After", ""))
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _application(
    registration: AppRegistration, cache: str, http: _Careful
) -> msal.ConfidentialClientApplication:
    """Asks the authority for its endpoints. The host is one of Microsoft's: the settings see to that."""
    import msal

    try:
        return msal.ConfidentialClientApplication(
            registration.client_id,
            client_credential=registration.client_secret,
            authority=registration.authority,
            token_cache=_read_cache(cache),
            http_client=http,
            instance_discovery=False,
        )
    except (ValueError, KeyError):  # no such tenant, or no endpoints in its description
        raise AppMisconfigured(
            f"no such authority: {registration.authority}", stage=Stage.TOKEN, server_said=http.refusal
        ) from None


def _read_cache(text: str) -> msal.SerializableTokenCache:
    import msal

    cache = msal.SerializableTokenCache()
    if text:
        cache.deserialize(text)
    return cache
