"""What all commands share: plain errors, the instance, and JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from click.exceptions import NoArgsIsHelpError

from webapp.config import ConfigError, load_settings
from webapp.database import DatabaseError
from webapp.desk.accounts import AccountError
from webapp.desk.backup import BackupRefused
from webapp.desk.database_copy import CopyRefused
from webapp.desk.directory_csv import DirectoryError
from webapp.desk.keys import KeysRefused
from webapp.desk.mail_form import FormErrors
from webapp.inbound.lease import LeaseBusy
from webapp.inbound.parser_process import ParserDied
from webapp.inbound.poll import NotPolled
from webapp.instance import Instance, open_instance
from webapp.mailserver.errors import MailServerError
from webapp.running import StillRunning, in_use
from webapp.vault import VaultError

TEMPORARY_FAILURE = 75  # EX_TEMPFAIL of sysexits.h: the same command may work later
PLAIN = (
    AccountError, BackupRefused, ConfigError, CopyRefused, DatabaseError, DirectoryError, KeysRefused,
    MailServerError, NotPolled, ParserDied, StillRunning, VaultError,
)  # fmt: skip


class PlainErrors(click.Group):
    """Turns the errors we know into one line on standard error; what we do not know keeps its trace."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FormErrors as error:
            lines = [f"{name}: {sentence}" for name, sentence in error.errors.items()]
            raise OneLine("Not saved. " + " ".join(lines)) from error
        except LeaseBusy as error:
            raise OneLine(str(error), exit_code=TEMPORARY_FAILURE) from error
        except sa.exc.OperationalError as error:  # locked for too long, no room, not writable
            raise OneLine(f"The database cannot be used: {error.orig}. Nothing was changed.") from error
        except PLAIN as error:
            raise OneLine(str(error)) from error
        except NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            hint = f" See: {error.ctx.command_path} --help" if error.ctx else ""
            sentence = error.format_message().rstrip(".")
            raise OneLine(f"{sentence}.{hint}", exit_code=error.exit_code) from error
        except click.ClickException as error:
            raise OneLine(error.format_message(), exit_code=error.exit_code) from error


class OneLine(click.ClickException):
    """An error as one line, whatever its parts were."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(" ".join(clean(message).split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class


@contextmanager
def opened() -> Iterator[Instance]:
    """The instance, its database up to date."""
    settings = load_settings()
    with in_use(settings.instance):
        instance = open_instance(settings)
        try:
            yield instance
        finally:
            instance.close()


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Takes (done, total). On standard error, and only where a person watches."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def tell(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield tell


def now() -> datetime:
    return datetime.now(UTC)


def read_password(from_stdin: bool, prompt: str, *, confirm: bool) -> str:
    """One line of standard input, or typed unseen at a terminal; never an argument, which others can see."""
    if not from_stdin:
        if not sys.stdin.isatty():
            raise click.ClickException("Give the password with --password-stdin, or run this at a terminal.")
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm))
    try:
        password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise click.ClickException("The password on standard input is not UTF-8.") from error
    if not password:
        raise click.ClickException("There is no password on standard input.")
    return password


def clean(text: str) -> str:
    """Without what a terminal would obey: mail is written by anybody."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def echo(text: str = "") -> None:
    """For people, on their terminal."""
    click.echo(clean(text))


def echo_json(value: Any) -> None:
    """JSON escapes the ASCII controls by itself."""
    text = json.dumps(value, ensure_ascii=False, indent=2, default=_plain)
    click.echo(_NOT_FOR_OUTPUT.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def echo_table(rows: Sequence[Sequence[Any]], head: tuple[str, ...]) -> None:
    """Columns as wide as their content; the last one is not padded."""
    lines = [head, *(tuple(clean(" ".join(str(cell).split())) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    for row in lines:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*padded, row[-1]]))


def moment_of(text: str) -> datetime:
    """A time from the command line; without an offset it is UTC, as times are shown."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"{text!r} is not a time such as 2026-11-23T12:00Z.") from error


def _plain(value: Any) -> Any:
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} in JSON output")


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_FOR_OUTPUT = re.compile("[\x7f-\x9f\ud800-\udfff]")
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")


def read_file(name: str, most: int) -> bytes:
    """Up to `most` octets of a file somebody named."""
    try:
        with Path(name).open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}.") from error
