"""One run over a mailbox in memory: what becomes of the mail, and what survives a failure."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.factories import MAILBOX, NOW, make_raw, set_incoming
from tests.inbound.conftest import Desk
from webapp.desk import mail_servers, options
from webapp.inbound.case import Facts
from webapp.inbound.poll import NotPolled
from webapp.mailserver.errors import AuthenticationFailed, ConnectionFailed, FolderRefused, Stage
from webapp.models import Disposition, MailboxIdentity, Placement, PollRun, Row, Setting, TicketStatus

ARCHIVE, IGNORED = "Archive", "Archive/Ignored"


def test_a_message_becomes_a_ticket_and_moves_to_the_archive(desk: Desk) -> None:
    raw = make_raw(files=[("photo.bin", b"\x00" * 500)])
    desk.deliver(raw)
    report = desk.poll()
    [ticket] = desk.tickets()
    assert (ticket.subject, ticket.requester_address) == ("Printer offline", "ann@acme.test")
    assert ticket.company is not None
    assert ticket.company.name == "Acme Ltd"
    [entry] = ticket.entries
    assert entry.body_text.strip() == "Our printer is offline."
    assert [(a.filename, a.size) for a in entry.attachments] == [("photo.bin", 500)]
    assert desk.folder("INBOX") == []
    assert desk.folder(ARCHIVE) == [raw]
    assert desk.server.folders[ARCHIVE][0].seen
    [row] = desk.ledger()
    assert (row.disposition, row.rule, row.placement) == ("ticket", "new-ticket", "archived")
    assert (report.counts.ticket, report.counts.moved, report.failure) == (1, 1, None)


def test_ignored_mail_goes_below_the_archive_still_unread(desk: Desk) -> None:
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    desk.poll()
    assert desk.tickets() == []
    [message] = desk.server.folders[IGNORED]
    assert not message.seen
    [row] = desk.ledger()
    assert (row.rule, row.saw) == ("auto-submitted", "Auto-Submitted: auto-replied")


def test_ignored_mail_stays_in_the_inbox_where_so_set_and_is_judged_once(desk: Desk) -> None:
    with desk.instance.database.writing() as session:
        session.add(Setting(name=options.IGNORED_MAIL, value=options.IgnoredMail.LEAVE.value))
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    assert desk.poll().counts.ignored == 1
    assert desk.poll().counts.ignored == 0
    [row] = desk.ledger()
    assert row.placement is Placement.LEFT
    assert len(desk.folder("INBOX")) == 1


def test_a_server_without_subfolders_gets_ignored_mail_in_the_archive_itself(desk: Desk) -> None:
    desk.server.children_allowed = False
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    desk.poll()
    assert len(desk.folder(ARCHIVE)) == 1


def test_a_server_that_refuses_the_subfolder_gets_ignored_mail_in_the_archive_itself(desk: Desk) -> None:
    desk.server.folders[ARCHIVE] = []
    desk.server.fail_on["create_folder"] = FolderRefused("no", stage=Stage.ARCHIVE)
    desk.deliver(make_raw(headers={"Auto-Submitted": "auto-replied"}))
    desk.deliver()
    report = desk.poll()
    assert (report.failure, report.counts.ignored, report.counts.ticket) == (None, 1, 1)
    assert len(desk.folder(ARCHIVE)) == 2


def test_mail_before_the_date_is_left_alone_and_counted(desk: Desk) -> None:
    set_incoming(desk.instance, cutoff_enabled="true", cutoff_at=NOW.isoformat())
    desk.deliver(at=NOW - timedelta(seconds=1))
    desk.deliver(at=NOW)
    report = desk.poll()
    assert (report.counts.ticket, report.counts.before_cutoff) == (1, 1)
    assert len(desk.folder("INBOX")) == 1
    assert not desk.server.folders["INBOX"][0].seen
    assert len(desk.ledger()) == 1


def test_mail_from_an_unknown_sender_is_ignored_unless_wanted(desk: Desk) -> None:
    set_incoming(desk.instance, process_unknown="false")
    desk.deliver(make_raw(sender="carl@new.test"))
    desk.poll()
    assert [row.rule for row in desk.ledger()] == ["unknown-sender"]
    set_incoming(desk.instance, process_unknown="true")
    desk.deliver(make_raw(sender="carl@new.test"))
    desk.poll()
    [ticket] = desk.tickets()
    assert (ticket.requester_id, ticket.company_id, ticket.requester_address) == (None, None, "carl@new.test")


def test_an_alternate_address_is_the_same_user(desk: Desk) -> None:
    set_incoming(desk.instance, process_unknown="false")
    desk.deliver(make_raw(sender="ANN.Lee@Private.TEST"))
    desk.poll()
    [ticket] = desk.tickets()
    assert ticket.company is not None


def test_a_reply_updates_its_ticket_by_message_id_or_by_subject(desk: Desk) -> None:
    desk.deliver(make_raw(message_id="first@acme.test"))
    desk.poll()
    [ticket] = desk.tickets()
    desk.deliver(make_raw(subject="Re: Printer", headers={"References": "<x@y> <first@acme.test>"}))
    desk.deliver(make_raw(sender="amy@acme.test", subject=f"Re: Printer [T-{ticket.id}]"))
    report = desk.poll()
    assert report.counts.update == 2
    [ticket] = desk.tickets()
    assert len(ticket.entries) == 3
    saw = [row.saw for row in desk.ledger()][1:]
    assert "References <first@acme.test> names T-1 (open); sender is the requester" in saw
    assert "subject tag [T-1] names T-1 (open); sender is of the same company" in saw


def test_a_reply_in_the_same_batch_finds_its_ticket(desk: Desk) -> None:
    desk.deliver(make_raw(message_id="first@acme.test"))
    desk.deliver(make_raw(headers={"In-Reply-To": "<first@acme.test>"}))
    report = desk.poll()
    assert (report.counts.ticket, report.counts.update) == (1, 1)


def test_somebody_elses_reply_is_a_claim_and_never_an_entry(desk: Desk) -> None:
    desk.deliver(make_raw(message_id="first@acme.test"))
    desk.poll()
    desk.deliver(make_raw(sender="bob@binder.test", headers={"In-Reply-To": "<first@acme.test>"}))
    desk.deliver(make_raw(sender="carl@new.test", subject="hello [T-1]"))
    report = desk.poll()
    assert report.counts.claim == 2
    first, bobs, carls = desk.tickets()
    assert len(first.entries) == 1
    assert (bobs.claimed_ticket_id, bobs.notice) == (first.id, "claim")
    assert carls.subject == "hello"


def test_a_reply_to_a_closed_ticket_is_a_new_one_linked_to_it(desk: Desk) -> None:
    desk.deliver()
    desk.poll()
    with desk.instance.database.writing() as session:
        session.execute(sa.text("UPDATE ticket SET status = :s"), {"s": TicketStatus.CLOSED.value})
    desk.deliver(make_raw(subject="Re: Printer offline [T-1]"))
    desk.poll()
    old, new = desk.tickets()
    assert (new.follow_up_of_id, new.subject, new.claimed_ticket_id) == (old.id, "Re: Printer offline", None)
    assert len(old.entries) == 1


def test_mail_from_the_incoming_mailbox_itself_is_ours(desk: Desk) -> None:
    desk.deliver(make_raw(sender=MAILBOX))
    desk.poll()
    assert [row.rule for row in desk.ledger()] == ["own-message"]


class TestTheSameMessageAgain:
    def test_put_back_by_a_person_it_is_a_duplicate_and_moves_again(self, desk: Desk) -> None:
        raw = make_raw()
        desk.deliver(raw)
        desk.poll()
        desk.server.deliver(raw, received_at=NOW)
        report = desk.poll()
        assert (report.counts.duplicate, len(desk.tickets())) == (1, 1)
        first, second = desk.ledger()
        assert (second.duplicate_of_id, second.ticket_id) == (first.id, 1)
        assert "already T-1" in second.saw
        assert len(desk.folder(ARCHIVE)) == 2

    def test_a_list_copy_and_a_direct_copy_are_one(self, desk: Desk) -> None:
        raw = make_raw()
        desk.deliver(raw)
        desk.deliver(
            b"Received: by list.test; Mon, 23 Nov 2026 11:53:10 +0000\r\n" + raw, at=NOW + timedelta(hours=1)
        )
        desk.poll()
        assert [row.disposition for row in desk.ledger()] == ["ticket", "duplicate"]

    def test_the_same_message_id_with_other_content_is_a_new_message(self, desk: Desk) -> None:
        desk.deliver(make_raw(message_id="same@x.test", text="one\n"))
        desk.deliver(make_raw(message_id="same@x.test", text="two\n"))
        desk.poll()
        assert [row.disposition for row in desk.ledger()] == ["ticket", "ticket"]

    def test_equal_monitoring_mails_without_message_id_are_two(self, desk: Desk) -> None:
        raw = make_raw(message_id="")
        desk.deliver(raw, at=NOW)
        desk.deliver(raw, at=NOW + timedelta(minutes=5))
        desk.poll()
        assert [row.disposition for row in desk.ledger()] == ["ticket", "ticket"]

    def test_a_new_uidvalidity_before_the_move_makes_nothing_twice(self, desk: Desk) -> None:
        desk.deliver()
        desk.server.fail_on["move"] = ConnectionFailed("lost", stage=Stage.MOVE)
        assert desk.poll().failure is not None
        desk.server.fail_on.clear()
        desk.server.folders["INBOX"][0].seen = False
        desk.server.change_epoch()
        desk.poll()
        [row] = desk.ledger()
        assert (row.placement, row.epoch) == (Placement.ARCHIVED, "INBOX/2")
        assert len(desk.tickets()) == 1

    def test_a_known_uid_that_is_another_message_starts_a_new_epoch(self, desk: Desk) -> None:
        desk.deliver(make_raw(subject="one"))
        desk.poll()
        desk.server._last_uid = 0
        desk.deliver(make_raw(subject="two, and longer"))
        assert not desk.poll().drained
        desk.poll()
        assert [ticket.subject for ticket in desk.tickets()] == ["one", "two, and longer"]


class TestWhenMovingFails:
    def test_a_lost_reply_to_move_is_no_second_ticket(self, desk: Desk) -> None:
        desk.deliver()
        desk.server.lose_reply_of.add("move")
        assert desk.poll().failure is not None
        desk.server.lose_reply_of.clear()
        desk.poll()
        [row] = desk.ledger()
        assert row.placement is Placement.ARCHIVED
        assert len(desk.folder(ARCHIVE)) == 1

    def test_a_full_archive_does_not_stop_tickets_and_drains_later(self, desk: Desk) -> None:
        desk.server.folders |= {ARCHIVE: [], IGNORED: []}
        desk.server.has_quota = True
        desk.deliver()
        first = desk.poll()
        desk.deliver()
        second = desk.poll()
        assert first.failure is not None
        assert second.failure is not None
        assert len(desk.tickets()) == 2
        assert {row.placement for row in desk.ledger()} == {Placement.PENDING_MOVE}
        desk.server.has_quota = False
        desk.poll()
        assert {row.placement for row in desk.ledger()} == {Placement.ARCHIVED}
        assert len(desk.folder(ARCHIVE)) == 2
        assert len(desk.tickets()) == 2

    def test_an_archive_that_cannot_be_made_changes_nothing(self, desk: Desk) -> None:
        desk.deliver()
        desk.server.fail_on["create_folder"] = FolderRefused("no", stage=Stage.ARCHIVE)
        report = desk.poll()
        assert report.failure is not None
        assert desk.tickets() == []
        assert len(desk.folder("INBOX")) == 1

    def test_a_server_without_move_changes_nothing(self, desk: Desk) -> None:
        desk.server.can_move = False
        desk.deliver()
        report = desk.poll()
        assert report.failure is not None
        assert "RFC 6851" in report.failure.sentence
        assert desk.ledger() == []


class TestWhenTheServerFails:
    def refuse(self, desk: Desk) -> None:
        desk.server.fail_on["open"] = AuthenticationFailed("no", stage=Stage.SIGN_IN)

    def test_a_refused_sign_in_waits_thirty_minutes_and_says_so(self, desk: Desk) -> None:
        self.refuse(desk)
        report = desk.poll("schedule")
        assert report.failure is not None
        assert report.next_try_at == desk.now + timedelta(minutes=30)
        with pytest.raises(NotPolled):
            desk.poll("schedule")

    def test_a_command_ignores_the_wait(self, desk: Desk) -> None:
        self.refuse(desk)
        desk.poll("schedule")
        assert desk.poll("command").failure is not None

    def test_other_failures_back_off_from_one_to_thirty_minutes(self, desk: Desk) -> None:
        desk.server.fail_on["open"] = ConnectionFailed("no", stage=Stage.CONNECT)
        waits = []
        for _ in range(7):
            report = desk.poll()
            assert report.next_try_at is not None
            waits.append((report.next_try_at - desk.now).total_seconds() / 60)
        assert waits == [1, 2, 4, 8, 16, 30, 30]

    def test_recovery_clears_the_failure(self, desk: Desk) -> None:
        self.refuse(desk)
        desk.poll()
        desk.server.fail_on.clear()
        desk.poll()
        with desk.instance.database.reading() as session:
            identity = session.scalars(sa.select(MailboxIdentity)).one()
            assert (identity.failing_since, identity.failures, identity.last_error) == (None, 0, "")
            assert [bool(run.error) for run in session.scalars(sa.select(PollRun))] == [True, False]

    def test_saving_the_row_allows_a_try_at_once(self, desk: Desk) -> None:
        self.refuse(desk)
        desk.poll("schedule")
        set_incoming(desk.instance)
        desk.server.fail_on.clear()
        assert desk.poll("schedule").failure is None


class TestOneBadMessage:
    def test_a_message_that_kills_the_parser_is_quarantined_and_its_neighbours_are_done(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from webapp.inbound.parser_process import ParserDied, ParserProcess
        from webapp.mail.message import InboundMessage

        asked = []
        parse = ParserProcess.parse

        def dies_of_poison(
            self: ParserProcess, raw: bytes, transport_headers: tuple[tuple[str, str], ...] = ()
        ) -> InboundMessage:
            if b"poison" in raw:
                asked.append(raw)
                raise ParserDied("ended by signal 9")
            return parse(self, raw, transport_headers)

        monkeypatch.setattr(ParserProcess, "parse", dies_of_poison)
        desk.deliver(make_raw(subject="before"))
        poison = make_raw(subject="Bad one", text="poison\n")
        desk.deliver(poison)
        desk.deliver(make_raw(subject="after"))
        report = desk.poll()
        assert len(asked) == 3
        assert (report.counts.ticket, report.counts.quarantined) == (2, 1)
        stub = desk.tickets()[1]
        assert (stub.subject, stub.notice) == ("Bad one", "quarantine")
        [file] = stub.entries[0].attachments
        assert (file.filename, file.size) == ("message.eml", len(poison))
        assert len(desk.folder(ARCHIVE)) == 3
        assert "ended by signal 9" in desk.ledger()[1].saw

    def test_a_message_our_own_code_chokes_on_is_quarantined_too(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from webapp.inbound.facts import FactsReader, Identity
        from webapp.mail.message import InboundMessage

        gather = FactsReader.gather

        def chokes(self: FactsReader, message: InboundMessage, identity: Identity) -> Facts:
            if message.subject == "choke":
                raise LookupError("a bug")
            return gather(self, message, identity)

        monkeypatch.setattr(FactsReader, "gather", chokes)
        desk.deliver(make_raw(subject="choke"))
        desk.deliver(make_raw(subject="fine"))
        report = desk.poll()
        assert (report.counts.ticket, report.counts.quarantined, report.failure) == (1, 1, None)

    def test_a_message_over_the_limit_becomes_a_stub_that_says_where_it_is(self, desk: Desk) -> None:
        desk.deliver(make_raw(subject="Huge", files=[("big.bin", b"x" * 51_000_000)]))
        report = desk.poll()
        assert report.counts.ticket == 1
        [ticket] = desk.tickets()
        assert (ticket.subject, ticket.notice) == ("Huge", "too-large")
        assert "over the limit of 50 MB" in ticket.entries[0].body_text
        assert len(desk.folder(ARCHIVE)) == 1


def test_a_message_that_vanishes_before_it_is_fetched_is_passed_over(desk: Desk) -> None:
    key = desk.deliver()
    desk.deliver()
    fetch = desk.server.expunge
    desk.server.commands = _Then(lambda name: fetch(key) if name == "fetch" else None)
    report = desk.poll()
    assert (report.counts.ticket, report.counts.vanished) == (1, 1)


class _Then(list[str]):
    """A list that does something with each item it gets."""

    def __init__(self, act: object) -> None:
        super().__init__()
        self._act = act

    def append(self, name: str) -> None:
        super().append(name)
        self._act(name)  # type: ignore[operator]


def test_settings_changed_during_a_run_stop_it_after_the_batch(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.inbound.batches.BATCH_MESSAGES", 1)
    for _ in range(3):
        desk.deliver()

    def save_at_first_move(name: str) -> None:
        if name == "move" and len(desk.tickets()) == 1:
            set_incoming(desk.instance, active="false")

    desk.server.commands = _Then(save_at_first_move)
    report = desk.poll()
    assert (report.counts.ticket, report.drained) == (1, False)
    assert len(desk.folder("INBOX")) == 2


def test_switched_off_or_not_set_up_nothing_is_polled(desk: Desk) -> None:
    set_incoming(desk.instance, active="false")
    with pytest.raises(NotPolled, match="not active"):
        desk.poll()
    assert desk.server.commands == []


def test_other_accounts_on_the_same_server_have_ledgers_of_their_own(desk: Desk) -> None:
    desk.deliver(make_raw(subject="one"))
    desk.poll()
    set_incoming(desk.instance, username="other@desk.test")
    desk.server.folders["INBOX"].clear()
    desk.server._last_uid = 0
    desk.deliver(make_raw(subject="two"))
    desk.poll()
    rows = desk.ledger()
    assert [row.remote_key for row in rows] == ["1", "1"]
    assert rows[0].mailbox_id != rows[1].mailbox_id
    assert {row.disposition for row in rows} == {Disposition.TICKET}


def test_a_stored_password_that_cannot_be_decrypted_is_said(desk: Desk) -> None:
    from webapp.vault import VaultError

    with desk.instance.database.writing() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        assert stored is not None
        stored.password_sealed = "gAAAAABbad"
    with pytest.raises(VaultError):
        desk.poll("schedule")
    with desk.instance.database.reading() as session:
        identity = session.scalars(sa.select(MailboxIdentity)).one()
        assert "cannot be decrypted" in identity.last_error
        assert identity.next_poll_at == desk.now + timedelta(minutes=30)
