"""Parts of a request to Graph: its token, its query, a body that says when it completes, a $batch. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from requests import PreparedRequest
from requests.auth import AuthBase

from .errors import Stage, UnexpectedServer
from .graph_errors import Answer
from .https import Wire

IMMUTABLE_IDS = 'IdType="ImmutableId"'


@dataclass(frozen=True, slots=True)
class Call:
    """One request inside a $batch; `path` with its query, below graph_base."""

    method: str
    path: str
    body: Mapping[str, object] | None = None


class Bearer(AuthBase):
    """Puts the token into a request (RFC 6750 section 2.1), so that no frame of ours holds it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Upload:
    """A body that is sent in pieces. `commit` is called before the last one, which completes the request."""

    def __init__(self, octets: bytes, wire: Wire, commit: Callable[[], None] | None) -> None:
        self._octets, self._wire, self._commit = octets, wire, commit
        self._position = 0
        self.raised: BaseException | None = None

    def __len__(self) -> int:
        return len(self._octets)

    def __iter__(self) -> Iterator[bytes]:  # requests takes what it can iterate for a stream
        while piece := self.read(16 * 1024):
            yield piece

    def read(self, size: int) -> bytes:
        piece = self._octets[self._position : self._position + size]
        self._position += len(piece)
        if piece and self._position == len(self._octets):
            self._finish()
        return piece

    def _finish(self) -> None:
        if self._commit is not None:
            with self._wire.pause():
                self._tell(self._commit)

    def _tell(self, commit: Callable[[], None]) -> None:
        try:
            commit()
        except BaseException as exc:
            self.raised = exc
            raise


def written(query: Mapping[str, str]) -> str:
    """A query as Graph documents it: "$" and the signs of OData as they are, blanks as %20."""
    return "&".join(f"{name}={quote(value, safe=_ODATA)}" for name, value in query.items())


_ODATA = "$,'():/"


def objects(page: dict[str, Any], stage: Stage) -> list[dict[str, Any]]:
    value = page.get("value")
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UnexpectedServer("a collection without its objects", stage=stage)
    return value


def in_batch(number: str, one: Call) -> dict[str, object]:
    headers = {"Prefer": IMMUTABLE_IDS}
    call: dict[str, object] = {"id": number, "method": one.method, "url": one.path, "headers": headers}
    if one.body is not None:
        headers["Content-Type"] = "application/json"
        call["body"] = one.body
    return call


def out_of_batch(told: dict[str, Any], asked: Collection[str], stage: Stage) -> Iterator[tuple[str, Answer]]:
    responses = told.get("responses")
    for one in responses if isinstance(responses, list) else ():
        if not isinstance(one, dict) or str(one.get("id")) not in asked or type(one.get("status")) is not int:
            raise UnexpectedServer("an answer in a $batch that nobody asked for", stage=stage)
        headers = one.get("headers")
        found = headers.items() if isinstance(headers, dict) else ()
        names = {str(name).lower(): str(value) for name, value in found}
        yield str(one["id"]), Answer(one["status"], names, json.dumps(one.get("body")).encode())
