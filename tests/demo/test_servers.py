"""The embedded servers: where mail goes that is sent to them, what they refuse, and that they end."""

from __future__ import annotations

import dataclasses
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.demo.backend import ACCOUNT, PASSWORD, DemoBackend, start_servers
from tests.factories import NOW, make_raw
from webapp.demo.certificate import make_server_context
from webapp.demo.smtp_server import OutsideWorld
from webapp.mailserver.base import MailProtocol
from webapp.mailserver.connect import open_mailbox, open_transport
from webapp.mailserver.errors import AuthenticationFailed


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[DemoBackend]:
    servers, ca_file = start_servers(tmp_path)
    with servers:
        yield DemoBackend(servers, ca_file)


def test_mail_for_others_is_kept_and_counted(backend: DemoBackend, tmp_path: Path) -> None:
    raw = make_raw(subject="Your printer")
    with open_transport(backend.settings(MailProtocol.SMTP)) as transport:
        transport.open()
        transport.send(raw, sender=ACCOUNT, recipients=["ann@acme.example", "amy@acme.example"])
    assert backend.servers.outside.count == 1
    kept = (tmp_path / "sent" / "000001.eml").read_bytes()
    assert kept.endswith(raw)
    assert b"Delivered-To: amy@acme.example\r\n" in kept
    assert OutsideWorld(tmp_path / "sent").count == 1  # a restart goes on counting
    assert backend.contents() == []


def test_mail_to_the_desk_arrives_in_its_mailbox(backend: DemoBackend) -> None:
    raw = make_raw(subject="To ourselves")
    with open_transport(backend.settings(MailProtocol.SMTP)) as transport:
        transport.open()
        transport.send(raw, sender=ACCOUNT, recipients=[ACCOUNT.upper()])
    assert [(stored.raw, stored.seen) for stored in backend.contents()] == [(raw, False)]
    assert backend.servers.outside.count == 0


def test_a_wrong_password_is_refused(backend: DemoBackend) -> None:
    settings = dataclasses.replace(backend.settings(MailProtocol.SMTP), password="wröng")
    with pytest.raises(AuthenticationFailed), open_transport(settings) as transport:
        transport.open()
    imap = dataclasses.replace(backend.settings(), password="wröng")
    with pytest.raises(AuthenticationFailed), open_mailbox(imap) as mailbox:
        mailbox.open()


def test_nobody_sends_without_tls_and_a_password(backend: DemoBackend) -> None:
    context = ssl.create_default_context(cafile=backend.ca_file)
    with smtplib.SMTP("127.0.0.1", backend.servers.smtp_port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPSenderRefused, match="STARTTLS"):
            client.sendmail(ACCOUNT, ["ann@acme.example"], make_raw())
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPSenderRefused, match="Authentication"):
            client.sendmail(ACCOUNT, ["ann@acme.example"], make_raw())
    assert backend.servers.outside.count == 0


def test_a_stop_ends_connections_and_frees_the_ports(tmp_path: Path) -> None:
    servers, ca_file = start_servers(tmp_path)
    mailbox = DemoBackend(servers, ca_file).open_mailbox()
    mailbox.open()
    started = time.monotonic()
    servers.stop()
    assert time.monotonic() - started < 5
    for port in (servers.imap_port, servers.smtp_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    mailbox.close()
    servers.stop()  # again: nothing left to do


def test_the_same_ports_are_taken_again_if_they_are_free(tmp_path: Path) -> None:
    first, _ = start_servers(tmp_path)
    first.stop()
    again, _ = start_servers(tmp_path, imap_port=first.imap_port)
    other, _ = start_servers(tmp_path, imap_port=first.imap_port)
    assert again.imap_port == first.imap_port
    assert other.imap_port not in (0, first.imap_port)
    again.stop()
    other.stop()


def test_old_sent_mail_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.demo.smtp_server.KEPT", 2)
    outside = OutsideWorld(tmp_path / "sent")
    for number in range(4):
        outside.keep("a@desk.example\r\nX-Evil: 1", ["b@acme.example"], b"%d" % number)
    assert outside.count == 4
    assert sorted(path.name for path in outside.folder.iterdir()) == ["000003.eml", "000004.eml"]
    assert b"\nX-Evil" not in (outside.folder / "000004.eml").read_bytes()


def test_the_ca_file_keeps_the_authorities_that_were_trusted(tmp_path: Path) -> None:
    (tmp_path / "theirs.pem").write_text("-----THEIRS-----")
    make_server_context(tmp_path / "ca.pem", tmp_path / "theirs.pem")
    text = (tmp_path / "ca.pem").read_text()
    assert text.startswith("-----THEIRS-----\n-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.pem", "theirs.pem"]


def test_whoever_waits_with_idle_is_told_at_once(backend: DemoBackend) -> None:
    context = ssl.create_default_context(cafile=backend.ca_file)
    with IMAPClient("127.0.0.1", backend.servers.imap_port, ssl_context=context, timeout=10) as client:
        client.plain_login(ACCOUNT, PASSWORD)
        assert {b"IDLE", b"MOVE", b"UIDPLUS"} <= set(client.capabilities())
        client.select_folder("INBOX")
        client.idle()
        backend.servers.deliver(make_raw(), NOW)
        assert (1, b"EXISTS") in client.idle_check(timeout=10)
        client.idle_done()
