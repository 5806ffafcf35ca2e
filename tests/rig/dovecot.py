"""A real Dovecot on free loopback ports, with its own configuration in a temporary folder.

`DovecotServer.start(...)` runs one; `DovecotServer.mailbox()` makes a mailbox nobody else uses. What is in
a mailbox is read with plain imaplib by `Inspector`, never with the adapter that is being tested.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import grp
import imaplib
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.rig.certificates import ServerCertificate
from tests.rig.inspector import Inspector, MessageState
from tests.rig.ports import free_ports
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode

PASSWORD = 'correct horse äöü "battery" \\staple'
START_SECONDS = 15.0
_MAIL_UID = 65534  # Dovecot refuses to keep mail as root

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
default_internal_user = {internal_user}
default_internal_group = {internal_group}
default_login_user = {login_user}
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
mailbox_list_index = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_username_chars =
auth_cache_size = 0
mail_max_userip_connections = 200
ssl = yes
ssl_cert = <{chain_file}
ssl_key = <{key_file}
passdb {{
  driver = static
  args = password={{PLAIN.b64}}{password}
}}
userdb {{
  driver = static
  args = uid={mail_uid} gid={mail_gid} home={folder}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
  mailbox Trash {{
    special_use = \\Trash
  }}
  mailbox Junk {{
    special_use = \\Junk
  }}
  {mailboxes}
}}
service imap-login {{
  {chroot}
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service imap {{
  process_min_avail = 1
  service_count = 100
}}
service anvil {{
  {chroot}
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@example.com
}}
{extra}
"""


@dataclass(slots=True)
class DovecotServer:
    """A running Dovecot. `port` speaks plain IMAP and STARTTLS, `tls_port` TLS from the start."""

    folder: Path
    port: int
    tls_port: int
    lmtp_port: int
    ca_file: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @classmethod
    def start(
        cls,
        folder: Path,
        certificate: ServerCertificate,
        ca_file: Path,
        *,
        prefix: str = "",
        separator: str = "/",
        mailboxes: str = "",
        extra: str = "",
    ) -> DovecotServer:
        """Start one and wait until it answers. `mailboxes` and `extra` go into its configuration.

        `folder` must be below folders that anybody may pass through: not one of pytest's, which each new
        run of pytest closes to others again.
        """
        ports = free_ports(3)
        _make_folders(folder)
        configuration = folder / "dovecot.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                chain_file=certificate.chain_file,
                key_file=certificate.key_file,
                prefix=prefix,
                separator=separator,
                mailboxes=mailboxes,
                extra=extra,
                imap_port=ports[0],
                imaps_port=ports[1],
                lmtp_port=ports[2],
                password=base64.b64encode(PASSWORD.encode()).decode("ascii"),
                **_users(),
            )
        )
        # The output goes to a file: a daemon would keep a pipe open. Its own session, so that no signal
        # meant for the tests reaches it; it is ended by its pid, or with the process that started it.
        with (folder / "output.log").open("wb") as output:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", _program(), "-F", "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        server = cls(folder, ports[0], ports[1], ports[2], ca_file, process)
        server._wait()
        return server

    def mailbox(self, user: str = "") -> DovecotMailbox:
        """A fresh, empty mailbox."""
        return DovecotMailbox(self, user or f"u{uuid.uuid4().hex[:12]}@example.com")

    def ask_to_stop(self) -> None:
        """Ending takes a second; several end together when all are asked first."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        self.ask_to_stop()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def log(self) -> str:
        """What Dovecot logged, for a person who looks into a failure."""
        return "".join(
            path.read_text(errors="replace")
            for path in (self.folder / "output.log", self.folder / "dovecot.log")
            if path.exists()
        )

    def _wait(self) -> None:
        ends_at = time.monotonic() + START_SECONDS
        while time.monotonic() < ends_at and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                if sock.recv(64).startswith(b"* OK"):
                    return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"Dovecot does not start: {self.log()[-2000:]}")


@dataclass(frozen=True, slots=True)
class DovecotMailbox:
    """One user's mailbox and what a test does to it behind the adapter's back."""

    server: DovecotServer
    user: str
    password: str = field(default=PASSWORD, repr=False)

    def deliver(
        self,
        raw: bytes,
        *,
        received_at: datetime | None = None,
        seen: bool = False,
        folder: str = "INBOX",
    ) -> str:
        """APPEND a message with an INTERNALDATE; its UID."""
        with self.inspect() as imap:
            return imap.append(raw, received_at=received_at, seen=seen, folder=folder)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of ours needs to trust this server."""
        return {"SERVICEDESK_MAIL_CA_FILE": str(self.server.ca_file)}

    def deliver_many(self, raws: Mapping[str, bytes] | list[bytes]) -> list[str]:
        """APPEND several over one connection; their UIDs."""
        with self.inspect() as imap:
            return [imap.append(raw) for raw in (raws.values() if isinstance(raws, Mapping) else raws)]

    def receive(self, raw: bytes, *, sender: str = "someone@example.net") -> None:
        """Deliver over LMTP, as a mail transfer agent does (adds Return-Path and Received)."""
        with smtplib.LMTP("127.0.0.1", self.server.lmtp_port, timeout=10) as lmtp:
            lmtp.sendmail(sender, [self.user], raw)

    def expunge(self, uid: str, folder: str = "INBOX") -> None:
        """Somebody else deletes a message for good."""
        with self.inspect() as imap:
            imap.expunge(uid, folder)

    def mark_seen(self, uid: str, folder: str = "INBOX") -> None:
        """Somebody else reads a message."""
        with self.inspect() as imap:
            imap.store(uid, "+FLAGS", "\\Seen", folder)

    def move(self, uid: str, to: str, folder: str = "INBOX") -> None:
        """Somebody else moves a message."""
        with self.inspect() as imap:
            imap.move(uid, to, folder)

    def create(self, folder: str) -> None:
        with self.inspect() as imap:
            imap.create(folder)

    def delete(self, folder: str) -> None:
        with self.inspect() as imap:
            imap.delete(folder)

    def rename(self, folder: str, to: str) -> None:
        with self.inspect() as imap:
            imap.rename(folder, to)

    def contents(self, folder: str = "INBOX") -> list[MessageState]:
        """Everything in a folder, oldest UID first; reading changes nothing."""
        with self.inspect() as imap:
            return imap.contents(folder)

    def folders(self) -> set[str]:
        with self.inspect() as imap:
            return imap.folders()

    def subscribed(self) -> set[str]:
        with self.inspect() as imap:
            return imap.folders("LSUB")

    def settings(
        self,
        tls_mode: TlsMode = TlsMode.IMPLICIT,
        *,
        timeout: float = 10.0,
        archive_folder: str = "",
        password: str | None = None,
        port: int | None = None,
        ca_file: str | None = None,
    ) -> ServerSettings:
        """What an administrator would enter for this mailbox; `port` where a proxy stands before it."""
        own_port = self.server.tls_port if tls_mode is TlsMode.IMPLICIT else self.server.port
        return ServerSettings(
            protocol=MailProtocol.IMAP,
            host="localhost",
            port=port or own_port,
            tls_mode=tls_mode,
            timeout=timeout,
            username=self.user,
            password=self.password if password is None else password,
            archive_folder=archive_folder,
            ca_file=ca_file or str(self.server.ca_file),
        )

    @contextlib.contextmanager
    def inspect(self) -> Iterator[Inspector]:
        """One connection for several looks."""
        imap = imaplib.IMAP4("127.0.0.1", self.server.port, timeout=150)
        imap.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            imap.authenticate("PLAIN", lambda _: f"\0{self.user}\0{self.password}".encode())
            yield Inspector(imap)
        finally:
            imap.logout()


def _program() -> str:
    found = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError("Dovecot is not installed: apt-get install dovecot-imapd dovecot-lmtpd")
    return found


def _make_folders(folder: Path) -> None:
    folder.chmod(0o711)  # Dovecot's unprivileged processes must reach it
    (folder / "mail").mkdir()
    if os.getuid() == 0:
        os.chown(folder / "mail", _MAIL_UID, _MAIL_UID)


def _users() -> dict[str, str | int]:
    """As root Dovecot changes to Debian's users; as anybody else it stays who it is, without chroot."""
    if os.getuid() == 0:
        return {
            "internal_user": "dovecot",
            "internal_group": "dovecot",
            "login_user": "dovenull",
            "mail_uid": _MAIL_UID,
            "mail_gid": _MAIL_UID,
            "chroot": "",
        }
    return {
        "internal_user": getpass.getuser(),
        "internal_group": grp.getgrgid(os.getgid()).gr_name,
        "login_user": pwd.getpwuid(os.getuid()).pw_name,
        "mail_uid": os.getuid(),
        "mail_gid": os.getgid(),
        "chroot": "chroot =",
    }
