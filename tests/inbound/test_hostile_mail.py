"""Mail that is made to break its reader, through a whole run on a real Dovecot."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.factories import make_raw, set_incoming_from
from tests.rig.dovecot import DovecotMailbox
from tests.rig.proxy import Proxy
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance
from webapp.models import Inbound, Placement, RawMessage, Ticket, TicketNotice

pytestmark = pytest.mark.dovecot

HEAD = b"From: Ann Lee <ann@acme.test>\r\nSubject: hostile\r\nMIME-Version: 1.0\r\n"


def _nested_multiparts(depth: int) -> bytes:
    parts = [
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
        for level in range(depth)
    ]
    return HEAD + b"".join(parts) + b"Content-Type: text/plain\r\n\r\nhello\r\n"


def _nested_messages(depth: int) -> bytes:
    return HEAD + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"\r\nhello\r\n"


def _many_parts(count: int) -> bytes:
    one = b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    return HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + one * count + b"--b--\r\n"


def _many_recipients(count: int) -> bytes:
    to = b",\r\n ".join(b"u%d@example.org" % number for number in range(count))
    return HEAD + b"To: " + to + b"\r\n\r\nhello\r\n"


HOSTILE = {
    "multiparts 1,000 deep": _nested_multiparts(1_000),
    "multiparts 3,000 deep": _nested_multiparts(3_000),
    "messages 1,000 deep": _nested_messages(1_000),
    "100,000 header lines": HEAD + b"X-A: b\r\n" * 100_000 + b"\r\nhello\r\n",
    "a header of 100,000 folds": HEAD + b"X-Fold: a\r\n" + b" b\r\n" * 100_000 + b"\r\nhello\r\n",
    "10,000 recipients": _many_recipients(10_000),
    "10,000 parts": _many_parts(10_000),
}
LONGEST = 10.0  # seconds


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_becomes_a_ticket_or_a_stub_and_the_next_message_is_processed(
    at: Instance, mailbox: DovecotMailbox, parser: ParserProcess, kind: str
) -> None:
    mailbox.deliver_many([HOSTILE[kind], make_raw(subject="the next")])
    started = time.monotonic()
    report = poll(at, parser, trigger="command")
    assert time.monotonic() - started < LONGEST
    assert (report.failure, report.drained, report.counts.moved) == (None, True, 2)
    with at.database.reading() as session:
        assert set(session.scalars(sa.select(Ticket.subject))) == {"hostile", "the next"}
        rows = list(session.scalars(sa.select(Inbound)))
        assert {row.placement for row in rows} == {Placement.ARCHIVED}
    assert mailbox.contents() == []
    assert HOSTILE[kind] in [message.raw for message in mailbox.contents("Archive")]


def test_of_a_message_of_200_mb_only_the_header_is_fetched(
    at: Instance, mailbox: DovecotMailbox, parser: ParserProcess
) -> None:
    mailbox.deliver(make_raw(subject="small"))
    _put(mailbox, HEAD.replace(b"hostile", b"huge") + b"\r\n", 200_000_000)
    with Proxy(mailbox.server.tls_port) as proxy:
        set_incoming_from(at, mailbox.settings(port=proxy.port))
        report = poll(at, parser, trigger="command")
        assert len(proxy.from_server) < 100_000
    assert (report.failure, report.counts.ticket, report.counts.moved) == (None, 2, 2)
    with at.database.reading() as session:
        [huge] = session.scalars(sa.select(Ticket).where(Ticket.subject == "huge"))
        assert huge.notice is TicketNotice.TOO_LARGE
        [row] = session.scalars(sa.select(Inbound).where(Inbound.ticket_id == huge.id))
        assert row.size > 200_000_000
        kept = session.get_one(RawMessage, row.id)
        assert len(kept.compressed) < 1_000


def _put(mailbox: DovecotMailbox, header: bytes, octets: int) -> None:
    """A file in the maildir, as a local delivery makes one: no test holds that much in memory."""
    maildir = mailbox.server.folder / "mail" / mailbox.user / "Maildir"
    line = b"x" * 998 + b"\r\n"
    path = Path(maildir / "tmp" / "1.huge.test")
    with path.open("wb") as file:
        file.write(header)
        for _ in range(octets // 1_000_000):
            file.write(line * 1_000)
    owner = maildir.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
    path.rename(maildir / "new" / path.name)
