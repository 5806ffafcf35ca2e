"""Waiting with IDLE (RFC 2177) on servers that answer late, oddly, or not at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from tests.mailserver.contract import message
from tests.mailserver.imap_settings import against
from tests.rig.certificates import Authority
from tests.rig.dovecot import DovecotMailbox
from tests.rig.proxy import Plan, Proxy
from tests.rig.scripted import Answer, Peer, imap
from webapp.mailserver.base import TlsMode
from webapp.mailserver.errors import (
    ConnectionFailed,
    IdleNotSupported,
    MailServerError,
    ServerBusy,
    ServerTimeout,
    Stage,
)
from webapp.mailserver.imap import ImapMailbox

ABILITIES = "IMAP4rev1 AUTH=PLAIN SASL-IR MOVE IDLE"
TIMEOUT = 0.5


def never() -> bool:
    return False


def idling(*lines: str | bytes, before: tuple[str, ...] = (), then: str = "") -> Answer:
    """Enter IDLE, say these lines, wait for DONE; `then` is said before the tagged answer."""

    def answer(peer: Peer, command: str) -> None:
        tag = command.split(" ")[0]
        peer.say(*before, "+ idling")
        for line in lines:
            peer.say(line)
        assert peer.line() == "DONE"
        peer.say(*([then] if then else []), f"{tag} OK done")

    return answer


def waits(answers: dict[str, Answer], seconds: float = 1.0) -> tuple[bool, bytearray]:
    """One wait on a script; what came of it, and what the server was sent."""
    with against(imap(answers, capabilities=ABILITIES), timeout=5.0) as (server, mailbox):
        mailbox.open(read_only=True)
        return mailbox.wait_for_news(seconds, stop=never), server.received


@pytest.mark.parametrize(
    "answers",
    [
        {"IDLE": idling("* 1 EXISTS")},
        {"IDLE": idling("* 1 EXISTS", "* 1 RECENT")},
        {"IDLE": idling("* OK Still here", "* 1 EXISTS")},
        {"IDLE": idling(before=("* 1 EXISTS",))},
        {"IDLE": idling("* 3 EXISTS", "* 1 EXPUNGE", "* 1 EXPUNGE")},
        {"NOOP": ["* 1 EXISTS", "{tag} OK done"], "IDLE": None},
        {"NOOP": ["* 2 EXISTS", "* 1 EXPUNGE", "{tag} OK done"], "IDLE": None},
    ],
)
def test_news(answers: dict[str, Answer]) -> None:
    news, _ = waits(answers, 60.0)
    assert news


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("* OK Still here",),
        ("* 0 EXISTS",),
        ("* 0 RECENT",),
        ("* 3 FETCH (FLAGS (\\Seen))",),
        ("+ still",),
    ],
)
def test_no_news(lines: tuple[str, ...]) -> None:
    started = time.monotonic()
    news, _ = waits({"IDLE": idling(*lines)})
    assert not news
    assert time.monotonic() - started >= 1.0


def test_the_same_count_again_is_no_news() -> None:
    """Some servers repeat themselves; and a smaller inbox is none either."""
    select = ["* 3 EXISTS", "* OK [UIDVALIDITY 7] ok", "{tag} OK [READ-ONLY] x"]
    lines = ("* 3 EXISTS", "* 2 EXPUNGE", "* 2 EXISTS")
    assert waits({"EXAMINE": select, "IDLE": idling(*lines)}, 0.3)[0] is False


def test_news_in_the_last_moment() -> None:
    """The server tells it only when the wait is over."""
    news, _ = waits({"IDLE": idling(then="* 1 EXISTS")}, 0.2)
    assert news


def test_the_inbox_is_only_looked_at() -> None:
    _, received = waits({"IDLE": idling("* 1 EXISTS")})
    assert b"EXAMINE" in received
    assert b"SELECT" not in received
    assert received.count(b"IDLE\r\n") == received.count(b"DONE\r\n") == 1


def test_the_count_is_kept_from_wait_to_wait() -> None:
    """Two leave and one comes: fewer than before, and still news."""
    rounds = iter(
        [
            idling("* 2 EXISTS"),
            idling("* 2 EXPUNGE", "* 1 EXPUNGE"),
            idling("* 1 EXISTS", then="* 1 EXPUNGE"),
            idling("* 1 EXISTS"),
        ]
    )

    def answer(peer: Peer, command: str) -> None:
        act = next(rounds)
        assert callable(act)
        act(peer, command)

    with against(imap({"IDLE": answer}, capabilities=ABILITIES)) as (_, mailbox):
        mailbox.open()
        told = [mailbox.wait_for_news(0.5, stop=never) for _ in range(4)]
    assert told == [True, False, True, True]


# Servers without it.


def test_without_the_capability_nothing_is_asked() -> None:
    with against(imap(capabilities="IMAP4rev1 AUTH=PLAIN MOVE")) as (server, mailbox):
        mailbox.open(read_only=True)
        with pytest.raises(IdleNotSupported):
            mailbox.wait_for_news(60, stop=never)
        with pytest.raises(ConnectionFailed):
            mailbox.list_unread()
    assert b"IDLE" not in server.received


def test_the_capability_counts_after_signing_in() -> None:
    """Before it, servers tell less, or more than they keep."""
    signed_in = threading.Event()

    def sign_in(peer: Peer, command: str) -> None:
        signed_in.set()
        peer.say(f"{command.split(' ')[0]} OK signed in")

    def capability(peer: Peer, command: str) -> None:
        abilities = "MOVE" if signed_in.is_set() else "AUTH=PLAIN SASL-IR IDLE"
        peer.say(f"* CAPABILITY IMAP4rev1 {abilities}", f"{command.split(' ')[0]} OK done")

    with against(imap({"CAPABILITY": capability, "AUTHENTICATE": sign_in})) as (server, mailbox):
        mailbox.open(read_only=True)
        with pytest.raises(IdleNotSupported):
            mailbox.wait_for_news(60, stop=never)
    assert b"IDLE" not in server.received


@pytest.mark.parametrize("status", ["NO", "BAD"])
def test_a_server_that_refuses(status: str) -> None:
    script = imap({"IDLE": [f"{{tag}} {status} not today"]}, capabilities=ABILITIES)
    with against(script) as (_, mailbox):
        mailbox.open(read_only=True)
        with pytest.raises(IdleNotSupported):
            mailbox.wait_for_news(60, stop=never)


def test_a_server_that_is_busy() -> None:
    """That is no reason to give up waiting for good."""
    script = imap({"IDLE": ["{tag} NO [UNAVAILABLE] later"]}, capabilities=ABILITIES)
    with against(script) as (_, mailbox):
        mailbox.open(read_only=True)
        with pytest.raises(ServerBusy):
            mailbox.wait_for_news(60, stop=never)


# The server goes away.


def _ends(peer: Peer, command: str) -> None:
    peer.say("+ idling")
    time.sleep(0.2)
    peer.sock.close()


def _resets(peer: Peer, command: str) -> None:
    peer.say("+ idling")
    time.sleep(0.2)
    peer.reset()


def _says_goodbye(peer: Peer, command: str) -> None:
    peer.say("+ idling", "* BYE time is up")
    peer.hang()


def _leaves_idle(peer: Peer, command: str) -> None:
    peer.say("+ idling", f"{command.split(' ')[0]} OK idle ended")
    peer.hang()


@pytest.mark.parametrize("how", [_ends, _resets, _says_goodbye, _leaves_idle])
@pytest.mark.parametrize("tls_mode", [TlsMode.NONE, TlsMode.STARTTLS])
def test_the_server_goes_away(
    authority: Authority, tls_mode: TlsMode, how: Callable[[Peer, str], None]
) -> None:
    script = imap({"IDLE": how}, capabilities=f"{ABILITIES} STARTTLS")
    with against(
        script,
        tls=authority.good.server_context(),
        tls_mode=tls_mode,
        ca_file=str(authority.ca_file),
        timeout=TIMEOUT,
    ) as (_, mailbox):
        mailbox.open(read_only=True)
        started = time.monotonic()
        with pytest.raises(ConnectionFailed) as caught:
            mailbox.wait_for_news(60, stop=never)
        assert time.monotonic() - started < 20
        assert caught.value.stage is Stage.INBOX
        with pytest.raises(ConnectionFailed):
            mailbox.list_unread()


@pytest.mark.dovecot
@pytest.mark.parametrize("tls_mode", [TlsMode.NONE, TlsMode.IMPLICIT])
def test_silence_is_no_failure_but_no_answer_to_done_is(mailbox: DovecotMailbox, tls_mode: TlsMode) -> None:
    """The wait is three times the timeout; what is said after it has the timeout again."""
    target = mailbox.server.tls_port if tls_mode is TlsMode.IMPLICIT else mailbox.server.port
    plan = Plan()
    with Proxy(target, plan) as proxy:
        settings = mailbox.settings(tls_mode, port=proxy.port, timeout=TIMEOUT)
        with ImapMailbox(settings) as imap_mailbox:
            imap_mailbox.open(read_only=True)
            assert imap_mailbox.wait_for_news(3 * TIMEOUT, stop=never) is False

            def go_silent() -> None:
                plan.silent_after = 0

            threading.Timer(TIMEOUT, go_silent).start()
            threading.Timer(2 * TIMEOUT, mailbox.deliver, [message()]).start()
            started = time.monotonic()
            with pytest.raises(ServerTimeout) as caught:
                imap_mailbox.wait_for_news(3 * TIMEOUT, stop=never)
            assert 4 * TIMEOUT <= time.monotonic() - started < 4 * TIMEOUT + 5
    assert caught.value.stage is Stage.INBOX


@pytest.mark.parametrize("end", [b"", b"no line end"])
def test_half_a_line_does_not_hold_the_wait(end: bytes) -> None:
    def answer(peer: Peer, command: str) -> None:
        peer.say("+ idling")
        peer.sock.sendall(b"* 1 EXI" + end)
        peer.hang()

    with against(imap({"IDLE": answer}, capabilities=ABILITIES), timeout=TIMEOUT) as (_, mailbox):
        mailbox.open(read_only=True)
        started = time.monotonic()
        with pytest.raises(ServerTimeout):
            mailbox.wait_for_news(60, stop=never)
        assert TIMEOUT <= time.monotonic() - started < TIMEOUT + 5


def test_no_continuation() -> None:
    with against(imap({"IDLE": None}, capabilities=ABILITIES), timeout=TIMEOUT) as (_, mailbox):
        mailbox.open(read_only=True)
        with pytest.raises(ServerTimeout):
            mailbox.wait_for_news(60, stop=never)


def test_the_line_is_cut_from_another_thread() -> None:
    with against(imap({"IDLE": idling()}, capabilities=ABILITIES)) as (_, mailbox):
        mailbox.open(read_only=True)
        threading.Timer(0.2, mailbox.session.line.abort).start()
        started = time.monotonic()
        with pytest.raises(MailServerError):
            mailbox.wait_for_news(60, stop=never)
        assert time.monotonic() - started < 5


def test_a_peer_without_a_word_is_asked_by_the_system() -> None:
    """Nothing is sent in IDLE: TCP itself finds out whether the other end is still there."""
    with against(imap()) as (_, mailbox):
        mailbox.open()
        sock = mailbox.session.line._opened()[0]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
