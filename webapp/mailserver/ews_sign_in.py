"""Signing in to EWS over HTTP: NTLM where the server offers it, else Basic; the password through TLS only."""

from __future__ import annotations

import re
import struct
from typing import Any

from requests import PreparedRequest, Response
from requests.auth import AuthBase, HTTPBasicAuth
from requests_ntlm import HttpNtlmAuth
from spnego.exceptions import SpnegoError

from .errors import AuthenticationFailed, AuthenticationNotOffered, Stage

_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)(?=\s|,|$)")


class SignIn(AuthBase):
    """Waits for the server's 401 and answers it once; `mechanism` says how.

    Only one way is tried: a second one with the same wrong password would count towards locking the account.
    """

    def __init__(self, username: str, password: str) -> None:
        self.mechanism = ""
        # In UTF-8 (RFC 7617); requests itself would write Latin-1.
        self._basic = HTTPBasicAuth(username.encode(), password.encode())
        self._ntlm = HttpNtlmAuth(username, password)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Connection"] = "Keep-Alive"  # NTLM signs the connection in, not the request
        if self.mechanism == "Basic":
            return self._with_password(request)
        request.register_hook("response", self._answer)  # type: ignore[no-untyped-call]
        return request

    def _answer(self, response: Response, **how: Any) -> Response:
        if response.status_code != 401 or "Authorization" in response.request.headers:
            return response
        offered = schemes(response)
        if offered & {"ntlm", "negotiate"}:
            self.mechanism = "NTLM"
            return self._answer_ntlm(response, how)
        if "basic" in offered:
            self.mechanism = "Basic"
            return self._answer_basic(response, how)
        raise AuthenticationNotOffered(
            f"the server offers {', '.join(sorted(offered)) or 'no way to sign in'}", stage=Stage.SIGN_IN
        )

    def _answer_ntlm(self, response: Response, how: dict[str, Any]) -> Response:
        try:
            answered: Response = self._ntlm.response_hook(response, **how)
        except (PermissionError, SpnegoError, struct.error) as exc:  # no challenge, or one that is none
            raise AuthenticationFailed("the server ended the NTLM sign-in", stage=Stage.SIGN_IN) from exc
        return answered

    def _answer_basic(self, response: Response, how: dict[str, Any]) -> Response:
        _ = response.content  # read to its end, so that the connection can be used again
        response.close()
        request = self._with_password(response.request.copy())
        answered: Response = response.connection.send(request, **how)
        answered.history.append(response)
        return answered

    def _with_password(self, request: PreparedRequest) -> PreparedRequest:
        signed: PreparedRequest = self._basic(request)
        return signed


def schemes(response: Response) -> set[str]:
    """The authentication schemes a 401 offers (RFC 9110 section 11.6.1), in lower case."""
    offered = response.headers.get("WWW-Authenticate", "")
    return {name.lower() for name in _SCHEME.findall(re.sub(r'"[^"]*"', "", offered))} - {"realm"}
