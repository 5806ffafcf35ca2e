"""Tables as text: columns of data side by side, whatever is there for the layout one after the other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from webapp.mail.html_tokens import attributes

_BORDER = re.compile(r"(?<![\w-])border(?:-(?:top|bottom|left|right))?\s*:[^;]*\bsolid\b", re.IGNORECASE)
_NO_BORDER = re.compile(r"\s*0?(?:px)?\s*")
_SHORT = 60  # characters of a cell that is one value
_LINE = 100  # of cells that stand beside each other
_LONG = 300  # of a cell that is no value any more


@dataclass
class Table:
    """The cells of a table while it is read; each cell is the finished text of what stands in it."""

    has_header: bool = False
    has_border: bool = False
    is_layout: bool = False
    in_cell: bool = False
    rows: list[list[str]] = field(default_factory=list)

    def look_at(self, name: str, rest: str) -> None:
        """Takes in what the tags say of the kind of table this is."""
        if name == "th":
            self.has_header = True
        if "border" in rest or "role" in rest:
            found = attributes(rest)
            self.is_layout = self.is_layout or found.get("role", "").lower() in ("presentation", "none")
            border = found.get("border")
            if border is not None and not _NO_BORDER.fullmatch(border):
                self.has_border = True
            if name != "table" and _BORDER.search(found.get("style", "")):
                self.has_border = True

    def as_text(self) -> str:
        rows = [row for row in self.rows if any(row)]
        if self._is_data(rows):
            return "\n".join(_row_of_data(row) for row in _without_empty_columns(rows))
        blocks = [_flowing(row) for row in rows]
        out: list[str] = []
        for number, block in enumerate(blocks):
            if number:
                out.append("\n\n" if "\n" in block or "\n" in blocks[number - 1] else "\n")
            out.append(block)
        return "".join(out)

    def _is_data(self, rows: list[list[str]]) -> bool:
        """Several columns, and either somebody drew them or each cell is a short value."""
        filled = [sum(map(bool, row)) for row in rows]
        if self.is_layout or max(filled, default=0) < 2 or any(len(c) > _LONG for row in rows for c in row):
            return False
        if self.has_header or (self.has_border and len(rows) > 1):
            return True
        return (
            sum(count > 1 for count in filled) > max(1, len(rows) // 2)
            and all(len(cell) <= _SHORT and "\n" not in cell for row in rows for cell in row)
        )  # fmt: skip


def _row_of_data(row: list[str]) -> str:
    while row and not row[-1]:
        row.pop()
    out = ""
    for number, cell in enumerate(row):
        if number:
            out += " " if out.endswith(":") else " | "
        out += " ".join(cell.split())
    return out


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    if len({len(row) for row in rows}) > 1:
        return rows
    kept = [number for number, column in enumerate(zip(*rows, strict=True)) if any(column)]
    return [[row[number] for number in kept] for row in rows]


def _flowing(row: list[str]) -> str:
    cells = [cell for cell in row if cell]
    if any("\n" in cell for cell in cells):
        return "\n\n".join(cells)
    return (" " if sum(map(len, cells)) <= _LINE else "\n").join(cells)
