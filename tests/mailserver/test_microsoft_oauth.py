"""What is believed of Microsoft's answers: a token service in memory says whatever a test wants it to."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from webapp.mailserver import microsoft_answers, microsoft_errors, microsoft_oauth
from webapp.mailserver.errors import AppMisconfigured, MailServerError, ServerTimeout, SignInNeeded, Stage
from webapp.mailserver.microsoft_answers import Reason, SignInFailed
from webapp.mailserver.microsoft_errors import Kind
from webapp.mailserver.microsoft_oauth import AppRegistration, Begun, Grant
from webapp.mailserver.words import redacted, said

TENANT = "11111111-2222-4333-8444-555555555555"
OTHER = "22222222-2222-4333-8444-555555555555"
HOST = "https://login.microsoftonline.com"
SECRET = "the-secret-canary~Q"
REGISTRATION = AppRegistration(f"{HOST}/{TENANT}", "the-client", SECRET)
SCOPES = ("User.Read", "Mail.Send")
REDIRECT = "https://desk.example.com/oauth/office365/callback"


@dataclass
class Response:
    status_code: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class TokenService:
    """Answers as Microsoft does; `claims` and `changes` are put over its answer."""

    issuer: str = f"{HOST}/{TENANT}/v2.0"
    nonce: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    posted: list[dict[str, Any]] = field(default_factory=list)

    def get(self, url: str, **_: Any) -> Response:
        told = {"issuer": self.issuer, "authorization_endpoint": f"{HOST}/{TENANT}/authorize"}
        return Response(200, json.dumps(told | {"token_endpoint": f"{HOST}/{TENANT}/token"}))

    def post(self, url: str, *, data: dict[str, Any], **_: Any) -> Response:
        self.posted.append(data)
        claims = {
            "aud": "the-client",
            "iss": f"{HOST}/{TENANT}/v2.0",
            "exp": int(time.time()) + 3600,
            "nonce": self.nonce,
            "sub": "pairwise",
            "oid": "the-user",
            "tid": TENANT,
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        answer = {
            "access_token": "the-token",
            "refresh_token": "the-refresh-token",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "https://graph.microsoft.com/User.Read Mail.Send openid",
            "id_token": f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()}.e30",
        } | self.changes
        if "error" in answer:
            return Response(400, json.dumps({n: t for n, t in answer.items() if n.startswith("error")}))
        return Response(200, json.dumps(answer))


def begin(service: TokenService, registration: AppRegistration = REGISTRATION, **options: bool) -> Begun:
    begun = microsoft_oauth.begin(registration, scopes=SCOPES, redirect_uri=REDIRECT, http=service, **options)
    service.nonce = parse_qs(urlsplit(begun.address).query)["nonce"][0]
    return begun


def finish(service: TokenService, registration: AppRegistration = REGISTRATION, **answer: str) -> Grant:
    begun = begin(service, registration)
    told = {"code": "the-code", "state": begun.state} | answer
    return microsoft_oauth.finish(registration, begun.flow, told, http=service)


def test_the_browser_is_sent_off_with_pkce_and_without_a_prompt() -> None:
    begun = begin(TokenService())
    query = {name: values[0] for name, values in parse_qs(urlsplit(begun.address).query).items()}
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == REDIRECT
    assert query["response_mode"] == "query"
    assert set(query["scope"].split()) == {*SCOPES, "openid", "profile", "offline_access"}
    assert {"prompt", "login_hint"}.isdisjoint(query)
    verifier = json.loads(begun.flow)["flow"]["code_verifier"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert query["code_challenge"] == digest
    assert verifier not in repr(begun)
    assert begun.state not in repr(begun)


def test_another_account_is_asked_for_without_a_hint() -> None:
    query = parse_qs(urlsplit(begin(TokenService(), choose_account=True).address).query)
    assert query["prompt"] == ["select_account"]
    assert "login_hint" not in query


def test_a_good_answer() -> None:
    service = TokenService()
    grant = finish(service)
    assert (grant.access_token, grant.tenant_id) == ("the-token", TENANT)
    assert grant.scopes == {"User.Read", "Mail.Send", "openid"}
    assert "the-refresh-token" in grant.cache
    assert "the-" not in repr(grant)
    assert service.posted[0]["code_verifier"]
    assert microsoft_oauth.held_token(grant.cache) == "the-token"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "another-client"}, Reason.DOUBTFUL),
        ({"aud": ["the-client"]}, Reason.DOUBTFUL),
        ({"iss": "https://login.example.com/v2.0"}, Reason.DOUBTFUL),
        ({"iss": None}, Reason.DOUBTFUL),
        ({"exp": 1_700_000_000}, Reason.DOUBTFUL),
        ({"exp": None}, Reason.DOUBTFUL),
        ({"nonce": "another"}, Reason.DOUBTFUL),
        ({"nonce": None}, Reason.DOUBTFUL),
        ({"sub": None}, Reason.DOUBTFUL),
        ({"tid": OTHER, "iss": f"{HOST}/{OTHER}/v2.0"}, Reason.OTHER_TENANT),
        ({"tid": None}, Reason.OTHER_TENANT),
        ({"tid": microsoft_answers.PERSONAL_ACCOUNTS}, Reason.PERSONAL),
    ],
)
def test_an_id_token_that_proves_nothing_is_not_believed(claims: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(SignInFailed) as caught:
        finish(TokenService(claims=claims))
    assert caught.value.reason is reason


def test_the_nonce_is_looked_at_whatever_msal_does() -> None:
    service = TokenService()
    nonce = json.loads(begin(service).flow)["flow"]["nonce"]
    claims = {
        "aud": "the-client",
        "iss": service.issuer,
        "exp": int(time.time()) + 60,
        "sub": "x",
        "tid": TENANT,
    }

    def check(shown: str | None) -> str:
        return microsoft_answers.check_claims(
            claims | {"nonce": shown},
            client_id="the-client",
            tenant=TENANT,
            issuer=service.issuer,
            nonce=nonce,
        )

    assert check(service.nonce) == TENANT
    for shown in (nonce, "another", None):
        with pytest.raises(SignInFailed):
            check(shown)


@pytest.mark.parametrize("token", ["", "x", "e30.e30.e30", "e30.W10.e30", "e30.eA.e30", 7, None, ["e30"]])
def test_an_answer_without_an_id_token_is_not_believed(token: object) -> None:
    with pytest.raises(SignInFailed) as caught:
        finish(TokenService(changes={"id_token": token}))
    assert caught.value.reason is not Reason.CANCELLED
    service = TokenService()
    cache = finish(service).cache
    service.changes = {"id_token": token}
    with suppress(MailServerError):  # nothing else, whatever msal makes of it
        assert microsoft_oauth.renew(REGISTRATION, cache, scopes=SCOPES, http=service)[0] == "the-token"


def test_any_organisation_is_each_its_own_issuer() -> None:
    registration = AppRegistration(f"{HOST}/organizations", "the-client", SECRET)
    template = HOST + "/{tenantid}/v2.0"
    claims = {"tid": OTHER, "iss": f"{HOST}/{OTHER}/v2.0"}
    grant = finish(TokenService(issuer=template, claims=claims), registration)
    assert grant.tenant_id == OTHER
    with pytest.raises(SignInFailed):
        finish(TokenService(issuer=template, claims={"tid": OTHER}), registration)
    with pytest.raises(SignInFailed):
        finish(TokenService(issuer=template, claims={"tid": None}), registration)
    personal = microsoft_answers.PERSONAL_ACCOUNTS
    with pytest.raises(SignInFailed) as caught:
        finish(
            TokenService(issuer=template, claims={"tid": personal, "iss": f"{HOST}/{personal}/v2.0"}),
            registration,
        )
    assert caught.value.reason is Reason.PERSONAL


def test_another_state_than_ours() -> None:
    service = TokenService()
    with pytest.raises(SignInFailed) as caught:
        finish(service, state="another")
    assert caught.value.reason is Reason.DOUBTFUL
    assert caught.value.__cause__ is None
    assert service.posted == []


def test_missing_permissions_are_named() -> None:
    with pytest.raises(SignInFailed) as caught:
        finish(TokenService(changes={"scope": "openid user.read"}))
    assert (caught.value.reason, caught.value.missing) == (Reason.MISSING_SCOPES, ("Mail.Send",))


@pytest.mark.parametrize(
    ("error", "words", "reason"),
    [
        ("access_denied", "the user canceled the authentication", Reason.CANCELLED),
        ("access_denied", "AADSTS65004: User declined to consent.", Reason.CONSENT),
        ("access_denied", "AADSTS90094: Admin consent is required.", Reason.CONSENT),
        ("consent_required", "", Reason.CONSENT),
        ("invalid_client", "AADSTS7000215: Invalid client secret.", Reason.APP),
        ("unauthorized_client", "AADSTS700016: Application not found.", Reason.APP),
        ("invalid_client", "something new", Reason.APP),
        ("invalid_grant", "AADSTS50105: not assigned to a role.", Reason.OTHER),
        ("invalid_grant", "something new", Reason.DOUBTFUL),
        ("server_error", "something new", Reason.OTHER),
    ],
)
def test_what_a_refusal_means(error: str, words: str, reason: Reason) -> None:
    """Whether it comes with the browser or from the token endpoint."""
    with pytest.raises(SignInFailed) as in_browser:
        finish(TokenService(), code="", error=error, error_description=words)
    changes = {"error": error, "error_description": words}
    with pytest.raises(SignInFailed) as in_answer:
        finish(TokenService(changes=changes))
    assert in_browser.value.reason is in_answer.value.reason is reason


def test_microsofts_words_are_cut_to_what_helps_and_hold_no_secret() -> None:
    words = f"AADSTS7000215: Not the secret {SECRET}. Trace ID: 1 Correlation ID: 2\r\nTimestamp: 3"
    with pytest.raises(SignInFailed) as caught:
        finish(TokenService(changes={"error": "invalid_client", "error_description": words}))
    assert caught.value.server_said == "AADSTS7000215: Not the secret ***."


def test_a_number_of_microsofts_is_no_password() -> None:
    """In base64 "AADSTS70000" begins like an answer of SASL PLAIN."""
    assert said("AADSTS70000: expired") == "AADSTS70000: expired"
    assert redacted("AADSTS7000215: x") == "AADSTS7000215: x"


@pytest.mark.parametrize(
    ("error", "words", "kind"),
    [
        ("invalid_grant", "AADSTS70000: x", SignInNeeded),
        ("interaction_required", "AADSTS50076: x", SignInNeeded),
        ("consent_required", "", SignInNeeded),
        ("login_required", "", SignInNeeded),
        ("invalid_client", "AADSTS7000222: x", AppMisconfigured),
        ("unauthorized_client", "AADSTS700016: x", AppMisconfigured),
        ("invalid_request", "AADSTS90002: x", AppMisconfigured),
    ],
)
def test_what_a_refused_renewal_means(error: str, words: str, kind: type[MailServerError]) -> None:
    service = TokenService()
    cache = finish(service).cache
    service.changes = {"error": error, "error_description": words}
    with pytest.raises(kind) as caught:
        microsoft_oauth.renew(REGISTRATION, cache, scopes=SCOPES, http=service)
    assert caught.value.stage is Stage.TOKEN
    assert "the-refresh-token" not in repr(caught.value)


def test_a_renewal_gives_the_token_and_the_cache_after_it() -> None:
    service = TokenService()
    cache = finish(service).cache
    service.changes = {"access_token": "the-second-token", "refresh_token": "the-second-refresh-token"}
    token, after = microsoft_oauth.renew(REGISTRATION, cache, scopes=SCOPES, http=service)
    assert token == microsoft_oauth.held_token(after) == "the-second-token"
    assert "the-second-refresh-token" in after
    assert service.posted[-1]["refresh_token"] == "the-refresh-token"


def test_an_empty_cache_needs_a_person() -> None:
    assert microsoft_oauth.held_token("") == ""
    with pytest.raises(SignInNeeded):
        microsoft_oauth.renew(REGISTRATION, "", scopes=SCOPES, http=TokenService())


def test_the_approval_link_asks_for_the_rows_permissions() -> None:
    link = microsoft_oauth.approval_address(
        REGISTRATION, scopes=SCOPES, redirect_uri=REDIRECT, graph_host="graph.microsoft.com"
    )
    query = parse_qs(urlsplit(link).query)
    assert link.startswith(f"{HOST}/{TENANT}/v2.0/adminconsent?")
    assert set(query["scope"][0].split()) == {f"https://graph.microsoft.com/{scope}" for scope in SCOPES}
    assert query["redirect_uri"] == [REDIRECT]
    assert SECRET not in link


def test_the_secret_is_in_no_repr() -> None:
    assert SECRET not in repr(REGISTRATION)
    assert REGISTRATION.mark != AppRegistration(REGISTRATION.authority, "the-client", "another").mark


@pytest.mark.parametrize("code", microsoft_errors._WORDS)
def test_each_number_has_a_sentence_and_a_cure(code: str) -> None:
    words = microsoft_errors.words_for(f"AADSTS{code}: x")
    assert words is not None
    for text in (words.sentence, words.cure):
        assert text.endswith(".")
        assert "AADSTS" not in text


def test_words_fit_the_class_also_where_the_number_does_not() -> None:
    """A renewal that is refused for its secret is never told as an account that has to sign in, or back."""
    needed = SignInNeeded("", stage=Stage.TOKEN, server_said="AADSTS7000222: x")
    assert microsoft_errors.words_of(needed)[0] == microsoft_errors.SIGN_IN_AGAIN.sentence
    app = AppMisconfigured("", stage=Stage.TOKEN, server_said="AADSTS70000: x")
    assert microsoft_errors.words_of(app)[0] == microsoft_errors.APP_REFUSED.sentence
    expired = AppMisconfigured("", stage=Stage.TOKEN, server_said="AADSTS7000222: x")
    assert microsoft_errors.field_of(expired) == "client_secret"
    silent = ServerTimeout("", stage=Stage.TOKEN)
    assert microsoft_errors.words_of(silent)[0] == microsoft_errors.UNREACHABLE.sentence
    assert {words.kind for words in microsoft_errors._WORDS.values()} == set(Kind)
