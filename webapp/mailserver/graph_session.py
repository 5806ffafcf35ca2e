"""A conversation with Microsoft Graph v1.0: tokens, addresses, what is tried again, what is an error.

The token leaves for the host of `graph_base` only. Immutable ids are asked for with every request: without
that header Graph answers with ids that change when a message is moved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from .base import ServerSettings
from .errors import (
    ConnectionFailed,
    InvalidSettings,
    MailServerError,
    SignInNeeded,
    Stage,
    UnexpectedServer,
)
from .graph_account import Account, read_account
from .graph_errors import Answer, refusal
from .graph_requests import IMMUTABLE_IDS, Bearer, Call, Upload, in_batch, objects, out_of_batch, written
from .https import HttpsSession, Wire
from .line import forget_locals
from .words import check_sendable, has_control_characters

BATCH = 20  # requests in one $batch, Graph's limit
TRIES = 3
_BACK_OFF = (2.0, 4.0)
_NOTHING_BUT = frozenset({200})
_JSON_LIMIT = 32 * 1024 * 1024
# Where Graph's upload sessions are. The address carries a token of its own.
_UPLOAD_HOSTS = (".office.com", ".office365.com", ".microsoft.com", ".office365.us", ".microsoft.us")
_OVERLOADED = (429, 503, 504)
_REPEATABLE = frozenset({"GET", "PATCH"})  # doing it twice is as doing it once


class GraphSession:
    """Everything one adapter asks of Graph; after a failure it is closed and is not used again."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.settings = settings
        self.wire = Wire(settings.timeout, ends_at=ends_at)
        self._http: HttpsSession | None = None
        self._token = ""
        self._account: Account | None = None

    @property
    def root(self) -> str:
        """Where the mailbox is: the account's own, or one that is shared with it."""
        mailbox = self.settings.mailbox.strip()
        return f"/users/{quote(mailbox, safe='@')}" if mailbox else "/me"

    def check_settings(self) -> None:
        """Refuse what is incomplete or must never reach a wire, before anything does."""
        settings = self.settings
        if settings.tokens is None:
            raise SignInNeeded("no Microsoft account is connected", stage=Stage.SETTINGS)
        check_sendable(settings)
        if has_control_characters(settings.mailbox):
            raise InvalidSettings(
                "mailbox contains control characters", stage=Stage.SETTINGS, field="mailbox"
            )
        base = urlsplit(settings.graph_base)
        if base.scheme != "https" or not base.hostname or base.query or base.fragment:
            raise InvalidSettings("not an https address", stage=Stage.SETTINGS, field="graph_base")
        if not settings.receives and not settings.from_address:
            raise InvalidSettings("from_address is missing", stage=Stage.SETTINGS, field="from_address")

    def begin(self) -> None:
        """Settings and token; the first request opens the connection."""
        self.check_settings()
        self.fetch_token()

    def fetch_token(self) -> None:
        """Ask for an access token. Raises SignInNeeded, AppMisconfigured, or a failure of that network."""
        self._token = self._new_token()

    def account(self) -> Account:
        """Who is signed in, asked once."""
        if self._account is None:
            self._account = read_account(self, Stage.ACCOUNT)
        return self._account

    def get(self, path: str, stage: Stage, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a path, or at the address of a next page."""
        answer = self.call("GET", path, stage, query=query, limit=_JSON_LIMIT)
        with self._closing_on_failure():
            return answer.json(stage)

    def pages(self, path: str, stage: Stage, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All objects of a collection. `@odata.nextLink` is opaque and followed as it is."""
        page = self.get(path, stage, query)
        seen: set[str] = set()
        while True:
            with self._closing_on_failure():
                found = objects(page, stage)
            yield from found
            link = page.get("@odata.nextLink")
            if link is None:
                return
            if not isinstance(link, str) or link in seen:
                self._fail(UnexpectedServer("a next page that was there before", stage=stage))
            seen.add(link)
            page = self.get(link, stage)

    def batch(
        self,
        calls: Sequence[Call],
        stage: Stage,
        *,
        tolerate: Callable[[Answer], bool] = lambda answer: False,
    ) -> list[Answer]:
        """The answers in the order of the calls, 20 at a time. Those that were throttled are asked again.

        An answer is a success, about something that is not there, or tolerated.
        """
        answers: list[Answer] = []
        for start in range(0, len(calls), BATCH):
            answers += self._batch(calls[start : start + BATCH], stage)
        for answer in answers:
            if not (200 <= answer.status < 300 or answer.is_gone or tolerate(answer)):
                self._fail(refusal(answer, stage, self._token))
        return answers

    def call(
        self,
        method: str,
        path: str,
        stage: Stage,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | bytes | None = None,
        expect: Collection[int] = _NOTHING_BUT,
        missing_is_fine: bool = False,
        tolerate: Callable[[Answer], bool] = lambda answer: False,
        commit: Callable[[], None] | None = None,
        limit: int | None = None,
        stays_open: bool = False,
    ) -> Answer:
        """One request and its answer: of an expected status, about something that is not there, or tolerated.

        `body` is JSON, or octets sent as text/plain. `commit` is called when all but the last octets have
        gone out, each time; an error after that says `uncertain`. A busy Graph is asked again while the
        timeout lasts: reads three times, what changes something only where it says when. After a refusal the
        session is closed, unless it `stays_open`.
        """
        url = self._address(path, query, stage)
        may_repeat = method in _REPEATABLE
        waited, refreshed = 0.0, False
        for tried in range(1, TRIES + 2):
            answer = self._ask(method, url, stage, body, commit, limit)
            if answer.status in expect or (missing_is_fine and answer.is_gone) or tolerate(answer):
                return answer
            if answer.status == 401 and not refreshed:
                refreshed = True
                self._token = self._new_token(refused=True, claims_challenge=answer.claims_challenge)
                continue
            if answer.status == 401:
                self._new_token(refused=True)  # told so that it is remembered; it raises
            pause = self._pause(answer, tried, waited, may_repeat=may_repeat)
            if pause is None:
                break
            waited += pause
            self.wire.wait(pause, stage)
        failure = refusal(answer, stage, self._token)
        # A gateway that gave up does not know what became of the request behind it.
        failure.uncertain = commit is not None and answer.status in (500, 502, 504)
        if stays_open:
            raise failure
        self._fail(failure)

    def upload(self, url: str, piece: bytes, content_range: str, stage: Stage) -> Answer:
        """A piece of an attachment, to the address of an upload session: that is its own authorisation."""
        host = urlsplit(url).hostname or ""
        own = urlsplit(self.settings.graph_base).hostname
        if not url.startswith("https://") or not (host == own or host.endswith(_UPLOAD_HOSTS)):
            raise UnexpectedServer("an upload address that is not Microsoft's", stage=stage)
        headers = {"Content-Range": content_range, "Content-Type": "application/octet-stream"}
        answer = self._request("PUT", url, stage, headers, Upload(piece, self.wire, None), _JSON_LIMIT)
        if answer.status not in (200, 201, 202):
            raise refusal(answer, stage, self._token)
        return answer

    def abort(self) -> None:
        """End what is going on, also from another thread: what waits raises at once. Never raises."""
        self.wire.abort()

    def close(self) -> None:
        """Give everything back; never raises."""
        self._token = ""
        if self._http is not None:
            self._http.close()
        self.wire.close()

    # Details.

    def _batch(self, calls: Sequence[Call], stage: Stage) -> list[Answer]:
        answers: dict[str, Answer] = {}
        waiting = {str(number): one for number, one in enumerate(calls)}
        safe = all(one.method in _REPEATABLE for one in calls)
        waited = 0.0
        for tried in range(1, TRIES + 1):
            body = {"requests": [in_batch(number, one) for number, one in waiting.items()]}
            told = self.call("POST", "/$batch", stage, body=body, limit=_JSON_LIMIT)
            with self._closing_on_failure():
                answers |= dict(out_of_batch(told.json(stage), waiting.keys(), stage))
            waiting = {
                number: one
                for number, one in waiting.items()
                if number not in answers or answers[number].status in _OVERLOADED
            }
            if not waiting:
                break
            known = [answers[number] for number in waiting if number in answers]
            slowest = max(known, key=lambda answer: answer.retry_after or 0.0, default=None)
            pause = self._pause(slowest, tried, waited, may_repeat=safe) if slowest else None
            if pause is None:
                break
            waited += pause
            self.wire.wait(pause, stage)
        if len(answers) < len(calls):
            self._fail(UnexpectedServer("a $batch without all its answers", stage=stage))
        return [answers[str(number)] for number in range(len(calls))]

    def _pause(self, answer: Answer, tried: int, waited: float, *, may_repeat: bool) -> float | None:
        """How long to wait before the next try; None where there is to be none."""
        if answer.status not in _OVERLOADED or tried >= TRIES:
            return None
        asked = answer.retry_after
        if asked is None and not may_repeat:
            return None
        pause = _BACK_OFF[tried - 1] if asked is None else asked
        left = min(self.settings.timeout - waited, self.wire.seconds_left())
        return pause if pause < left else None

    def _new_token(self, *, refused: bool = False, claims_challenge: str = "") -> str:
        if not self.wire.healthy:
            raise ConnectionFailed("the session is closed", stage=Stage.TOKEN)
        assert self.settings.tokens is not None
        try:
            return self.settings.tokens.access_token(
                refused=self._token if refused else "", claims_challenge=claims_challenge
            )
        except BaseException as exc:
            forget_locals(exc)
            self.close()
            raise

    def _address(self, path: str, query: Mapping[str, str] | None, stage: Stage) -> str:
        base = self.settings.graph_base.rstrip("/")
        if not path.startswith("/"):  # a link that Graph gave
            there, here = urlsplit(path), urlsplit(base)
            if (there.scheme, there.netloc.lower()) != (here.scheme, here.netloc.lower()):
                self._fail(UnexpectedServer("a link that leads to another host", stage=stage))
            return path
        return f"{base}{path}" + (f"?{written(query)}" if query else "")

    def _ask(
        self,
        method: str,
        url: str,
        stage: Stage,
        body: Mapping[str, object] | bytes | None,
        commit: Callable[[], None] | None,
        limit: int | None,
    ) -> Answer:
        if not self._token:
            raise ConnectionFailed("the session is not open", stage=stage)
        headers = {"Prefer": IMMUTABLE_IDS}
        if isinstance(body, bytes):
            headers["Content-Type"] = "text/plain"
        elif body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        upload = Upload(body, self.wire, commit) if body else None
        if upload is None and commit is not None:
            with self._closing_on_failure():
                commit()
        try:
            return self._request(method, url, stage, headers, upload, limit, auth=Bearer(self._token))
        except MailServerError as error:
            if upload is not None and upload.raised is not None:
                raise upload.raised from None
            error.uncertain = commit is not None and self.wire.handed_over
            raise

    def _request(
        self,
        method: str,
        url: str,
        stage: Stage,
        headers: dict[str, str],
        upload: Upload | None,
        limit: int | None,
        *,
        auth: Bearer | None = None,
    ) -> Answer:
        if self._http is None:
            self._http = HttpsSession(self.wire, self.settings.ca_file)
        self._http.stage = stage
        if upload is None and method != "GET":
            headers["Content-Length"] = "0"
        options = {} if limit is None else {"limit": limit}
        response = self._http.request(method, url, headers=headers, data=upload, auth=auth, **options)
        found = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, found, response.content)

    @contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _fail(self, error: MailServerError) -> NoReturn:
        self.close()
        raise error
