"""ImapMailbox and a network that fails: a real Dovecot behind a proxy that spoils things."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.mailserver.contract import message
from tests.mailserver.imap_settings import against, settings
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from tests.rig.proxy import Plan, Proxy
from tests.rig.scripted import Peer, imap
from tests.rig.silence import nobody_answers
from webapp.mailserver.base import TlsMode
from webapp.mailserver.errors import ConnectionFailed, MailServerError, ServerTimeout, Stage
from webapp.mailserver.imap import ImapMailbox

TIMEOUT = 1.0


@contextmanager
def takes(at_least: float, *, at_most: float = 5.0) -> Iterator[None]:
    """Never earlier than the deadline, and not long after it."""
    started = time.monotonic()
    yield
    elapsed = time.monotonic() - started
    assert at_least <= elapsed < at_least + at_most


def proxied(mailbox: DovecotMailbox, proxy: Proxy, tls_mode: TlsMode = TlsMode.NONE) -> ImapMailbox:
    return ImapMailbox(mailbox.settings(tls_mode, port=proxy.port, timeout=TIMEOUT))


def _poll(mailbox: ImapMailbox) -> None:
    mailbox.open()
    mailbox.list_unread()
    mailbox.find_archive()
    list(mailbox.fetch(["1"]))


# Black holes.


def test_nobody_answers_the_connection() -> None:
    with nobody_answers() as port, takes(TIMEOUT), pytest.raises(ServerTimeout) as caught:
        ImapMailbox(settings(port, host="127.0.0.1", timeout=TIMEOUT)).open()
    assert caught.value.stage is Stage.CONNECT


@pytest.mark.parametrize(
    ("tls_mode", "stage"),
    [(TlsMode.NONE, Stage.GREETING), (TlsMode.STARTTLS, Stage.GREETING), (TlsMode.IMPLICIT, Stage.TLS)],
)
def test_silence_from_the_start(authority: Authority, tls_mode: TlsMode, stage: Stage) -> None:
    with (
        against(Peer.hang, tls_mode=tls_mode, timeout=TIMEOUT, ca_file=str(authority.ca_file)) as (
            _,
            mailbox,
        ),
        takes(TIMEOUT),
        pytest.raises(ServerTimeout) as caught,
    ):
        mailbox.open()
    assert caught.value.stage is stage


@pytest.mark.parametrize(
    ("silent", "stage"),
    [
        ("CAPABILITY", Stage.GREETING),
        ("AUTHENTICATE", Stage.SIGN_IN),
        ("SELECT", Stage.INBOX),
        ("UID SEARCH", Stage.INBOX),
        ("LIST", Stage.ARCHIVE),
        ("UID FETCH", Stage.FETCH),
    ],
)
def test_silence_after_a_command(silent: str, stage: Stage) -> None:
    with (
        against(imap({silent: None}), timeout=TIMEOUT) as (_, mailbox),
        takes(TIMEOUT),
        pytest.raises(ServerTimeout) as caught,
    ):
        _poll(mailbox)
    assert caught.value.stage is stage
    with pytest.raises(ConnectionFailed):
        mailbox.list_unread()


def _drips(peer: Peer, command: str) -> None:
    peer.drip(b"* OK wait a little\r\n", 0.05)


@pytest.mark.parametrize(
    ("dripping", "stage"),
    [
        ("CAPABILITY", Stage.GREETING),
        ("AUTHENTICATE", Stage.SIGN_IN),
        ("SELECT", Stage.INBOX),
        ("LIST", Stage.ARCHIVE),
        ("UID FETCH", Stage.FETCH),
    ],
)
def test_a_drip_after_a_command(dripping: str, stage: Stage) -> None:
    with (
        against(imap({dripping: _drips}), timeout=TIMEOUT) as (_, mailbox),
        takes(TIMEOUT),
        pytest.raises(ServerTimeout) as caught,
    ):
        _poll(mailbox)
    assert caught.value.stage is stage


@pytest.mark.parametrize("drips", [True, False])
def test_no_answer_to_starttls(authority: Authority, drips: bool) -> None:
    script = imap({"STARTTLS": _drips if drips else None}, capabilities="IMAP4rev1 STARTTLS AUTH=PLAIN MOVE")
    with (
        against(script, tls_mode=TlsMode.STARTTLS, timeout=TIMEOUT, ca_file=str(authority.ca_file)) as (
            server,
            mailbox,
        ),
        takes(TIMEOUT),
        pytest.raises(ServerTimeout) as caught,
    ):
        mailbox.open()
    assert caught.value.stage is Stage.TLS
    assert b"AUTHENTICATE" not in server.received


def test_silence_after_starttls(authority: Authority) -> None:
    def starttls(peer: Peer, command: str) -> None:
        peer.say(f"{command.split(' ')[0]} OK begin")
        peer.hang()

    script = imap({"STARTTLS": starttls}, capabilities="IMAP4rev1 STARTTLS")
    with (
        against(script, tls_mode=TlsMode.STARTTLS, timeout=TIMEOUT, ca_file=str(authority.ca_file)) as (
            _,
            mailbox,
        ),
        takes(TIMEOUT),
        pytest.raises(ServerTimeout) as caught,
    ):
        mailbox.open()
    assert caught.value.stage is Stage.TLS


@pytest.mark.dovecot
@pytest.mark.parametrize("tls_mode", [TlsMode.NONE, TlsMode.STARTTLS, TlsMode.IMPLICIT])
@pytest.mark.parametrize("spoil", ["silent_after", "drip_after"])
def test_silence_or_a_drip_in_the_middle_of_a_message(
    mailbox: DovecotMailbox, tls_mode: TlsMode, spoil: str
) -> None:
    keys = [mailbox.deliver(message(str(n), "x" * 50_000)) for n in range(3)]
    target = mailbox.server.tls_port if tls_mode is TlsMode.IMPLICIT else mailbox.server.port
    plan = Plan(drip_interval=0.05)
    with Proxy(target, plan) as proxy, proxied(mailbox, proxy, tls_mode) as imap_mailbox:
        imap_mailbox.open()
        setattr(plan, spoil, len(proxy.from_server) + 60_000)
        received = []
        with takes(TIMEOUT), pytest.raises(ServerTimeout) as caught:
            received += list(imap_mailbox.fetch(keys))
    assert received == []
    assert caught.value.stage is Stage.FETCH
    assert not any(m.seen for m in mailbox.contents())


def test_a_dripping_greeting() -> None:
    with (
        against(lambda peer: peer.drip(b"* OK hello ", 0.05), timeout=TIMEOUT) as (_, mailbox),
        takes(TIMEOUT, at_most=1.0),
        pytest.raises(ServerTimeout) as caught,
    ):
        mailbox.open()
    assert caught.value.stage is Stage.GREETING


def test_a_dripping_handshake(authority: Authority) -> None:
    """A TLS record of 16,000 octets was announced; it never ends."""
    with (
        against(
            lambda peer: peer.drip(b"\x16\x03\x03\x3e\x80" + b"\x02" * 1000, 0.02),
            tls_mode=TlsMode.IMPLICIT,
            timeout=TIMEOUT,
            ca_file=str(authority.ca_file),
        ) as (_, mailbox),
        takes(TIMEOUT, at_most=1.0),
        pytest.raises(ServerTimeout) as caught,
    ):
        mailbox.open()
    assert caught.value.stage is Stage.TLS


def test_untagged_chatter_without_end() -> None:
    """Whole lines, one after the other, but never the answer."""

    def chatter(peer: Peer, command: str) -> None:
        while True:
            peer.say("* OK still searching")
            time.sleep(0.05)

    with (
        against(imap({"UID SEARCH": chatter}), timeout=TIMEOUT) as (_, mailbox),
        takes(TIMEOUT, at_most=1.0),
        pytest.raises(ServerTimeout),
    ):
        _poll(mailbox)


@pytest.mark.dovecot
def test_a_slow_line_that_moves_is_let_be(mailbox: DovecotMailbox) -> None:
    """400 KB at about 130 KB/s take three times the timeout."""
    raw = message("slow", "x" * 400_000)
    key = mailbox.deliver(raw)
    plan = Plan()
    with Proxy(mailbox.server.port, plan) as proxy, proxied(mailbox, proxy) as imap_mailbox:
        imap_mailbox.open()
        plan.piece, plan.delay = 8 * 1024, 0.06
        with takes(2 * TIMEOUT, at_most=10):
            assert [m.raw for m in imap_mailbox.fetch([key])] == [raw]


# Cuts.


@pytest.mark.dovecot
@pytest.mark.parametrize("tls_mode", [TlsMode.NONE, TlsMode.IMPLICIT])
@pytest.mark.parametrize("how", ["cut_after", "reset_after", "half_close_after"])
def test_no_part_of_a_message_is_taken_for_it(mailbox: DovecotMailbox, tls_mode: TlsMode, how: str) -> None:
    """The connection ends after any octet of the answer: every message or an error, never less."""
    raws = [message(str(n), f"line {n}\r\n" * 40) for n in range(4)]
    keys = [mailbox.deliver(raw) for raw in raws]
    target = mailbox.server.tls_port if tls_mode is TlsMode.IMPLICIT else mailbox.server.port
    length = _length_of_answer(mailbox, target, tls_mode, keys)
    cuts = random.Random(how).sample(range(length), 40)
    for cut in sorted(cuts):
        plan = Plan()
        with Proxy(target, plan) as proxy, proxied(mailbox, proxy, tls_mode) as imap_mailbox:
            imap_mailbox.open()
            setattr(plan, how, len(proxy.from_server) + cut)
            received: list[bytes] = []
            with pytest.raises(MailServerError) as caught:
                received += [m.raw for m in imap_mailbox.fetch(keys)]
            assert received == []
            assert caught.value.stage is Stage.FETCH
            assert not caught.value.permanent
    assert not any(m.seen for m in mailbox.contents())


def _length_of_answer(mailbox: DovecotMailbox, target: int, tls_mode: TlsMode, keys: list[str]) -> int:
    with Proxy(target) as proxy, proxied(mailbox, proxy, tls_mode) as imap_mailbox:
        imap_mailbox.open()
        before = len(proxy.from_server)
        assert len(list(imap_mailbox.fetch(keys))) == len(keys)
        return len(proxy.from_server) - before - 30  # its last line ends differently each time


@pytest.mark.dovecot
def test_the_reply_of_a_move_is_lost(mailbox: DovecotMailbox) -> None:
    """The next session finds out by looking whether the message is in the inbox."""
    key = mailbox.deliver(message())
    mailbox.create("Archive")
    with Proxy(mailbox.server.port, Plan(silent_when=b" UID MOVE ")) as proxy:
        imap_mailbox = proxied(mailbox, proxy)
        imap_mailbox.open()
        with pytest.raises(ServerTimeout) as caught:
            imap_mailbox.move([key], "Archive")
    assert caught.value.stage is Stage.MOVE
    with ImapMailbox(mailbox.settings()) as imap_mailbox:
        imap_mailbox.open()
        assert imap_mailbox.still_in_inbox([key]) == frozenset()
    assert len(mailbox.contents("Archive")) == 1


# Closing.


@pytest.mark.parametrize(
    "answer", [None, lambda peer, command: peer.drip(b"* BYE "), lambda peer, command: peer.reset()]
)
def test_closing_never_raises_and_never_lasts(answer: Callable[[Peer, str], None] | None) -> None:
    with against(imap({"LOGOUT": answer})) as (server, mailbox):
        mailbox.open()
        started = time.monotonic()
        mailbox.close()
        assert time.monotonic() - started < 4
        assert b"LOGOUT" in server.received


def test_no_logout_on_a_broken_connection() -> None:
    with against(imap({"UID SEARCH": ["what?"]})) as (server, mailbox):
        mailbox.open()
        with pytest.raises(MailServerError):
            mailbox.list_unread()
        mailbox.close()
        assert b"LOGOUT" not in server.received
