"""Messages of tests/messages/own: each named for its one oddity, with what is to be read of it beside it.

`NAME.expected.json` holds fields of the parsed message by their names; the tests of a subject compare them
exactly.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

OWN = Path(__file__).parent.parent / "messages" / "own"


class Stored(NamedTuple):
    """One message; `name` is the path of its file below the folder, without the ending."""

    name: str
    raw: bytes
    expected: dict[str, Any]

    @property
    def body(self) -> str:
        """What stands behind the header of a message of one part in UTF-8."""
        return self.raw.partition(b"\n\n")[2].decode("utf-8").removesuffix("\n")


def stored(folder: str, *, fewest: int) -> list[Stored]:
    """The messages below `folder`, at least so many: a collection that got lost is no test that passed."""
    found = [_read(path, OWN / folder) for path in sorted((OWN / folder).rglob("*.eml"))]
    assert len(found) >= fewest, f"{folder} has {len(found)} messages"
    return found


def name_of(message: Stored) -> str:
    """For the id of a test."""
    return message.name


def _read(path: Path, folder: Path) -> Stored:
    expected = json.loads(path.with_suffix(".expected.json").read_text("utf-8"))
    del expected["_prov"]
    return Stored(path.relative_to(folder).with_suffix("").as_posix(), path.read_bytes(), expected)
