"""The directory's CSV file: read whole, checked line by line, the first mistake named with line and column.

Lines count from 1, the header; a value that runs over several lines counts from its first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from webapp.desk.addresses import read_addr_spec
from webapp.desk.mail_fields import has_controls
from webapp.mail.address import fold_addr_spec

REQUIRED_COLUMNS = ("email", "name", "company")
OPTIONAL_COLUMNS = ("other_emails", "phone", "active")
COLUMNS = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
LONGEST = {"name": 200, "company": 200, "phone": 60}
YES, NO = {"", "1", "yes", "true", "y", "active"}, {"0", "no", "false", "n", "inactive"}


class DirectoryError(Exception):
    """A user, a company or a CSV file is refused; the message says where and why."""


class CsvError(DirectoryError):
    """A mistake in a CSV file, at a line (1 is the header) and a column (its name, or its number)."""

    def __init__(self, line: int, column: str, message: str) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line, self.column, self.sentence = line, column, message


@dataclass(frozen=True, slots=True)
class CsvUser:
    """One checked line of the file. None: the file has no such column, so what is stored stays."""

    line: int
    emails: tuple[str, ...]  # the primary one first
    name: str
    company: str
    phone: str | None
    active: bool | None


def read_csv(content: bytes) -> list[CsvUser]:
    """The file's lines, checked one by one and against each other. Raises CsvError."""
    users, mistakes = check_csv(content, most=1)
    if mistakes:
        raise mistakes[0]
    return users


def check_csv(content: bytes, *, most: int) -> tuple[list[CsvUser], list[CsvError]]:
    """The lines that are right, and the first mistakes; what is no CSV at all ends the reading."""
    # What is no UTF-8 is kept as surrogates until its column is known.
    rows = _rows(content.decode("utf-8-sig", errors="surrogateescape"))
    users: list[CsvUser] = []
    mistakes: list[CsvError] = []
    seen: dict[str, int] = {}
    try:
        columns = _read_header(next(rows, (1, []))[1])
        while len(mistakes) < most and (found := next(rows, None)):
            line, cells = found
            if not any(cell.strip() for cell in cells):
                continue
            try:
                user = _read_line(line, _named(line, cells, columns))
                _refuse_repeats(user, seen)
                users.append(user)
            except CsvError as mistake:
                mistakes.append(mistake)
    except CsvError as mistake:
        mistakes.append(mistake)
    return users, mistakes


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins on."""
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            record = "".join(io.StringIO(text, newline="").readlines()[line - 1 :])
            raise CsvError(line, *_find_fault(record, delimiter, str(error))) from error
        yield line, cells


def _delimiter(text: str) -> str:
    """Spreadsheets of half of Europe write semicolons where others write commas."""
    header = next(iter(text.splitlines()), "")
    return ";" if ";" in header and "," not in header else ","


def _find_fault(record: str, delimiter: str, otherwise: str) -> tuple[str, str]:
    """In which column of a record something is wrong, and what."""
    column, position = 1, 0
    while position < len(record) and record[position] not in "\r\n":
        begin = position
        if record[position] == '"':
            end = _closing_quote(record, position + 1)
            if end == len(record):
                return str(column), "a quote is opened here and never closed."
            if record[end + 1 : end + 2] not in ("", delimiter, "\r", "\n"):
                return str(column), "there is text after the closing quote; write a quote inside as two."
            position = end + 1
        else:
            while position < len(record) and record[position] not in (delimiter, "\r", "\n"):
                position += 1
        if position - begin > csv.field_size_limit():
            return str(column), "the value is far too long."
        if record[position : position + 1] == delimiter:
            column, position = column + 1, position + 1
    return str(column), f"not valid CSV: {otherwise}."


def _closing_quote(record: str, position: int) -> int:
    while (position := record.find('"', position)) >= 0:
        if record[position + 1 : position + 2] != '"':
            return position
        position += 2
    return len(record)


def _read_header(cells: Iterable[str]) -> list[str]:
    columns = [cell.strip().casefold() for cell in cells]
    for required in REQUIRED_COLUMNS:
        if required not in columns:
            raise CsvError(1, required, f"the first line must name the columns {','.join(REQUIRED_COLUMNS)}.")
    for number, name in enumerate(columns, start=1):
        if name not in COLUMNS:
            raise CsvError(1, _shown(name) or str(number), f"not known. Known: {','.join(COLUMNS)}.")
        if columns.count(name) > 1:
            raise CsvError(1, name, "this column is there twice.")
    return columns


def _named(line: int, cells: list[str], columns: list[str]) -> dict[str, str]:
    """The record's values by column; spreadsheets leave out empty ones at the end, never the required."""
    if len(cells) > len(columns):
        sentence = "there are more values than columns; put a value that holds a comma in quotes."
        raise CsvError(line, str(len(columns) + 1), sentence)
    for missing in columns[len(cells) :]:
        if missing in REQUIRED_COLUMNS:
            raise CsvError(line, missing, "the line ends before this column.")
    values = dict.fromkeys(columns, "")
    return values | {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}


def _read_line(line: int, values: Mapping[str, str]) -> CsvUser:
    for column, value in values.items():
        if any("\udc80" <= char <= "\udcff" for char in value):
            raise CsvError(line, column, "not UTF-8; save the file as CSV UTF-8.")
        if has_controls(value):
            raise CsvError(line, column, "the value contains a line break or another control character.")
        longest = LONGEST.get(column, len(value))
        if max(len(value), len(value.casefold())) > longest:
            raise CsvError(line, column, f"the value is longer than {longest} characters.")
    if not values["name"]:
        raise CsvError(line, "name", "the name is missing.")
    others = filter(None, (part.strip() for part in values.get("other_emails", "").split(";")))
    emails = [_read_email(line, "email", values["email"])]
    emails += [_read_email(line, "other_emails", other) for other in others]
    active = _read_active(line, values["active"]) if "active" in values else None
    return CsvUser(line, tuple(emails), values["name"], values["company"], values.get("phone"), active)


def _read_email(line: int, column: str, text: str) -> str:
    if not text:
        raise CsvError(line, column, "the e-mail address is missing.")
    try:
        return read_addr_spec(text)
    except ValueError as error:
        raise CsvError(line, column, str(error)) from error


def _read_active(line: int, text: str) -> bool:
    if text.casefold() in YES:
        return True
    if text.casefold() in NO:
        return False
    raise CsvError(line, "active", f"enter yes or no, not {text[:40]!r}.")


def _refuse_repeats(user: CsvUser, seen: dict[str, int]) -> None:
    for position, email in enumerate(user.emails):
        key = fold_addr_spec(email)
        if key in seen:
            column = "email" if position == 0 else "other_emails"
            where = "twice on this line" if seen[key] == user.line else f"already on line {seen[key]}"
            raise CsvError(user.line, column, f"{email} is {where}.")
        seen[key] = user.line


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name[:40])
