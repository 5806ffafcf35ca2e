"""When the banner shows and the administrators are told, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.factories import NOW, set_incoming, set_row
from tests.inbound.conftest import Desk
from webapp.desk import accounts, mail_servers
from webapp.desk.sending import make_deliverer
from webapp.inbound import alerts
from webapp.inbound.alerts import WITHDRAWN, WORKS_AFTER, Alerts, NotTold, tell
from webapp.inbound.liveness import NO_RUN, Trouble, find_trouble, patience
from webapp.inbound.poll import deadline_seconds
from webapp.mail.loop_token import LOOP_HEADER
from webapp.mailserver.errors import AuthenticationFailed, ConnectionFailed, Stage
from webapp.mailserver.memory import MemoryOutbox, MemoryTransport
from webapp.models import Account, Delivery, MailboxIdentity, Role, Row
from webapp.outbound import outbox as outbox_rows
from webapp.outbound.claims import TOO_OLD_ALERT
from webapp.outbound.outcome import ALERT_GIVE_UP_AFTER

LONG_AGO = NOW - timedelta(days=1)
PATIENCE = timedelta(minutes=5)
NO_ANSWER = ConnectionFailed("no", stage=Stage.CONNECT)


@dataclass
class Office:
    """The desk with an Outgoing row, an administrator and a technician; a server in memory takes the mail."""

    desk: Desk
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)

    def tell(self) -> int:
        """Look, and deliver what there is."""
        told = tell(self.desk.instance, now=self.desk.now)
        self.deliver()
        return told

    def deliver(self, *, after: timedelta = timedelta(0)) -> None:
        self.desk.now += after
        make_deliverer(self.desk.instance, connect=lambda _: MemoryTransport(self.outbox)).run(self.desk.now)

    def subjects(self) -> list[str]:
        return [
            line.removeprefix("Subject: ")
            for sent in self.outbox.sent
            for line in sent.raw.decode().splitlines()
            if line.startswith("Subject: ")
        ]

    def states(self) -> list[tuple[str, str]]:
        """Of everything in the outbox: the state, and our sentence about it."""
        with self.desk.instance.database.reading() as session:
            query = sa.select(Delivery).order_by(Delivery.id)
            return [(one.state.value, one.error) for one in session.scalars(query)]


@pytest.fixture
def office(desk: Desk) -> Office:
    told = {"host": "smtp.desk.test", "username": "help@desk.test", "from_address": "help@desk.test"}
    set_row(desk.instance, Row.OUTGOING, **told, active="true")
    add_administrator(desk, "ada@desk.test")
    with desk.instance.database.writing() as session:
        accounts.create_account(
            session, email="tom@desk.test", name="N", role=Role.TECHNICIAN, password="long enough 1",
            now=NOW, actor="t",
        )  # fmt: skip
    desk.poll()
    return Office(desk)


def add_administrator(desk: Desk, email: str) -> None:
    with desk.instance.database.writing() as session:
        accounts.create_account(
            session, email=email, name="N", role=Role.ADMINISTRATOR, password="long enough 1", now=NOW,
            actor="t",
        )  # fmt: skip


def trouble(desk: Desk, *, later: timedelta = timedelta(0), up_since: datetime = LONG_AGO) -> Trouble | None:
    with desk.instance.database.reading() as session:
        row = mail_servers.load(session, Row.INCOMING)
        assert row is not None
        mailbox = mail_servers.mailbox_of(session, row)
    return find_trouble(row, mailbox, now=desk.now + later, patience=PATIENCE, up_since=up_since)


class TestTrouble:
    def test_one_failed_run_is_none_and_the_second_is(self, desk: Desk) -> None:
        desk.poll()
        desk.server.fail_on["open"] = NO_ANSWER
        desk.poll()
        assert trouble(desk) is None
        since = desk.now
        desk.poll()
        found = trouble(desk)
        assert found is not None
        assert found.since == since
        desk.server.fail_on.clear()
        desk.poll()
        assert trouble(desk) is None

    def test_one_failed_run_that_lasts_is(self, desk: Desk) -> None:
        desk.server.fail_on["open"] = NO_ANSWER
        desk.poll()
        assert trouble(desk, later=timedelta(minutes=15)) is not None

    def test_what_needs_a_person_is_said_at_once(self, desk: Desk) -> None:
        desk.server.fail_on["open"] = AuthenticationFailed("no", stage=Stage.SIGN_IN)
        desk.poll()
        assert trouble(desk) is not None

    def test_three_runs_that_never_came_are(self, desk: Desk) -> None:
        desk.poll()
        assert trouble(desk, later=timedelta(minutes=4)) is None
        found = trouble(desk, later=timedelta(minutes=6))
        assert found is not None
        assert found.sentence == NO_RUN

    def test_a_process_that_has_just_started_has_its_time(self, desk: Desk) -> None:
        desk.poll()
        assert trouble(desk, later=timedelta(hours=9), up_since=desk.now + timedelta(hours=9)) is None

    def test_a_run_may_take_as_long_as_it_is_allowed_to(self, desk: Desk) -> None:
        settings = desk.instance.settings
        longest = timedelta(seconds=deadline_seconds(settings.max_message_mb))
        assert patience(settings) > longest


class TestTelling:
    def fail(self, office: Office, times: int = 2) -> None:
        office.desk.server.fail_on["open"] = NO_ANSWER
        for _ in range(times):
            office.desk.poll()

    def recover(self, office: Office) -> None:
        """Good runs for as long as it takes to be believed; nothing is told before."""
        office.desk.server.fail_on.clear()
        office.desk.poll()
        believed = office.desk.now + WORKS_AFTER
        while office.desk.now < believed:
            assert not office.tell()
            office.desk.poll()

    def test_one_mail_when_it_fails_and_one_when_it_works_again(self, office: Office) -> None:
        self.fail(office, 1)
        assert not office.tell()
        self.fail(office, 1)
        assert office.tell()
        self.fail(office, 3)
        assert not office.tell()
        self.recover(office)
        assert office.tell()
        assert not office.tell()
        assert office.subjects() == ["Incoming mail is failing", "Incoming mail works again"]
        assert [sent.recipients for sent in office.outbox.sent] == [("ada@desk.test",)] * 2

    def test_the_mail_says_that_nobody_should_answer(self, office: Office) -> None:
        self.fail(office)
        office.tell()
        text = office.outbox.sent[0].raw.decode()
        assert "Auto-Submitted: auto-generated" in text
        assert "X-Auto-Response-Suppress: All" in text
        assert f"{LOOP_HEADER}: " in text

    def test_of_two_processes_one_tells(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        """The other one does between our look and our claim; PostgreSQL lets it."""
        self.fail(office)
        with office.desk.instance.database.reading() as session:
            old = alerts._find_news(session, office.desk.instance, office.desk.now)
        assert office.tell()
        monkeypatch.setattr(alerts, "_find_news", lambda *_: old)
        assert not office.tell()
        assert len(office.states()) == 1

    def test_the_mail_and_the_mark_are_one_transaction(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fail(office)
        monkeypatch.setattr(outbox_rows, "enqueue", crash)
        with pytest.raises(RuntimeError):
            office.tell()
        assert alerted(office) is None
        monkeypatch.undo()
        assert office.tell()

    def test_it_waits_while_outgoing_fails_and_arrives_once(self, office: Office) -> None:
        self.fail(office)
        office.outbox.fail_on["open"] = NO_ANSWER
        assert office.tell()
        assert not office.tell()
        office.outbox.fail_on.clear()
        office.deliver(after=timedelta(minutes=20))
        assert office.subjects() == ["Incoming mail is failing"]

    def test_what_may_have_arrived_is_not_sent_twice(self, office: Office) -> None:
        self.fail(office)
        office.outbox.lose_reply = True
        assert office.tell()
        office.outbox.lose_reply = False
        office.deliver(after=timedelta(hours=5))
        assert not office.tell()
        assert [state for state, _ in office.states()] == ["uncertain"]

    def test_what_waited_for_hours_is_dropped_and_written_anew(self, office: Office) -> None:
        self.fail(office)
        office.outbox.fail_on["open"] = NO_ANSWER
        assert office.tell()
        office.deliver(after=ALERT_GIVE_UP_AFTER)
        assert office.states() == [("not-sent", TOO_OLD_ALERT)]
        office.outbox.fail_on.clear()
        self.fail(office)
        assert office.tell() == 1
        office.deliver(after=timedelta(hours=1))
        assert [state for state, _ in office.states()] == ["not-sent", "sent"]
        self.recover(office)
        assert office.tell()
        assert office.subjects() == ["Incoming mail is failing", "Incoming mail works again"]

    def test_it_works_again_before_anybody_was_told(self, office: Office) -> None:
        """Then there is nothing to say: neither that it failed, nor that it works."""
        self.fail(office)
        office.outbox.fail_on["open"] = NO_ANSWER
        assert office.tell()
        self.recover(office)
        assert not office.tell()
        assert office.states() == [("not-sent", WITHDRAWN)]
        office.outbox.fail_on.clear()
        office.deliver(after=timedelta(hours=1))
        assert office.outbox.sent == []
        assert alerted(office) is None

    def test_only_who_heard_of_it_hears_that_it_is_over(self, office: Office) -> None:
        add_administrator(office.desk, "bo@desk.test")
        office.outbox.refuse_recipients = {"bo@desk.test": "550 no such user"}
        self.fail(office)
        assert office.tell() == 2
        add_administrator(office.desk, "cy@desk.test")
        self.recover(office)
        assert office.tell() == 1
        assert [sent.recipients for sent in office.outbox.sent] == [("ada@desk.test",)] * 2

    def test_an_address_no_mail_can_be_written_to_keeps_nobody_else_from_theirs(self, office: Office) -> None:
        with office.desk.instance.database.writing() as session:
            session.execute(sa.update(Account).where(Account.id == 1).values(email="jörg@desk.test"))
        self.fail(office)
        with pytest.raises(NotTold, match="ASCII"):
            office.tell()
        assert alerted(office) is None
        add_administrator(office.desk, "bo@desk.test")
        assert office.tell() == 1
        assert [sent.recipients for sent in office.outbox.sent] == [("bo@desk.test",)]

    def test_with_outgoing_off_the_log_says_so_once(
        self, office: Office, caplog: pytest.LogCaptureFixture
    ) -> None:
        set_row(office.desk.instance, Row.OUTGOING, active="false")
        self.fail(office)
        looks = Alerts(office.desk.instance)
        for _ in range(3):
            looks.look(office.desk.now)
        said = [record.getMessage() for record in caplog.records if "administrators" in record.getMessage()]
        assert said == [
            "administrators are not told that incoming mail is failing: Outgoing email is not active"
        ]
        assert alerted(office) is None
        assert office.states() == []
        set_row(office.desk.instance, Row.OUTGOING, active="true")
        assert office.tell()

    def test_what_comes_and_goes_is_one_failure(self, office: Office) -> None:
        for _ in range(5):
            self.fail(office)
            office.tell()
            office.desk.server.fail_on.clear()
            office.desk.poll()
            office.tell()
        self.fail(office, 1)
        self.recover(office)
        office.tell()
        assert office.subjects() == ["Incoming mail is failing", "Incoming mail works again"]

    def test_a_mailbox_that_replaces_the_failing_one_ends_it(self, office: Office) -> None:
        self.fail(office)
        assert office.tell()
        set_incoming(office.desk.instance, username="new@desk.test", password="another")
        self.recover(office)
        assert office.tell()
        assert not office.tell()
        assert office.subjects()[1:] == ["Incoming mail works again"]

    def test_a_row_that_is_switched_off_is_no_news(self, office: Office) -> None:
        self.fail(office)
        assert office.tell()
        set_row(office.desk.instance, Row.INCOMING, active="false")
        assert not office.tell()
        assert alerted(office) is None
        assert len(office.outbox.sent) == 1

    def test_one_bad_address_keeps_nobody_else_from_being_told(self, office: Office) -> None:
        for email in ("bo@desk.test", "cy@desk.test"):
            add_administrator(office.desk, email)
        office.outbox.refuse_recipients = {"ada@desk.test": "550 no such user", "bo@desk.test": "550 no"}
        self.fail(office)
        assert office.tell()
        assert [sent.recipients for sent in office.outbox.sent] == [("cy@desk.test",)]
        assert not office.tell()

    def test_where_every_address_was_refused_it_is_written_anew_hours_later(self, office: Office) -> None:
        office.outbox.refuse_recipients = {"ada@desk.test": "550 no such user"}
        self.fail(office)
        assert office.tell()
        assert not office.tell()
        office.desk.now += ALERT_GIVE_UP_AFTER
        self.fail(office)
        assert office.tell()


def crash(*_: object, **__: object) -> None:
    raise RuntimeError


def alerted(office: Office) -> datetime | None:
    with office.desk.instance.database.reading() as session:
        return session.scalars(sa.select(MailboxIdentity.alerted_at)).one()
