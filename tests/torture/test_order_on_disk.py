"""The system calls themselves: what was decided is on the disk before the server hears of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.factories import add_people, make_instance, make_raw, set_incoming_from
from tests.inbound.accounting import environment
from tests.rig.dovecot import DovecotMailbox
from webapp.mailserver.base import TlsMode

pytestmark = [pytest.mark.dovecot, pytest.mark.strace]


def test_the_write_ahead_log_is_synced_before_the_move_is_sent(
    tmp_path: Path, mailbox: DovecotMailbox
) -> None:
    """In clear text, so that strace shows the command."""
    desk = make_instance(tmp_path / "instance")
    add_people(desk)
    settings = mailbox.settings(TlsMode.NONE)
    set_incoming_from(desk, settings, use_ssl="false", tls_mode="starttls", port=str(settings.port))
    desk.close()
    mailbox.deliver(make_raw())
    log = tmp_path / "strace"
    watched = "trace=fdatasync,fsync,write,pwrite64,sendto,sendmsg"
    subprocess.run(
        ["strace", "-f", "-y", "-s", "64", "-e", watched, "-o", str(log), sys.executable, "-m", "webapp.cli",
         "mail", "poll"],
        env=environment(desk, mailbox),
        check=True,
        capture_output=True,
        timeout=120,
    )  # fmt: skip
    calls = log.read_text(errors="replace").splitlines()
    [fetched] = _where(calls, r'"\w+ UID FETCH .*BODY\.PEEK')
    [marked] = _where(calls, r'"\w+ UID STORE ')
    [moved] = _where(calls, r'"\w+ UID MOVE ')
    assert fetched < marked < moved
    between = calls[fetched:marked]  # so it is this message that was written, and not what came before
    written = _where(between, r"write(64)?\(.*servicedesk\.db-wal")
    synced = _where(between, r"f(data)?sync\(.*servicedesk\.db-wal")
    assert written
    assert synced
    assert synced[-1] > written[-1]


def _where(calls: list[str], pattern: str) -> list[int]:
    return [at for at, call in enumerate(calls) if re.search(pattern, call)]
