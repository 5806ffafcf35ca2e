"""Folders of an Exchange mailbox by their path: display names below the mailbox's root, "/" between them.

Only the level that is asked for is listed: a mailbox can have thousands of folders. Names are compared
without case, as Exchange does.
"""

from __future__ import annotations

from exchangelib.errors import ErrorFolderExists, EWSError

from .errors import FolderRefused, Stage
from .ews_calls import create_folder, find_folders, get_folders
from .ews_errors import code_of
from .ews_session import EwsSession
from .ews_xml import Folder, FolderRef, is_xml_text

DELIMITER = "/"
DEFAULT_NAME = "Archive"
LONGEST_NAME = 255
_MAIL_CLASS = "ipf.note"
# What people delete, refuse, write or wait to send is no place for processed mail.
_NEVER = {
    "inbox": "the inbox",
    "deleteditems": "the folder of deleted messages",
    "junkemail": "the folder of unwanted messages",
    "drafts": "the folder of drafts",
    "outbox": "the folder of messages to be sent",
    "sentitems": "the folder of sent messages",
}


class Folders:
    """What has been found is remembered for the session; what is missing is looked for again."""

    def __init__(self, session: EwsSession, mailbox: str) -> None:
        self._session, self._mailbox = session, mailbox
        self._known: dict[tuple[str, ...], Folder] = {}

    def find(self, path: str) -> tuple[str, Folder | None]:
        """The path with the names as they are on the server, and the folder if it is there."""
        names = _names(path)
        shown: list[str] = []
        folder: Folder | None = None
        for depth in range(1, len(names) + 1):
            folder = self._find(names[:depth])
            if folder is None:
                return DELIMITER.join([*shown, *names[depth - 1 :]]), None
            shown.append(folder.name)
        return DELIMITER.join(shown), folder

    def make(self, path: str) -> Folder:
        """The folder, created where it is missing, with those above it. Raises FolderRefused and others."""
        names = _names(path)
        folder: Folder | None = None
        for depth in range(1, len(names) + 1):
            folder = self._find(names[:depth]) or self._create(names[:depth])
        assert folder is not None
        return folder

    def forget(self) -> None:
        """Somebody removed or moved one."""
        self._known.clear()

    def check_archive(self, folder: Folder) -> None:
        """Refuse a folder that is no place for processed mail. Raises FolderRefused."""
        if folder.folder_class and not folder.folder_class.lower().startswith(_MAIL_CLASS):
            raise self._refused(f'"{folder.name}" is no mail folder ({folder.folder_class})')
        refs = [FolderRef(name=name, mailbox=self._mailbox) for name in _NEVER]
        session = self._session
        answers = session.ask(Stage.ARCHIVE, lambda: get_folders(session.account, refs))
        for (_, words), answer in zip(_NEVER.items(), answers, strict=True):
            if isinstance(answer, Folder) and answer.id == folder.id:
                raise self._refused(f'"{folder.name}" is {words}')

    def check_name(self, path: str) -> None:
        """Refuse what can be no path, before the server is asked. Raises FolderRefused."""
        names = path.split(DELIMITER)
        if not is_xml_text(path):
            raise self._refused("a folder name cannot contain control characters")
        if not all(name.strip() for name in names):
            raise self._refused("a folder name is missing")
        if any(len(name) > LONGEST_NAME for name in names):
            raise self._refused(f"a folder name has {LONGEST_NAME} characters at most")
        if path.strip().casefold() == "inbox":
            raise self._refused("the archive cannot be the inbox")

    def _find(self, names: tuple[str, ...]) -> Folder | None:
        key = tuple(name.casefold() for name in names)
        if key not in self._known:
            above = self._known.get(key[:-1])
            if len(key) > 1 and above is None:
                return None
            self._known |= {(*key[:-1], one.name.casefold()): one for one in self._list(above)}
        return self._known.get(key)

    def _list(self, above: Folder | None) -> list[Folder]:
        session = self._session
        answers = session.ask(Stage.ARCHIVE, lambda: find_folders(session.account, self._ref(above)))
        for answer in answers:
            if isinstance(answer, EWSError):
                raise session.failed(answer, Stage.ARCHIVE)
        return [answer for answer in answers if isinstance(answer, Folder)]

    def _create(self, names: tuple[str, ...]) -> Folder:
        above = self._find(names[:-1]) if len(names) > 1 else None
        session = self._session
        (answer,) = session.ask(
            Stage.ARCHIVE, lambda: create_folder(session.account, self._ref(above), names[-1])
        )
        if isinstance(answer, EWSError) and not isinstance(answer, ErrorFolderExists):
            raise session.failed(answer, Stage.ARCHIVE)
        made = self._find(names)  # as it is on the server, whoever made it
        if made is None:
            raise self._refused(f'"{names[-1]}" cannot be created ({_why(answer)})')
        return made

    def _ref(self, above: Folder | None) -> FolderRef:
        if above is None:
            return FolderRef(name="msgfolderroot", mailbox=self._mailbox)
        return FolderRef(id=above.id)

    def _refused(self, why: str) -> FolderRefused:
        self._session.close()
        return FolderRefused(why, stage=Stage.ARCHIVE)


def _names(path: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in path.split(DELIMITER))


def _why(answer: Folder | EWSError) -> str:
    return code_of(answer) if isinstance(answer, EWSError) else "it is not listed"
