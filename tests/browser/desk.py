"""A service desk in a thread of this process, for a browser to use."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import argon2
import pytest
import waitress  # type: ignore[import-untyped]
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from waitress import wasyncore

from tests.factories import add_people, make_raw, set_incoming
from tests.rig.postgres import copy_database
from tests.views.browser import PASSWORD, PEOPLE
from webapp.app import create_app
from webapp.config import load_settings
from webapp.desk import accounts
from webapp.desk.connection_tests import ConnectionTests
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.mailserver.memory import MemoryMailbox, MemoryServer


@dataclass(frozen=True)
class Desk:
    """What a browser is pointed at, and the instance behind it."""

    address: str
    app: Flask

    @property
    def instance(self) -> Instance:
        found: Instance = self.app.extensions["instance"]
        return found

    def add_accounts(self) -> None:
        """Alice (administrator), Bob (technician) and Vera (viewer)."""
        with self.instance.database.writing() as session:
            for email, name, role in PEOPLE.values():
                accounts.create_account(
                    session, email=email, name=name, password=PASSWORD, role=role, now=_now(), actor="test"
                )

    def setup_code(self) -> str:
        with self.instance.database.writing() as session:
            code = accounts.renew_setup_code(session, now=_now())
        assert code is not None
        return code

    def end_sessions(self) -> None:
        """Everybody is signed out, as after a night."""
        with self.instance.database.writing() as session:
            for account in accounts.list_accounts(session):
                accounts.end_sessions(session, account)

    def poll(self) -> None:
        """One run of the email parser with the row as it is saved."""
        with ParserProcess() as parser:
            poll(self.instance, parser, trigger="command", clock=_now)

    def receive(self, *raws: bytes) -> None:
        """Mail comes in and is polled."""
        add_people(self.instance)
        set_incoming(self.instance)
        server = MemoryServer()
        for number, raw in enumerate(raws):
            server.deliver(raw, received_at=_now() - timedelta(minutes=len(raws) - number))
        with ParserProcess() as parser:
            poll(
                self.instance,
                parser,
                trigger="command",
                connect=lambda _: MemoryMailbox(server),
                clock=_now,
            )

    def receive_samples(self) -> None:
        """T-1 with a file and a reply, T-2 from somebody unknown, and mail that is ignored."""
        self.receive(
            make_raw(
                subject="Printer offline",
                message_id="first@acme.test",
                text="Our printer is offline since this morning.\n",
                files=[("photo.bin", b"the octets of a photo")],
            ),
            make_raw(
                sender="Amy Poe <amy@acme.test>",
                subject="Re: Printer offline",
                headers={"In-Reply-To": "<first@acme.test>", "References": "<first@acme.test>"},
                text="It prints again.\n\n> Our printer is offline since this morning.\n",
            ),
            make_raw(
                sender="Carl <carl@nowhere.test>",
                subject="A question with-a-very-long-word-in-it-" + "x" * 80,
                text="Hello?\n",
            ),
            make_raw(subject="Out of office", headers={"Auto-Submitted": "auto-replied"}),
        )


@contextmanager
def running_desk(
    folder: Path,
    database: Path,
    templates: FileSystemBytecodeCache,
    ca_file: Path | None = None,
    **settings: str,
) -> Iterator[Desk]:
    """A new desk in `folder`, served on a free port until the end of the block.

    In `settings` {address} stands for where it is served.
    """
    copy_database(database, folder)
    told = {"mail_ca_file": str(ca_file)} if ca_file else {}
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setattr(accounts, "_hasher", argon2.PasswordHasher(1, 8, 1))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        told |= {name: text.format(address=address) for name, text in settings.items()}
        app = create_app(load_settings({}, instance=folder, **told))
        app.jinja_env.bytecode_cache = templates
        app.extensions["connection_tests"] = ConnectionTests(a_minute=1000)
        server = waitress.create_server(app, sockets=[listener], threads=4, ident=None)
        thread = threading.Thread(target=server.run, name="browser-desk")
        thread.start()
        try:
            yield Desk(address, app)
        finally:
            # In the server's own thread: with nothing left to wait for, `run` returns.
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
            thread.join(10)
            server.task_dispatcher.shutdown()
            app.extensions["instance"].close()


def _now() -> datetime:
    return datetime.now(UTC)
