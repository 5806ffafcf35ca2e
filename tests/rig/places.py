"""A mailbox of any protocol as the crash harness sees it: filled, looked into, and how a process reaches it.

The stand-ins run in the tests' own process: killing a parser kills none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, Self

from tests.factories import set_row
from tests.rig import microsoft_account
from tests.rig.ews_server import PASSWORD, EwsServer
from tests.rig.graph_server import GraphServer
from webapp.instance import Instance
from webapp.models import Row


class Message(Protocol):
    @property
    def raw(self) -> bytes: ...


class Contents(Protocol):
    """What is in each folder."""

    def contents(self, folder: str) -> Sequence[Message]: ...

    def folders(self) -> set[str]: ...


class Place(Protocol):
    """A mailbox, and the variables a process needs to reach it."""

    @property
    def environment(self) -> Mapping[str, str]: ...

    def deliver_many(self, raws: list[bytes]) -> object: ...

    def inspect(self) -> AbstractContextManager[Contents]: ...


class StandIn:
    """A mailbox of a stand-in: what the store has, with the settings a row and a process need."""

    def __init__(
        self,
        store: Contents,
        deliver: Callable[[bytes], object],
        environment: Mapping[str, str],
        settings: Mapping[str, object],
        set_up: Callable[[Instance], None],
    ) -> None:
        self._store, self._deliver = store, deliver
        self.environment, self.settings = environment, settings
        self.set_up = set_up

    def deliver_many(self, raws: list[bytes]) -> None:
        for raw in raws:
            self._deliver(raw)

    def contents(self, folder: str = "INBOX") -> Sequence[Message]:
        return self._store.contents(folder)

    def folders(self) -> set[str]:
        return self._store.folders()

    @contextmanager
    def inspect(self) -> Iterator[Self]:
        yield self


def exchange_place(server: EwsServer, address: str = "help@example.com") -> StandIn:
    box = server.mailboxes[address]

    def set_up(instance: Instance) -> None:
        told = {"protocol": "exchange", "host": "localhost", "port": str(server.port), "mailbox": address}
        more = {"username": "EXAMPLE\\help", "process_unknown": "true", "timeout_ms": "20000"}
        set_row(instance, Row.INCOMING, PASSWORD, **told, **more, active="true")

    ca_file = str(server.ca_file)
    environment = {"SERVICEDESK_MAIL_CA_FILE": ca_file}
    return StandIn(box, box.deliver, environment, {"mail_ca_file": ca_file}, set_up)


def office365_place(server: GraphServer, address: str = "desk@example.com") -> StandIn:
    box = server.mailbox_of(address)
    return StandIn(
        box,
        box.deliver,
        microsoft_account.environment_of(server),
        microsoft_account.settings_of(server),
        lambda instance: microsoft_account.set_office365(instance, server, address, timeout_ms="20000"),
    )
