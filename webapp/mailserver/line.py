"""One connection to a mail server: a socket, what was read ahead from it, and its deadline.

Every conversation runs inside `with line.step(stage):`. The step ends within its time whatever the
server does, and whatever the libraries above raise leaves it as a `MailServerError` that knows its stage.
After a failure the line is closed and never used again. `Line` stands in for the socket in imaplib and
smtplib, so that nothing is sent or read past it.
"""

from __future__ import annotations

import io
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self, cast

from . import sockets, tls
from .deadline import Alarm
from .errors import ConnectionFailed, MailServerError, ServerTimeout, Stage, TlsFailed, UnexpectedServer

_CHUNK = 64 * 1024
# How soon `wait` notices that it is to stop.
_LOOK_EVERY = 0.25
# A peer that vanished without a word is noticed after about two minutes of waiting for it.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3}

Translator = Callable[[Exception, Stage], MailServerError | None]


class Line:
    """`timeout` is the time of each step; `ends_at` (monotonic) caps them all together."""

    def __init__(self, host: str, port: int, timeout: float, *, ends_at: float | None = None) -> None:
        self.host = host
        self.port = port
        self.healthy = False
        self.heard = b""  # the first line: a greeting, or what another kind of server says
        self._timeout = timeout
        self._ends_at = ends_at
        self._sock: socket.socket | None = None
        self._reader: io.BufferedReader | None = None
        self._alarm = Alarm(self.abort)
        self._aborted = False

    # Opening.

    def resolve(self) -> list[str]:
        """Look the host's addresses up."""
        self.host = sockets.to_ascii_host(self.host)
        return sockets.resolve(self.host, self.port, self._seconds(), stop=self._is_aborted)

    def connect(self, addresses: list[str]) -> str:
        """Connect to the first address that answers; which one that was."""
        sock = sockets.connect(self.host, addresses, self.port, self._seconds(), stop=self._is_aborted)
        self._use(sock)
        self.healthy = True
        if self._aborted:  # in this very moment: abort() may have seen no socket yet
            self.close()
            raise ConnectionFailed(f"{self.host}: stopped", stage=Stage.CONNECT)
        return str(sock.getpeername()[0])

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Protect the line from here on.

        What came in clear after the answer to STARTTLS would be read as if the handshake had protected
        it (CVE-2011-0411, CVE-2021-33515): there must be nothing.
        """
        with self.step(Stage.TLS):
            if self.heard and self._read_ahead():
                raise TlsFailed("the server talked on before the handshake", stage=Stage.TLS)
            sock, reader = self._opened()
            reader.close()
            secured = context.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
            self._use(secured)
            secured.do_handshake()

    @property
    def secured(self) -> ssl.SSLSocket | None:
        """The protected socket, once there is one."""
        return self._sock if isinstance(self._sock, ssl.SSLSocket) else None

    @property
    def local_address(self) -> str:
        """Our own end of the connection."""
        sock, _ = self._opened()
        return str(sock.getsockname()[0])

    # Steps.

    @contextmanager
    def step(
        self, stage: Stage, translate: Translator | None = None, *, seconds: float | None = None
    ) -> Iterator[None]:
        """A piece of the conversation with a deadline; `translate` knows the library's own exceptions."""
        self._alarm.set(self._seconds(seconds))
        try:
            yield
        except BaseException as exc:
            self._alarm.clear()
            self.close()
            failure = self._failure(exc, stage, translate)
            forget_locals(exc)
            if failure is exc:
                raise
            raise failure from exc
        self._alarm.clear()
        if self._alarm.expired:
            self.close()
            raise self._timed_out(stage)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Inside a step: its deadline starts anew after this, which is none of the server's doing.

        Raises OSError, which the step turns into ConnectionFailed, where it was cut off meanwhile.
        """
        self._alarm.clear()
        yield
        if not self.healthy:
            raise OSError("the connection was cut off")
        self._alarm.set(self._seconds())

    def abort(self) -> None:
        """Shut the socket down, also from another thread: a blocked read or write returns at once.

        Before there is a socket, looking up the name and connecting end instead.
        SSLSocket.shutdown() forgets its TLS state first, and a write after that would go out in clear:
        so the plain socket's method.
        """
        self._aborted = True
        self.healthy = False
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back; never raises. smtplib calls this too."""
        self.healthy = False
        self._alarm.clear()
        sock, reader, self._sock, self._reader = self._sock, self._reader, None, None
        with suppress(OSError, ValueError):
            if reader is not None:
                reader.close()
        with suppress(OSError):
            if sock is not None:
                sock.close()

    # What imaplib and smtplib call.

    def read(self, size: int) -> bytes:
        """Up to `size` octets; fewer only at the end of the stream."""
        _, reader = self._opened()
        chunks = []
        while size > 0 and (chunk := reader.read1(min(size, _CHUNK))):
            self._alarm.progress(len(chunk))
            chunks.append(chunk)
            size -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def readline(self, limit: int = -1) -> bytes:
        _, reader = self._opened()
        line = reader.readline(limit)
        self.heard = self.heard or line
        self._alarm.progress(len(line))
        return line

    def wait(self, seconds: float, *, stop: Callable[[], bool]) -> bool:
        """Until there is something to read: True; after `seconds`, or when `stop()` says so: False."""
        ends_at = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._opened()[0], selectors.EVENT_READ)
            while not self._is_readable():
                remaining = ends_at - time.monotonic()
                if remaining <= 0 or stop():
                    return False
                selector.select(min(remaining, _LOOK_EVERY))
        return True

    def sendall(self, data: bytes) -> None:
        """In pieces: the timeout of socket.sendall() is for all of it together, however large."""
        sock, _ = self._opened()
        for start in range(0, len(data), _CHUNK):
            piece = data[start : start + _CHUNK]
            sock.sendall(piece)
            self._alarm.progress(len(piece))

    def makefile(self, mode: str) -> Self:
        """smtplib reads its replies from here."""
        return self

    # Details.

    def _is_aborted(self) -> bool:
        return self._aborted

    def _use(self, sock: socket.socket) -> None:
        # The alarm ends every wait; the socket's own timeout is there should the alarm's thread be gone.
        sock.settimeout(self._timeout + 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each literal waits 40 ms
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not every system has all of them
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._sock = sock
        self._reader = cast(io.BufferedReader, sock.makefile("rb", buffering=_CHUNK))

    def _opened(self) -> tuple[socket.socket, io.BufferedReader]:
        if self._sock is None or self._reader is None:
            raise OSError("the connection is closed")
        return self._sock, self._reader

    def _read_ahead(self) -> bytes:
        """What has come already and nobody has read, without waiting for more."""
        sock, reader = self._opened()
        sock.setblocking(False)
        try:
            return reader.peek(1)
        finally:
            sock.settimeout(self._timeout + 5)

    def _is_readable(self) -> bool:
        """Whether octets have come, or an error at the end of the stream. A TLS record may hold none."""
        sock, reader = self._opened()
        sock.setblocking(False)
        try:
            if reader.peek(1) or (self.secured is None and sock.recv(1, socket.MSG_PEEK)):
                return True
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        finally:
            sock.settimeout(self._timeout + 5)
        raise ConnectionResetError("the connection ended")

    def _seconds(self, seconds: float | None = None) -> float:
        seconds = self._timeout if seconds is None else seconds
        if self._ends_at is None:
            return seconds
        return max(min(seconds, self._ends_at - time.monotonic()), 0.001)

    def _failure(self, exc: BaseException, stage: Stage, translate: Translator | None) -> BaseException:
        if not isinstance(exc, Exception):
            return exc
        if self._alarm.expired or isinstance(exc, TimeoutError):
            return self._timed_out(stage)
        if isinstance(exc, MailServerError):
            return exc
        return (translate and translate(exc, stage)) or self._translate(exc, stage) or exc

    def _translate(self, exc: Exception, stage: Stage) -> MailServerError | None:
        if stage is Stage.TLS and isinstance(exc, ssl.SSLError) and not isinstance(exc, ssl.SSLEOFError):
            return tls.handshake_failure(exc, self.host)
        if isinstance(exc, OSError):
            reason = exc.strerror or type(exc).__name__
            return ConnectionFailed(f"{self.host}: {reason}", stage=stage, errno=exc.errno or 0)
        if isinstance(exc, (ValueError, LookupError, TypeError)):
            # Not our arguments, those were checked: an answer that is not what its standard says.
            return UnexpectedServer(f"{self.host}: {type(exc).__name__}", stage=stage)
        return None

    def _timed_out(self, stage: Stage) -> ServerTimeout:
        return ServerTimeout(f"{self.host} port {self.port}: no answer in time", stage=stage)


def forget_locals(exc: BaseException) -> None:
    """Empty the frames an exception remembers: passwords pass through those of the libraries."""
    seen: BaseException | None = exc
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            with suppress(RuntimeError):  # a frame that still runs keeps its own
                trace.tb_frame.clear()
            trace = trace.tb_next
        seen = seen.__context__
