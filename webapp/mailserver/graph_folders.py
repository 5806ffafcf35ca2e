"""Mail folders of a mailbox over Graph, by the names people see.

A path is display names joined by "/"; a name may hold that sign itself, so a path is matched against what is
there and never simply cut. Names are compared without regard to case, as Exchange does. "Archive" means the
folder of that name, not the mailbox's well-known archive folder, which may have any name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from .errors import FolderRefused, Stage
from .graph_errors import FOLDER_EXISTS
from .graph_session import GraphSession
from .words import has_control_characters

_QUERY = {"$select": "id,displayName", "$top": "100"}
# Never the archive: what lies there is thrown away sooner or later, or is the inbox itself.
_REFUSED = {
    "inbox": "the inbox itself",
    "deleteditems": "the folder for deleted items",
    "junkemail": "the folder for junk email",
}
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class GraphFolder:
    """A folder; ids of folders are not immutable, so they are kept for one session only."""

    id: str
    name: str


Chain = tuple[GraphFolder, ...]  # from the top down to the folder itself


class GraphFolders:
    """The folders as this session knows them. Raises MailServerError."""

    def __init__(self, session: GraphSession) -> None:
        self._session = session
        self._children: dict[str, list[GraphFolder]] = {}
        self._refused: dict[str, str] = {}

    def find(self, path: str) -> Chain | None:
        """The folder of that path with those above it; None where there is none."""
        return self._find("", path)

    def find_child(self, parent: GraphFolder, name: str) -> GraphFolder | None:
        return next((one for one in self._below(parent.id) if _same(one.name, name)), None)

    def create(self, path: str) -> Chain:
        """Make a folder and those above it that are missing; one that is there is fine."""
        check_path(path)
        found = self.find(path)
        if found is not None:
            return found
        above, slash, name = path.rpartition("/")
        parents = self.create(above) if slash else ()
        self._make(parents[-1].id if parents else "", name)
        self.forget()
        found = self.find(path)
        if found is None:
            self._session.close()
            raise FolderRefused("a folder that was made is not there", stage=Stage.ARCHIVE)
        return found

    def forget(self) -> None:
        """Look anew: somebody may have renamed or removed folders."""
        self._children.clear()

    def check_usable(self, chain: Chain) -> None:
        """Refuse what must not be the archive. Raises FolderRefused."""
        if not self._refused:
            for name, words in _REFUSED.items():
                answer = self._session.call(
                    "GET",
                    f"{self._session.root}/mailFolders/{name}",
                    Stage.ARCHIVE,
                    query={"$select": "id"},
                    missing_is_fine=True,
                )
                if not answer.is_gone:
                    self._refused[str(answer.json(Stage.ARCHIVE).get("id"))] = words
        for folder in chain:
            if folder.id in self._refused:
                self._session.close()
                raise FolderRefused(f"that is {self._refused[folder.id]}", stage=Stage.ARCHIVE)

    def _find(self, parent: str, path: str) -> Chain | None:
        for folder in self._below(parent):
            if _same(folder.name, path):
                return (folder,)
        for name, rest in _splits(path):
            for folder in self._below(parent):
                if _same(folder.name, name) and (below := self._find(folder.id, rest)):
                    return (folder, *below)
        return None

    def _below(self, parent: str) -> list[GraphFolder]:
        if parent not in self._children:
            found = self._session.pages(self._path(parent), Stage.ARCHIVE, _QUERY)
            self._children[parent] = [
                GraphFolder(str(one.get("id")), str(one.get("displayName"))) for one in found
            ]
        return self._children[parent]

    def _make(self, parent: str, name: str) -> None:
        answer = self._session.call(
            "POST", self._path(parent), Stage.ARCHIVE, body={"displayName": name}, expect=(201, 409)
        )
        if answer.status == 409 and answer.error[0].lower() != FOLDER_EXISTS:
            self._session.close()
            raise FolderRefused("Graph refused the folder", stage=Stage.ARCHIVE, server_said=answer.error[1])

    def _path(self, parent: str) -> str:
        folders = f"{self._session.root}/mailFolders"
        return f"{folders}/{quote(parent, safe='')}/childFolders" if parent else folders


def check_path(path: str) -> None:
    """Refuse a path that no folder can have. Raises FolderRefused."""
    names = path.split("/")
    if has_control_characters(path) or not all(one.strip() and len(one) <= _LONGEST_NAME for one in names):
        raise FolderRefused("not a folder name", stage=Stage.ARCHIVE)


def joined(chain: Sequence[GraphFolder]) -> str:
    """The path of a folder."""
    return "/".join(folder.name for folder in chain)


def _splits(path: str) -> Iterator[tuple[str, str]]:
    for position, sign in enumerate(path):
        if sign == "/":
            yield path[:position], path[position + 1 :]


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
