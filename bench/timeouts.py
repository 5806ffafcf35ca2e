"""How exactly the timeout of 1,500 ms is kept: `python -m bench.timeouts` (a minute).

A server falls silent, or sends one octet every 50 ms, at each phase of a conversation over IMAP and SMTP.
Exit status 1 where one of them did not end within half a second of the timeout.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rig.certificates import Authority
from tests.rig.scripted import Peer, Script, ScriptedServer, imap, smtp
from tests.rig.silence import nobody_answers
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.errors import MailServerError
from webapp.mailserver.imap import ImapMailbox
from webapp.mailserver.smtp import SmtpTransport

TIMEOUT, TOLERANCE = 1.5, 0.5
ADDRESS = "desk@example.com"
ABILITIES = "IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR MOVE NAMESPACE"
IMAP, SMTP = MailProtocol.IMAP, MailProtocol.SMTP

Spoil = Callable[[Peer], None]


def silence(peer: Peer) -> None:
    peer.hang()
    raise EOFError


def drip(peer: Peer) -> None:
    peer.drip(b"* 1 x", 0.05)


def drip_a_record(peer: Peer) -> None:
    """A TLS record of 16,000 octets is announced."""
    peer.drip(b"\x16\x03\x03\x3e\x80" + b"\x02" * 1000, 0.05)


def main() -> int:
    late = 0
    print(f"{'':5} {'phase':24} {'how':8} {'seconds':>7}  ended as")
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        for name, how, protocol, tls_mode, script in cases():
            with serving(script, authority) as port:
                seconds, error = measure(protocol, port, tls_mode, str(authority.ca_file))
            in_time = TIMEOUT <= seconds <= TIMEOUT + TOLERANCE
            late += not in_time
            print(
                f"{protocol:5} {name:24} {how:8} {seconds:7.3f}  {error}{'' if in_time else '  NOT IN TIME'}"
            )
    print(f"{late} not within {TOLERANCE} s of the timeout of {TIMEOUT} s")
    return 1 if late else 0


Case = tuple[str, str, MailProtocol, TlsMode, Script | None]


def cases() -> Iterator[Case]:
    for protocol in (IMAP, SMTP):
        yield "connect", "silence", protocol, TlsMode.NONE, None
    spoils: dict[str, Spoil] = {"silence": silence, "drip": drip}
    for how, spoil in spoils.items():
        for protocol in (IMAP, SMTP):
            yield "greeting", how, protocol, TlsMode.NONE, spoil
            handshake = drip_a_record if spoil is drip else spoil
            yield "TLS handshake", how, protocol, TlsMode.IMPLICIT, handshake
        yield from _imap_cases(how, spoil)
        yield from _smtp_cases(how, spoil)


def _imap_cases(how: str, spoil: Spoil) -> Iterator[Case]:
    def answer(peer: Peer, command: str) -> None:
        spoil(peer)

    def no_handshake(peer: Peer, command: str) -> None:
        peer.say(f"{command.split(' ')[0]} OK begin")
        (drip_a_record if spoil is drip else spoil)(peer)

    def half_a_message(peer: Peer, command: str) -> None:
        peer.say("* 1 FETCH (UID 1 BODY[] {100000}", "half a message")
        spoil(peer)

    for name, command in (("STARTTLS answer", answer), ("TLS after STARTTLS", no_handshake)):
        yield name, how, IMAP, TlsMode.STARTTLS, imap({"STARTTLS": command}, capabilities=ABILITIES)
    for name, key in (("sign-in", "AUTHENTICATE"), ("after LOGIN (SELECT)", "SELECT")):
        yield name, how, IMAP, TlsMode.NONE, imap({key: answer})
    yield "mid-FETCH", how, IMAP, TlsMode.NONE, imap({"UID FETCH": half_a_message})


def _smtp_cases(how: str, spoil: Spoil) -> Iterator[Case]:
    def answer(peer: Peer, command: str) -> None:
        spoil(peer)

    def no_handshake(peer: Peer, command: str) -> None:
        peer.say("220 2.0.0 begin")
        (drip_a_record if spoil is drip else spoil)(peer)

    def after_the_dot(peer: Peer, command: str) -> None:
        peer.say("354 go on")
        while peer.line() != ".":
            pass
        spoil(peer)

    for name, command in (("STARTTLS answer", answer), ("TLS after STARTTLS", no_handshake)):
        yield name, how, SMTP, TlsMode.STARTTLS, smtp({"STARTTLS": command})
    for name, key in (("sign-in", "AUTH"), ("after AUTH (MAIL)", "MAIL")):
        yield name, how, SMTP, TlsMode.NONE, smtp({key: answer})
    yield "after the final dot", how, SMTP, TlsMode.NONE, smtp({"DATA": after_the_dot})


@contextmanager
def serving(script: Script | None, authority: Authority) -> Iterator[int]:
    """The port of a server with this script; None: nobody answers there."""
    if script is None:
        with nobody_answers() as port:
            yield port
    else:
        with ScriptedServer(script, tls=authority.good.server_context()) as server:
            yield server.port


def measure(protocol: MailProtocol, port: int, tls_mode: TlsMode, ca_file: str) -> tuple[float, str]:
    """Wall seconds until the conversation failed, the few milliseconds before the spoilt phase included."""
    settings = ServerSettings(
        protocol=protocol,
        host="127.0.0.1",
        port=port,
        tls_mode=tls_mode,
        timeout=TIMEOUT,
        username=ADDRESS,
        password="secret",  # noqa: S106
        from_address=ADDRESS,
        ca_file=ca_file,
    )
    started = time.monotonic()
    try:
        converse(settings)
    except MailServerError as error:
        return time.monotonic() - started, f"{type(error).__name__} at {error.stage}"
    return time.monotonic() - started, "success"


def converse(settings: ServerSettings) -> None:
    """As a poll, or as sending a message; closing costs nothing after a failure."""
    if settings.protocol is IMAP:
        with ImapMailbox(settings) as mailbox:
            mailbox.open()
            list(mailbox.fetch(["1"]))
    else:
        with SmtpTransport(settings) as transport:
            transport.open()
            transport.send(b"Subject: Hello\r\n\r\nHello\r\n", sender=ADDRESS, recipients=[ADDRESS])


if __name__ == "__main__":
    sys.exit(main())
