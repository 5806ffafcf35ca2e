"""imaplib and IMAPClient on a `Line` of ours.

What they leave to chance is settled here: the socket is ours, a refusal keeps its response code
(RFC 5530), a BYE is told from a broken connection, and no line is logged or kept.
"""

from __future__ import annotations

import imaplib
import re
from typing import Any

import imapclient

from .errors import Stage
from .line import Line
from .words import check_speaks

_LONGEST_LINE = 1_000_000  # imaplib's own limit
_CODE = re.compile(rb"\[([A-Za-z0-9-]+)(?: [^\]]*)?\]")


class CommandRefused(imaplib.IMAP4.error):
    """The server answered NO or BAD. `code` is the response code in brackets (RFC 5530), upper case."""

    def __init__(self, status: str, words: bytes) -> None:
        super().__init__(f"the server answered {status}")
        match = _CODE.match(words)
        self.status = status
        self.code = match[1].decode("ascii").upper() if match else ""
        self.words = words


class Goodbye(Exception):
    """The server ended the session with a BYE. No imaplib error, because imaplib rewords those."""

    def __init__(self, words: bytes) -> None:
        super().__init__("the server said goodbye")
        match = _CODE.match(words)
        self.code = match[1].decode("ascii").upper() if match else ""
        self.words = words


class SendFailed(Exception):
    """The connection broke while a command was sent."""

    def __init__(self, errno: int) -> None:
        super().__init__("the command could not be sent")
        self.errno = errno


class Wire(imaplib.IMAP4):
    """imaplib reading from and writing to a Line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.exists = 0  # messages in the selected folder, as the server last told
        self.grown = False  # whether there were more of them at some time since this was set to False
        super().__init__(line.host, line.port)

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self.sock: Any = self._line

    def read(self, size: int) -> bytes:
        octets = self._line.read(size)
        if len(octets) < size:
            raise ConnectionResetError("the connection ended within a literal")
        return octets

    def readline(self) -> bytes:
        line = self._line.readline(_LONGEST_LINE + 1)
        if not line.endswith(b"\n"):
            if len(line) > _LONGEST_LINE:
                raise self.error("a line too long")
            raise ConnectionResetError("the connection ended")
        if line is self._line.heard:
            self._check_greeting(line)
        return line

    def send(self, data: Any) -> None:
        try:
            self._line.sendall(data)
        except OSError as exc:  # imaplib would make it an abort and lose the errno
            raise SendFailed(exc.errno or 0) from exc

    def shutdown(self) -> None:
        self._line.close()

    def forget(self) -> None:
        """Forget what was told without being asked for, so that it is not taken for an answer."""
        self.untagged_responses.clear()

    def starttls(self, ssl_context: Any = None) -> Any:
        raise NotImplementedError("ImapSession does it, with a verified certificate")

    def begin_idle(self) -> bytes:
        """IDLE (RFC 2177): from now on the server talks by itself. The tag, for `end_idle`."""
        tag: bytes = self._command("IDLE")
        while self._get_response() is not None:
            self._check_still_idle(tag)
        return tag

    def hear_in_idle(self, tag: bytes) -> None:
        """One response; `exists` and `grown` tell what it said."""
        self._get_response()
        self._check_still_idle(tag)

    def end_idle(self, tag: bytes) -> None:
        self.send(b"DONE\r\n")
        self._command_complete("IDLE", tag)

    def login_with_literals(self, *values: bytes) -> None:
        """LOGIN for what a quoted string cannot hold: octets above 127 (RFC 3501 section 4.3)."""
        tag = self._new_tag()
        self.send(tag + b" LOGIN")
        for value in values:
            self.send(b" {%d}\r\n" % len(value))
            while self._get_response() is not None:
                if self.tagged_commands[tag]:
                    self._command_complete("LOGIN", tag)
            self.send(value)
        self.send(b"\r\n")
        self._command_complete("LOGIN", tag)

    def _check_greeting(self, line: bytes) -> None:
        check_speaks("IMAP", line, Stage.GREETING)
        if line.upper().startswith(b"* BYE"):
            raise Goodbye(line[5:].strip())

    def _check_still_idle(self, tag: bytes) -> None:
        self._check_bye()
        if self.tagged_commands[tag]:
            self._command_complete("IDLE", tag)
            raise Goodbye(b"IDLE was ended by the server")

    def _append_untagged(self, typ: str, dat: Any) -> None:
        """The count is kept in the order things are told: an EXPUNGE and an EXISTS may cancel out."""
        if typ == "EXPUNGE":
            self.exists -= 1
        elif typ == "EXISTS":
            self.grown = self.grown or int(dat) > self.exists
            self.exists = int(dat)
        super()._append_untagged(typ, dat)  # type: ignore[misc]

    def _check_bye(self) -> None:
        if words := self.untagged_responses.get("BYE"):
            raise Goodbye(words[-1])

    def _command_complete(self, name: str, tag: bytes) -> Any:
        """As imaplib's, with NO and BAD as typed refusals instead of a text about them."""
        logout = name == "LOGOUT"
        if not logout:
            self._check_bye()
        status, data = self._get_tagged_response(tag, expect_bye=logout)
        if not logout:
            self._check_bye()
        if status != "OK":
            raise CommandRefused(status, data[-1] or b"")
        return status, data

    def _log(self, line: str) -> None:
        """imaplib keeps the last ten lines, the password among them."""

    # imaplib's stubs leave these out, or tell half of it.
    untagged_responses: dict[str, list[Any]]
    tagged_commands: dict[bytes, Any]
    _new_tag: Any
    _command: Any
    _simple_command: Any
    _untagged_response: Any
    _get_response: Any
    _get_tagged_response: Any


class Client(imapclient.IMAPClient):  # type: ignore[misc]
    """IMAPClient on a Wire."""

    def __init__(self, line: Line) -> None:
        self._line = line
        super().__init__(line.host, line.port, ssl=False)
        self.normalise_times = False
        # IMAPClient switches imaplib's debug log on: ten times the cost of a FETCH, and every line logged.
        self._imap.debug = 0

    @property
    def wire(self) -> Wire:
        wire: Wire = self._imap
        return wire

    def ask_capabilities(self) -> frozenset[str]:
        """CAPABILITY, asked now: what was told before TLS or before signing in does not count."""
        self.wire.forget()
        _, data = self.wire.capability()
        words = tuple(b" ".join(line for line in data if line).upper().split())
        self._cached_capabilities = words
        return frozenset(word.decode("ascii", "replace") for word in words)

    def list_with_uses(self, pattern: str) -> list[tuple[tuple[bytes, ...], bytes | None, str]]:
        """LIST, with the special-use attributes where they have to be asked for (RFC 6154 section 2)."""
        extended = self.has_capability("SPECIAL-USE") and self.has_capability("LIST-EXTENDED")
        options = ("RETURN (SPECIAL-USE)",) if extended else ()
        status, data = self.wire._simple_command("LIST", '""', self._normalise_folder(pattern), *options)
        _, lines = self.wire._untagged_response(status, data, "LIST")
        folders: list[tuple[tuple[bytes, ...], bytes | None, str]] = self._proc_folder_list(lines)
        return folders

    def _create_IMAP4(self) -> Wire:
        return Wire(self._line)

    def _set_read_timeout(self) -> None:
        """The line has its own."""
