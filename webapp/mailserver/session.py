"""The first steps of a conversation, which IMAP and SMTP have in common.

A mailbox or transport takes them all in `begin()`; the diagnosis takes the same steps one by one.
"""

from __future__ import annotations

import abc
import ssl
from contextlib import closing, suppress

from . import tls
from .base import ServerSettings, TlsMode
from .errors import CertificateFacts, CertificateRefused, MailServerError
from .line import Line
from .words import check_complete, check_sendable


class Session(abc.ABC):
    """A connection to a server, from looking its name up to signing in."""

    def __init__(self, settings: ServerSettings, *, ends_at: float | None = None) -> None:
        self.settings = settings
        self.line = Line(settings.host, settings.port, settings.timeout, ends_at=ends_at)
        self._addresses: list[str] = []
        self._ends_at = ends_at
        self._look: Session | None = None
        self._aborted = False

    def begin(self) -> None:
        """All the steps, in order."""
        self.check_settings()
        self.resolve()
        self.connect()
        self.secure()
        self.greet()
        self.sign_in()

    def abort(self) -> None:
        """End what is going on, also from another thread: a step that waits raises at once."""
        self._aborted = True
        self.line.abort()
        if self._look is not None:
            self._look.line.abort()

    def check_settings(self) -> None:
        """Refuse what is incomplete or must never reach a wire, before anything does."""
        check_complete(self.settings)
        check_sendable(self.settings)

    def resolve(self) -> list[str]:
        """Look the host's addresses up."""
        self._addresses = self.line.resolve()
        return self._addresses

    def connect(self) -> str:
        """Open the TCP connection; the address that answered."""
        return self.line.connect(self._addresses)

    def secure(self) -> None:
        """Protect the connection as the settings ask, or fail; never go on in clear instead."""
        if self.settings.tls_mode is TlsMode.NONE:
            return
        try:
            self._secure(tls.verifying_context(self.settings.ca_file))
        except CertificateRefused as refused:
            refused.facts = self._look_at_certificate()
            raise

    def tls_facts(self) -> tls.TlsFacts | None:
        """What was agreed on, for a person to read."""
        secured = self.line.secured
        return tls.facts_of(secured) if secured else None

    @abc.abstractmethod
    def greet(self) -> str:
        """Hear the greeting and learn the server's abilities; the greeting's text."""

    @abc.abstractmethod
    def abilities(self) -> str:
        """What the server says it can do, for a person to read."""

    @abc.abstractmethod
    def sign_in(self) -> str:
        """Authenticate where the settings ask for it; how it was done."""

    @abc.abstractmethod
    def close(self) -> None:
        """Say goodbye on a healthy connection, close it in any case; never raises."""

    @abc.abstractmethod
    def _ask_for_tls(self) -> None:
        """Hear the greeting in clear and have the server agree to STARTTLS."""

    def _secure(self, context: ssl.SSLContext) -> None:
        if self.settings.tls_mode is TlsMode.STARTTLS:
            self._ask_for_tls()
        self.line.start_tls(context)

    def _look_at_certificate(self) -> CertificateFacts | None:
        """Read the certificate that was refused, over a connection that is used for nothing else.

        OpenSSL forgets a certificate that it did not accept.
        """
        self._look = look = type(self)(self.settings, ends_at=self._ends_at)
        if self._aborted:
            return None
        with closing(look.line), suppress(MailServerError, ValueError):
            look.line.host = self.line.host
            look.line.connect(self._addresses)
            look._secure(tls.looking_context())
            facts = look.tls_facts()
            return facts.certificate if facts else None
        return None
