"""Messages of the archive folder that the ledger does not know, as after a database was restored.

Nothing is changed: the folders are only examined. MOVE keeps size and time of receipt, so that a message
is known by these two; of equal ones as many are known as the ledger has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from webapp.database import Database
from webapp.desk import mail_servers
from webapp.desk.mail_servers import Draft
from webapp.inbound.batches import understand_header
from webapp.inbound.inbox import IGNORED_FOLDER
from webapp.inbound.parser_process import ParserProcess
from webapp.instance import Instance
from webapp.mailserver.base import ArchiveFolder, Mailbox, RemoteMessage, ServerSettings
from webapp.mailserver.connect import open_mailbox
from webapp.models import Inbound

AT_ONCE = 500  # messages looked up and held against the ledger together
SECONDS_A_HEADER = 10.0

Kind = tuple[int, datetime]  # size and time of receipt


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message in the archive without a row in the ledger."""

    folder: str
    key: str
    received_at: datetime  # INTERNALDATE, UTC
    size: int  # octets
    from_addr: str | None
    subject: str
    message_id: str | None


@dataclass(frozen=True, slots=True)
class ArchiveCheck:
    folders: tuple[str, ...]  # those that are there
    looked: int  # messages held against the ledger
    unknown: tuple[UnknownMessage, ...]


def check_archive(
    instance: Instance,
    wanted: Draft,
    *,
    since: datetime,
    connect: Callable[[ServerSettings], Mailbox] = open_mailbox,
) -> ArchiveCheck:
    """Look through the archive and the folder of ignored mail. Raises MailServerError."""
    settings = mail_servers.server_settings(wanted, instance)
    with connect(settings) as mailbox, ParserProcess(seconds=SECONDS_A_HEADER) as parser:
        mailbox.open(read_only=True)
        folders = tuple(folder.path for folder in _folders(mailbox))
        look = _Look(mailbox, instance.database, parser)
        unknown = [message for folder in folders for message in look.into(folder, since)]
    return ArchiveCheck(folders, look.looked, tuple(unknown))


def _folders(mailbox: Mailbox) -> list[ArchiveFolder]:
    archive = mailbox.find_archive()
    ignored = mailbox.find_subfolder(archive.path, IGNORED_FOLDER)
    both = [archive] if ignored.path == archive.path else [archive, ignored]
    return [folder for folder in both if folder.exists]


class _Look:
    """What was met so far, in whichever folder: people move messages from one to another."""

    def __init__(self, mailbox: Mailbox, database: Database, parser: ParserProcess) -> None:
        self._mailbox, self._database, self._parser = mailbox, database, parser
        self._met: Counter[Kind] = Counter()
        self.looked = 0

    def into(self, folder: str, since: datetime) -> Iterator[UnknownMessage]:
        """One folder, from its oldest message on."""
        keys = self._mailbox.list_folder(folder, since=since)
        for start in range(0, len(keys), AT_ONCE):
            listed = self._mailbox.look_up(keys[start : start + AT_ONCE])
            unknown = self._unknown([message for message in listed if message.received_at >= since])
            yield from self._described(folder, unknown)

    def _unknown(self, listed: Sequence[RemoteMessage]) -> list[RemoteMessage]:
        self.looked += len(listed)
        with self._database.reading() as session:
            times = {message.received_at for message in listed}
            columns = sa.select(Inbound.size, Inbound.received_at, sa.func.count())
            rows = session.execute(
                columns.where(Inbound.received_at.in_(times)).group_by(Inbound.size, Inbound.received_at)
            )
            recorded: dict[Kind, int] = {(size, at): number for size, at, number in rows}
        unknown = []
        for message in listed:
            kind = (message.size, message.received_at)
            self._met[kind] += 1
            if self._met[kind] > recorded.get(kind, 0):
                unknown.append(message)
        return unknown

    def _described(self, folder: str, unknown: Sequence[RemoteMessage]) -> Iterator[UnknownMessage]:
        listed = {message.key: message for message in unknown}
        for fetched in self._mailbox.fetch_headers(list(listed)):
            head, message = understand_header(self._parser, fetched), listed[fetched.key]
            yield UnknownMessage(
                folder=folder,
                key=message.key,
                received_at=message.received_at,
                size=message.size,
                from_addr=head.sender.addr_spec,
                subject=head.subject[:500],
                message_id=head.message_id,
            )
