"""What whatever watches this process is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import set_incoming, set_row
from tests.views.browser import Browser
from webapp.app import create_app
from webapp.config import load_settings
from webapp.desk import expiry
from webapp.instance import Instance
from webapp.models import MailboxIdentity, MailServer, Row

TOKEN = "metrics-token-canary"


class Jobs:
    is_alive = True


def lines(anonymous: Browser, path: str = "/readyz") -> tuple[int, dict[str, str]]:
    answer = anonymous.get(path)
    return answer.status_code, dict(line.split(": ") for line in answer.get_data(as_text=True).splitlines())


def test_it_is_ready(anonymous: Browser, app: Flask) -> None:
    assert lines(anonymous) == (200, {"database": "ok", "jobs": "elsewhere", "mail": "off"})
    app.extensions["scheduler"] = Jobs()
    assert lines(anonymous)[1]["jobs"] == "ok"


def test_jobs_that_hang_take_it_out(anonymous: Browser, app: Flask) -> None:
    app.extensions["scheduler"] = jobs = Jobs()
    jobs.is_alive = False
    assert lines(anonymous) == (503, {"database": "ok", "jobs": "stuck", "mail": "off"})


def test_a_database_of_another_version_takes_it_out(anonymous: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    status, told = lines(anonymous)
    assert (status, told["database"]) == (503, "of another version")


def test_a_database_that_is_gone_takes_it_out_and_healthz_stays(
    anonymous: Browser, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise sa.exc.OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(instance.database, "reading", refuse)
    status, told = lines(anonymous)
    assert (status, told["database"]) == (503, "unreachable")
    assert anonymous.get("/healthz").status_code == 200


def test_a_failing_mailbox_is_told_and_sends_nobody_away(anonymous: Browser, instance: Instance) -> None:
    set_incoming(instance)
    assert lines(anonymous)[1]["mail"] == "no good run yet"
    now = datetime.now(UTC)
    with instance.database.writing() as session:
        stored = session.get_one(MailServer, Row.INCOMING.value)
        session.add(
            MailboxIdentity(
                protocol=stored.protocol, host=stored.host, port=stored.port, account=stored.username,
                last_success_at=now - timedelta(seconds=300), failing_since=now,
            )
        )  # fmt: skip
    status, told = lines(anonymous)
    assert status == 200
    assert told["mail"].startswith("failing, last good run 30")


class TestMetrics:
    @pytest.fixture
    def watched(self, tmp_path: Path) -> Browser:
        app = create_app(load_settings({}, instance=tmp_path, metrics_token=TOKEN))
        app.test_client_class = Browser
        set_incoming(app.extensions["instance"])
        client = app.test_client()
        assert isinstance(client, Browser)
        return client

    def test_without_a_token_they_are_not_there(self, anonymous: Browser) -> None:
        assert anonymous.get("/metrics").status_code == 404

    @pytest.mark.parametrize("sent", ["", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"])
    def test_a_wrong_token_is_refused(self, watched: Browser, sent: str) -> None:
        answer = watched.get("/metrics", headers={"Authorization": sent.encode("utf-8").decode("latin-1")})
        assert answer.status_code == 401
        assert "servicedesk_" not in answer.get_data(as_text=True)

    def test_how_mail_goes_and_how_this_process_answers(self, watched: Browser) -> None:
        watched.get("/healthz")
        answer = watched.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        text = answer.get_data(as_text=True)
        assert answer.mimetype == "text/plain"
        assert "servicedesk_incoming_active 1.0" in text
        assert 'servicedesk_outbox_deliveries{state="waiting"} 0.0' in text
        assert 'servicedesk_sending_failing{row="outgoing"} 0.0' in text
        assert 'servicedesk_requests_total{method="GET",status="2xx"}' in text
        assert "servicedesk_tickets_open 0.0" in text
        assert TOKEN not in text


def test_every_line_of_the_log_names_route_and_reference_and_no_more(
    anonymous: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="webapp.request")
    anonymous.get("/tickets/7?q=secret-canary")
    (line,) = caplog.messages
    assert line.startswith("request reference=")
    assert 'route="/tickets/<int(max=2147483647):number>" number=7 status=' in line
    assert "secret-canary" not in line


def test_an_error_page_shows_the_reference_of_its_log_line(
    app: Flask, anonymous: Browser, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="webapp.request")
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def broken() -> None:
        raise RuntimeError("broken")

    broken.access = "public"  # type: ignore[attr-defined]
    monkeypatch.setitem(app.view_functions, "health.healthz", broken)
    page = anonymous.get("/healthz").get_data(as_text=True)
    (line,) = [message for message in caplog.messages if message.startswith("request ")]
    reference = line.partition("reference=")[2].partition(" ")[0]
    assert f"Reference {reference}." in page


def test_what_ends_by_itself_is_known_before(instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, host="smtp.office365.com", username="help@desk.test")
    (found,) = expiry.find(instance, datetime(2026, 12, 24, tzinfo=UTC))
    assert (found.what, found.ends_on, found.days) == ("outgoing password sign-in", date(2026, 12, 31), 7)
    assert found.is_soon
    set_row(instance, Row.OUTGOING, host="smtp.desk.test")
    assert expiry.find(instance, datetime(2026, 12, 24, tzinfo=UTC)) == []
