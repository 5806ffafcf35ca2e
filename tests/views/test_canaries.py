"""Secrets of every kind, and then a look for them: database file, backup, pages, logs at DEBUG, traces."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from tests.factories import make_raw, set_row
from tests.rig.ports import free_ports
from tests.views.browser import PASSWORD, Browser
from webapp.app import create_app
from webapp.config import Settings, load_settings
from webapp.desk import backup, doctor
from webapp.desk.sending import make_deliverer
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.models import OutgoingKind, Row
from webapp.outbound import outbox

MAIL_PASSWORD, CLIENT_SECRET = "canary-mail-passwörd", "canary~client~secret"
METRICS_TOKEN = "canary-metrics-token"
RESET = "canary-reset-password"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({}, instance=tmp_path, metrics_token=METRICS_TOKEN)


@pytest.fixture
def app(settings: Settings, log: Path) -> Iterator[Flask]:
    """Made while everything is logged: SQLAlchemy asks once whether its statements are wanted."""
    app = create_app(settings)
    app.test_client_class = Browser
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app
    app.extensions["instance"].close()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Everything that anybody in this process logs, also what only somebody who asks for it gets."""
    monkeypatch.setattr(logging.getLogger("sqlalchemy.engine"), "level", logging.DEBUG)
    path = tmp_path / "everything.log"
    handler = logging.FileHandler(path)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield path
    root.setLevel(before)
    root.removeHandler(handler)
    handler.close()


def set_all_rows(instance: Instance) -> None:
    (port,) = free_ports(1)  # nobody is there: every way of failing is taken
    told = {
        "host": "localhost",
        "port": str(port),
        "username": "help@desk.test",
        "active": "true",
        "tls_mode": "implicit",
    }
    sends = {"from_address": "help@desk.test"}
    set_row(instance, Row.INCOMING, MAIL_PASSWORD, **told)
    set_row(instance, Row.OUTGOING, MAIL_PASSWORD, **told, **sends)
    office = {
        "protocol": "office365",
        "tenant_id": "contoso.test",
        "client_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
    }
    set_row(instance, Row.INVOICE, CLIENT_SECRET, **office)


def use_everything(app: Flask, browser: Browser) -> str:
    """Every page an administrator can open, a failed test, a failed run, a failed delivery, a crash."""
    instance: Instance = app.extensions["instance"]
    seen = []
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.arguments and rule.endpoint != "sign_in.sign_out":
            seen.append(browser.get(rule.rule, follow_redirects=True).get_data(as_text=True))
    place = "/settings/service-desk/mail"
    for row in Row:
        done = browser.send(f"{place}/{row}/test/saved", place)
        assert done.status_code == 303
        seen.append(browser.get(done.headers["Location"]).get_data(as_text=True))
    with ParserProcess() as parser:
        assert poll(instance, parser, trigger="command").failure
    message = outbox.Outgoing(
        raw=make_raw(), message_id="m@desk.test", from_addr="help@desk.test", subject="S"
    )
    with instance.database.writing() as session:
        outbox.enqueue(
            session, message, ["ann@acme.test"], row=Row.OUTGOING, kind=OutgoingKind.REPLY,
            created_by="bob", now=datetime.now(UTC),
        )  # fmt: skip
    make_deliverer(instance).run()
    seen += [repr(finding) for finding in doctor.examine(instance, {})]
    seen.append(repr(instance.settings))
    return "\n".join(seen)


def test_no_secret_is_anywhere(
    app: Flask, signed_in: Callable[[str], Browser], log: Path, tmp_path: Path
) -> None:
    instance: Instance = app.extensions["instance"]
    set_all_rows(instance)
    browser = signed_in("alice")
    cookie = browser.get_cookie("session")
    assert cookie is not None
    pages = use_everything(app, browser)
    browser.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    kept = backup.make_backup(instance.database, instance.settings, tmp_path / "kept", lambda *_: None).path
    keys = (tmp_path / "secret.keys").read_text().split() + (tmp_path / "session.key").read_text().split()
    canaries = [MAIL_PASSWORD, CLIENT_SECRET, METRICS_TOKEN, PASSWORD, cookie.value, *keys]
    places = {"pages": pages.encode(), "log": log.read_bytes(), "backup": kept.read_bytes()}
    places |= {path.name: path.read_bytes() for path in tmp_path.glob("servicedesk.db*")}
    assert len(places["log"]) > 100_000  # statements too
    found = [
        (name, canary[:14])
        for name, content in places.items()
        for canary in canaries
        if canary.encode() in content
    ]
    assert found == []


def test_the_look_finds_what_is_there(app: Flask, log: Path) -> None:
    logging.getLogger("webapp.somewhere").debug("signing in with %s", MAIL_PASSWORD)
    assert MAIL_PASSWORD.encode() in log.read_bytes()
