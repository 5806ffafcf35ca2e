"""The product's IMAP adapter on the embedded server: the same contract as on Dovecot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.backend import DemoBackend, start_servers
from tests.mailserver.contract import NOWHERE, MailboxBackend, MailboxContract, message


class TestImapMailboxOnPymap(MailboxContract):
    """pymap goes on showing what another session expunged until this one was told, as RFC 2180 section 4.1.1
    allows; two tests of the contract ask for less here.
    """

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[MailboxBackend]:
        servers, ca_file = start_servers(tmp_path)
        with servers:
            yield DemoBackend(servers, ca_file)

    def test_fetch_leaves_out_what_vanished(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(3)]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            backend.expunge(keys[1])
            assert mailbox.still_in_inbox(keys) == {keys[0], keys[2]}
            assert [m.key for m in mailbox.fetch([*keys, NOWHERE])] == [keys[0], keys[2]]
            assert [m.key for m in mailbox.fetch_headers([keys[1], keys[2]])] == [keys[2]]

    def test_mark_read(self, backend: MailboxBackend) -> None:
        keys = [backend.deliver(message(str(n))) for n in range(4)]
        with backend.open_mailbox() as mailbox:
            mailbox.open()
            backend.expunge(keys[1])
            mailbox.mark_read({keys[0], keys[1], keys[2], NOWHERE})
            assert keys[3] in mailbox.list_unread()
        assert [m.seen for m in backend.contents()] == [True, True, False]
