"""What becomes of a message: sent, refused, or nobody knows; and what never reaches the wire."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.mailserver.contract import DESK, message
from tests.mailserver.smtp_settings import against, scripted
from tests.rig.scripted import Answer, Peer, ScriptedServer, smtp, smtp_data
from tests.rig.smtp import SmtpServer
from webapp.mailserver.errors import (
    ConnectionFailed,
    InvalidSettings,
    MailServerError,
    MessageRefused,
    SenderRefused,
    ServerBusy,
    ServerTimeout,
    Stage,
    UnexpectedServer,
)
from webapp.mailserver.smtp import SmtpTransport

ANNA = "anna@example.net"


# What became of a message.


def _hang_up(peer: Peer, command: str) -> None:
    raise EOFError


def _take_all(peer: Peer) -> None:
    peer.say("354 go on")
    while peer.line() != ".":
        pass


def _hang_up_after_dot(peer: Peer, command: str) -> None:
    _take_all(peer)
    raise EOFError


def _silent_after_dot(peer: Peer, command: str) -> None:
    _take_all(peer)
    peer.hang()


def _hang_up_in_data(peer: Peer, command: str) -> None:
    peer.say("354 go on")
    peer.line()
    peer.reset()
    raise EOFError


@pytest.mark.parametrize(
    ("answers", "failure", "uncertain"),
    [
        ({"MAIL": _hang_up}, ConnectionFailed, False),
        ({"MAIL": None}, ServerTimeout, False),
        ({"RCPT": _hang_up}, ConnectionFailed, False),
        ({"RCPT": ["421 4.3.2 closing"]}, ServerBusy, False),
        ({"DATA": _hang_up}, ConnectionFailed, False),
        ({"DATA": ["451 4.3.0 not now"]}, ServerBusy, False),
        ({"DATA": ["554 5.7.1 no"]}, MessageRefused, False),
        ({"DATA": _hang_up_in_data}, ConnectionFailed, False),
        ({"DATA": smtp_data("451 4.3.0 not now")}, ServerBusy, False),
        ({"DATA": smtp_data("552 5.3.4 too large")}, MessageRefused, False),
        ({"DATA": _hang_up_after_dot}, ConnectionFailed, True),
        ({"DATA": _silent_after_dot}, ServerTimeout, True),
        ({"DATA": smtp_data("what?")}, UnexpectedServer, True),
    ],
)
def test_outcomes(answers: dict[str, Answer], failure: type[MailServerError], uncertain: bool) -> None:
    raw = message("long", "x" * 70 + "\r\n") * 20_000  # more than the socket's buffers hold
    with against(smtp(answers, extensions=["AUTH PLAIN"]), timeout=0.5) as (_server, transport):
        transport.open()
        with pytest.raises(failure) as caught:
            transport.send(raw, sender=DESK, recipients=[ANNA])
        assert type(caught.value) is failure
        assert caught.value.stage is Stage.SEND
        assert caught.value.uncertain is uncertain
        with pytest.raises(ConnectionFailed):
            transport.send(raw, sender=DESK, recipients=[ANNA])


def test_too_large_is_known_before_it_is_sent() -> None:
    with against(smtp(extensions=["AUTH PLAIN", "SIZE 1000"])) as (server, transport):
        transport.open()
        with pytest.raises(MessageRefused):
            transport.send(message("big", "x" * 1000), sender=DESK, recipients=[ANNA])
    assert b"MAIL" not in server.received


def test_line_ends_cannot_smuggle_a_message(smtp_server: SmtpServer) -> None:
    raw = message("smuggle", "one\n.\nMAIL FROM:<x@y>\r.\r\nend\n")
    with SmtpTransport(smtp_server.settings()) as transport:
        transport.open()
        transport.send(raw, sender=DESK, recipients=[ANNA])
    (received,) = smtp_server.messages
    assert received.raw == message("smuggle", "one\r\n.\r\nMAIL FROM:<x@y>\r\n.\r\nend\r\n")


def test_international_addresses(smtp_server: SmtpServer) -> None:
    with SmtpTransport(smtp_server.settings()) as transport:
        transport.open()
        result = transport.send(message("Grüße"), sender=DESK, recipients=["ö@bücher.example"])
    assert result.accepted == {"ö@bücher.example"}
    (received,) = smtp_server.messages
    assert "SMTPUTF8" in received.options
    assert "BODY=8BITMIME" in received.options
    assert received.recipients == ["ö@bücher.example"]


def test_international_addresses_on_an_old_server() -> None:
    with against(smtp(extensions=["AUTH PLAIN"])) as (server, transport):
        transport.open()
        result = transport.send(message(), sender=DESK, recipients=["ö@example.net", "o@bücher.example"])
    assert result.accepted == {"o@bücher.example"}
    assert list(result.refused) == ["ö@example.net"]
    assert b"RCPT TO:<o@xn--bcher-kva.example>" in server.received


@pytest.mark.parametrize("address", ["a@b\r\nRCPT TO:<x@y>", "a@b> SIZE=1", "a b@c", "a\0@b"])
def test_addresses_cannot_carry_commands(address: str) -> None:
    with against(smtp()) as (server, transport):
        transport.open()
        result = transport.send(message(), sender=DESK, recipients=[address, ANNA])
        assert result.accepted == {ANNA}
        with pytest.raises(SenderRefused):
            transport.check_sender(address)
    assert server.received.count(b"RCPT") == 1
    assert server.received.count(b"MAIL") == 1


@pytest.mark.parametrize("field", ["host", "username", "password"])
def test_control_characters_never_reach_the_wire(field: str) -> None:
    changes: dict[str, Any] = {field: "a\r\nQUIT"}
    with (
        against(smtp(), **changes) as (server, transport),
        pytest.raises(InvalidSettings) as caught,
    ):
        transport.open()
    assert caught.value.field == field
    assert server.connections == 0


def test_a_drip_is_ended() -> None:
    def drip(peer: Peer) -> None:
        peer.drip(b"220-still thinking\r\n", 0.05)

    with ScriptedServer(drip) as server:
        started = time.monotonic()
        with SmtpTransport(scripted(server, timeout=1.0)) as transport, pytest.raises(ServerTimeout):
            transport.open()
    assert 1.0 <= time.monotonic() - started < 3.0


# Before the final dot.


def _refuse_bob(peer: Peer, command: str) -> None:
    peer.say("550 5.1.1 no such user" if "bob" in command else "250 ok")


def test_who_is_accepted_is_told_before_the_final_dot() -> None:
    seen: list[tuple[frozenset[str], bytes]] = []
    with against(smtp({"RCPT": _refuse_bob}, extensions=["AUTH PLAIN"])) as (server, transport):
        transport.open()

        def look(accepted: frozenset[str]) -> None:
            time.sleep(0.2)  # what was sent until now has come
            seen.append((accepted, bytes(server.received)))

        transport.send(
            message("hook", "text"), sender=DESK, recipients=[ANNA, "bob@example.net"], before_final_dot=look
        )
    ((accepted, received),) = seen
    assert accepted == {ANNA}
    assert received.endswith(b"text\r\n")
    assert b"\r\n.\r\n" in server.received


def test_what_the_hook_raises_ends_the_connection_without_the_dot() -> None:
    class Lost(Exception):
        pass

    def lose(_accepted: frozenset[str]) -> None:
        raise Lost

    with against(smtp(extensions=["AUTH PLAIN"])) as (server, transport):
        transport.open()
        with pytest.raises(Lost):
            transport.send(message("hook", "text"), sender=DESK, recipients=[ANNA], before_final_dot=lose)
        with pytest.raises(ConnectionFailed):
            transport.send(message("hook", "text"), sender=DESK, recipients=[ANNA])
        time.sleep(0.2)
    assert b"\r\n.\r\n" not in server.received


def test_the_time_of_the_hook_is_not_the_servers() -> None:
    with against(smtp(extensions=["AUTH PLAIN"]), timeout=0.5) as (_server, transport):
        transport.open()
        result = transport.send(
            message("hook", "text"),
            sender=DESK,
            recipients=[ANNA],
            before_final_dot=lambda _accepted: time.sleep(1.0),
        )
    assert result.accepted == {ANNA}


def test_cut_off_in_the_hook_is_certain_not_to_have_been_sent() -> None:
    with against(smtp(extensions=["AUTH PLAIN"])) as (server, transport):
        transport.open()
        with pytest.raises(ConnectionFailed) as caught:
            transport.send(
                message("hook", "text"),
                sender=DESK,
                recipients=[ANNA],
                before_final_dot=lambda _accepted: transport.abort(),
            )
        assert not caught.value.uncertain
        time.sleep(0.2)
    assert b"\r\n.\r\n" not in server.received
