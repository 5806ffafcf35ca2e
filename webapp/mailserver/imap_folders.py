"""Which folder is the archive: names, prefixes, delimiters and special uses (RFC 2342, RFC 6154).

No I/O here: `Listing` is what LIST and NAMESPACE answered, and the rest is decided on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import FolderRefused, Stage
from .words import has_control_characters

DEFAULT_NAME = "Archive"

# Moving a message to one of these is not archiving: it is deleted later, or stays in the inbox as well.
_UNFIT = {
    "\\trash": "the server deletes what is in it",
    "\\junk": "the server deletes what is in it",
    "\\all": "it shows all messages, also those in the inbox",
    "\\flagged": "it only shows messages that are elsewhere",
    "\\important": "it only shows messages that are elsewhere",
    "\\noselect": "it cannot hold messages",
}
_ALL_MAIL = {"[gmail]/all mail", "[google mail]/all mail"}


@dataclass(frozen=True, slots=True)
class Folder:
    """One line of a LIST answer; attributes in lower case."""

    name: str
    delimiter: str
    attributes: frozenset[str]

    @property
    def exists(self) -> bool:
        return "\\nonexistent" not in self.attributes


def read_list(lines: Iterable[tuple[Iterable[bytes], bytes | None, str]]) -> list[Folder]:
    """IMAPClient's (flags, delimiter, name) tuples as folders."""
    return [
        Folder(
            name=name,
            delimiter=(delimiter or b"").decode("ascii", "replace"),
            attributes=frozenset(flag.decode("ascii", "replace").lower() for flag in flags),
        )
        for flags, delimiter, name in lines
    ]


def check_name(name: str) -> None:
    """Refuse what no folder may be called, before it is sent."""
    if not name.strip() or has_control_characters(name) or any(c in name for c in "%*"):
        raise FolderRefused(f"{name!r} cannot be a folder's name", stage=Stage.ARCHIVE)


def with_prefix(name: str, prefix: str) -> str:
    """The full name of a folder the user named: servers with "INBOX." keep all folders below it."""
    if not prefix or name.casefold().startswith(prefix.casefold()):
        return name
    return prefix + name


def check_archive(folder: Folder, prefix: str) -> None:
    """Refuse a folder that is not for keeping mail."""
    bare = folder.name.casefold()
    if bare == "inbox" or bare == f"{prefix}inbox".casefold():
        raise FolderRefused("the archive cannot be the inbox", stage=Stage.ARCHIVE)
    reasons = [reason for attribute, reason in _UNFIT.items() if attribute in folder.attributes]
    if bare in _ALL_MAIL:
        reasons.append(_UNFIT["\\all"])
    if reasons and folder.exists:
        raise FolderRefused(f"{folder.name!r} cannot be the archive: {reasons[0]}", stage=Stage.ARCHIVE)


def special_archive(folders: Iterable[Folder]) -> Folder | None:
    """The folder the server itself calls its archive (RFC 6154)."""
    return next((folder for folder in folders if "\\archive" in folder.attributes), None)


def has_no_children(folder: Folder) -> bool:
    """Whether nothing can be created below a folder."""
    return not folder.delimiter or "\\noinferiors" in folder.attributes
