"""When the banner shows and the administrators are told, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.factories import NOW, set_incoming, set_row
from tests.inbound.conftest import Desk
from webapp.desk import accounts, mail_servers
from webapp.inbound import alerts
from webapp.inbound.alerts import CLAIM_FOR, WORKS_AFTER, NotTold, tell
from webapp.inbound.liveness import NO_RUN, Trouble, find_trouble, patience
from webapp.inbound.poll import deadline_seconds
from webapp.inbound.teller import Teller
from webapp.mail.loop_token import LOOP_HEADER
from webapp.mailserver.base import ServerSettings
from webapp.mailserver.errors import AuthenticationFailed, ConnectionFailed, MailServerError, Stage
from webapp.mailserver.memory import MemoryOutbox, MemoryTransport
from webapp.models import MailboxIdentity, Role, Row

LONG_AGO = NOW - timedelta(days=1)
PATIENCE = timedelta(minutes=5)
NO_ANSWER = ConnectionFailed("no", stage=Stage.CONNECT)


@dataclass
class Office:
    """The desk with an Outgoing row and two administrators, one of them disabled."""

    desk: Desk
    outbox: MemoryOutbox = field(default_factory=MemoryOutbox)

    def tell(self) -> bool:
        return tell(self.desk.instance, now=self.desk.now, connect=lambda _: MemoryTransport(self.outbox))

    def subjects(self) -> list[str]:
        return [
            line.removeprefix("Subject: ")
            for sent in self.outbox.sent
            for line in sent.raw.decode().splitlines()
            if line.startswith("Subject: ")
        ]


@pytest.fixture
def office(desk: Desk) -> Office:
    told = {"host": "smtp.desk.test", "username": "help@desk.test", "from_address": "help@desk.test"}
    set_row(desk.instance, Row.OUTGOING, **told, active="true")
    with desk.instance.database.writing() as session:
        for email, role in (("ada@desk.test", Role.ADMINISTRATOR), ("tom@desk.test", Role.TECHNICIAN)):
            accounts.create_account(
                session, email=email, name="N", role=role, password="long enough 1", now=NOW, actor="t"
            )
    desk.poll()
    return Office(desk)


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

    def test_what_was_claimed_by_another_process_is_not_told_again(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fail(office)
        find = alerts._find_way

        def other_process_first(instance: object, news: alerts._News) -> object:
            monkeypatch.setattr(alerts, "_find_way", find)
            assert office.tell()
            return find(office.desk.instance, news)

        monkeypatch.setattr(alerts, "_find_way", other_process_first)
        assert not office.tell()
        assert len(office.outbox.sent) == 1

    def test_what_could_not_be_sent_is_tried_again(self, office: Office) -> None:
        self.fail(office)
        office.outbox.fail_on["open"] = NO_ANSWER
        with pytest.raises(NotTold, match="is failing"):
            office.tell()
        office.outbox.fail_on.clear()
        assert office.tell()

    def test_what_may_have_arrived_is_not_sent_twice(self, office: Office) -> None:
        self.fail(office)
        office.outbox.lose_reply = True
        with pytest.raises(NotTold):
            office.tell()
        office.outbox.lose_reply = False
        assert not office.tell()

    def test_with_outgoing_off_the_log_says_so_once(
        self, office: Office, caplog: pytest.LogCaptureFixture
    ) -> None:
        set_row(office.desk.instance, Row.OUTGOING, active="false")
        self.fail(office)
        teller = Teller(office.desk.instance)
        for _ in range(3):
            teller.look(office.desk.now)
        said = [record.getMessage() for record in caplog.records if "administrators" in record.getMessage()]
        assert said == [
            "administrators were not told that incoming mail is failing: Outgoing email is not active"
        ]
        with office.desk.instance.database.reading() as session:
            assert session.scalars(sa.select(MailboxIdentity.alerted_at)).one() is None

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
        with office.desk.instance.database.writing() as session:
            for email in ("bo@desk.test", "cy@desk.test"):
                accounts.create_account(
                    session, email=email, name="N", role=Role.ADMINISTRATOR, password="long enough 1",
                    now=NOW, actor="t",
                )  # fmt: skip
        office.outbox.refuse_recipients = {"ada@desk.test": "550 no such user", "bo@desk.test": "550 no"}
        self.fail(office)
        assert office.tell()
        assert [sent.recipients for sent in office.outbox.sent] == [("cy@desk.test",)]
        assert not office.tell()

    def test_nobody_told_is_tried_again(self, office: Office) -> None:
        office.outbox.refuse_recipients = {"ada@desk.test": "550 no such user"}
        self.fail(office)
        with pytest.raises(NotTold):
            office.tell()
        assert alerted(office) is None
        office.outbox.refuse_recipients = {}
        assert office.tell()

    def test_the_claim_of_a_process_that_was_killed_runs_out(self, office: Office) -> None:
        self.fail(office)
        with office.desk.instance.database.writing() as session:
            session.execute(sa.update(MailboxIdentity).values(alert_claimed_at=office.desk.now))
        assert not office.tell()
        office.desk.now += CLAIM_FOR
        assert office.tell()


class TestTeller:
    """Asking again and again would lock the account the mail is sent with."""

    def look(self, office: Office, error: MailServerError, minutes: int) -> int:
        """How often the mail server was asked within so many minutes."""
        office.desk.server.fail_on["open"] = NO_ANSWER
        for _ in range(2):
            office.desk.poll()
        clock, asked = [0.0], []

        def connect(settings: ServerSettings) -> MemoryTransport:
            asked.append(settings)
            return MemoryTransport(office.outbox)

        office.outbox.fail_on["open"] = error
        teller = Teller(office.desk.instance, connect=connect, clock=lambda: clock[0])
        for minute in range(minutes):
            clock[0] = minute * 60.0
            teller.look(office.desk.now + timedelta(minutes=minute))
        return len(asked)

    def test_a_server_that_does_not_answer_is_asked_less_and_less_often(self, office: Office) -> None:
        assert self.look(office, NO_ANSWER, 36) == 4

    def test_a_refused_sign_in_is_repeated_after_half_an_hour(self, office: Office) -> None:
        assert self.look(office, AuthenticationFailed("no", stage=Stage.SIGN_IN), 31) == 2

    def test_new_settings_are_tried_at_once(self, office: Office) -> None:
        office.desk.server.fail_on["open"] = NO_ANSWER
        for _ in range(2):
            office.desk.poll()
        office.outbox.fail_on["open"] = AuthenticationFailed("no", stage=Stage.SIGN_IN)
        teller = Teller(
            office.desk.instance, connect=lambda _: MemoryTransport(office.outbox), clock=lambda: 0.0
        )
        teller.look(office.desk.now)
        office.outbox.fail_on.clear()
        teller.look(office.desk.now)
        assert office.outbox.sent == []
        set_row(office.desk.instance, Row.OUTGOING, timeout_ms="20000")
        teller.look(office.desk.now)
        assert len(office.outbox.sent) == 1

    def test_who_is_stopped_tells_nothing_and_gives_the_news_back(self, office: Office) -> None:
        office.desk.server.fail_on["open"] = NO_ANSWER
        for _ in range(2):
            office.desk.poll()
        teller = Teller(office.desk.instance, connect=lambda _: stopped())

        def stopped() -> MemoryTransport:
            teller.stop()
            return MemoryTransport(office.outbox)

        office.outbox.fail_on["send"] = NO_ANSWER  # what cutting the connection comes to
        teller.look(office.desk.now)
        teller.look(office.desk.now)
        office.outbox.fail_on.clear()
        assert office.outbox.sent == []
        assert office.tell()


def alerted(office: Office) -> datetime | None:
    with office.desk.instance.database.reading() as session:
        return session.scalars(sa.select(MailboxIdentity.alerted_at)).one()
