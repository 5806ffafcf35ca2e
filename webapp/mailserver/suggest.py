"""Which settings belong to an e-mail address: from a table, from DNS, and by looking at certificates.

DNS, TCP and TLS only: no password, and no command; a server hears nothing but a TLS hello. First what is
known of large providers, then what the domain itself says (RFC 6186, RFC 8314), then the usual names. A
suggestion says where it comes from and what it could not check.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import probe, providers, sockets, tls
from .base import MailProtocol, TlsMode
from .errors import MailServerError
from .line import Line
from .remedy import IMPLICIT_PORT, MODES

if TYPE_CHECKING:
    from .dns import Names, Service

LONGEST_SECONDS = 10.0
_LOOK_EVERY = 0.05
# RFC 8314 section 5.1 prefers TLS from the start; the second kind is STARTTLS.
_SERVICES = {
    MailProtocol.IMAP: (("_imaps._tcp", TlsMode.IMPLICIT), ("_imap._tcp", TlsMode.STARTTLS)),
    MailProtocol.SMTP: (("_submissions._tcp", TlsMode.IMPLICIT), ("_submission._tcp", TlsMode.STARTTLS)),
}
# A record that names another port would have this machine knock at any door of anybody's.
_MAIL_PORTS = frozenset({143, 465, 587, 993})
_USUAL = {MailProtocol.IMAP: ("imap", "mail"), MailProtocol.SMTP: ("smtp", "mail")}
SIGN_IN_UNCHECKED = "Not checked: whether the user name and password are accepted."
STARTTLS_UNCHECKED = (
    "Not checked: the encryption, which this server agrees on only in conversation, "
    "and whether the user name and password are accepted."
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to enter, and why. Without a host there is nothing to enter: `why` says the reason."""

    protocol: MailProtocol
    why: str
    host: str = ""
    port: int = 0
    tls_mode: TlsMode = TlsMode.IMPLICIT
    username: str = ""
    note: str = ""
    unchecked: str = ""

    @property
    def changes(self) -> dict[str, str]:
        """By the names and in the texts of the form's fields; empty where there is nothing to enter."""
        if self.protocol is MailProtocol.OFFICE365:
            return {"protocol": self.protocol.value, "mailbox": self.username}
        if not self.host:
            return {}
        return {
            "host": self.host,
            "port": str(self.port),
            "use_ssl": "true",
            "tls_mode": self.tls_mode.value,
            "username": self.username,
        }

    @property
    def sentence(self) -> str:
        if not self.host:
            return self.why
        return f"{self.host}, port {self.port}, {MODES[self.tls_mode]}: {self.why}."


def suggest(
    address: str,
    *,
    sending: bool,
    cancelled: Callable[[], bool] = lambda: False,
    ca_file: str | None = None,
    names: Names | None = None,
    allow_loopback: bool = False,
    seconds: float = LONGEST_SECONDS,
) -> Suggestion | None:
    """Settings for this address, or None where nothing was found within `seconds` or it was cancelled.

    `names` asks another name server; `allow_loopback` is for servers on this machine, at
    any port. Raises ValueError with a sentence where `address` is no address.
    """
    domain = _domain_of(address)
    protocol = MailProtocol.SMTP if sending else MailProtocol.IMAP
    if provider := providers.of_domain(domain):
        return _of_provider(provider, protocol, address, f"what {provider.name} tells its customers to enter")
    if names is None:
        from . import (
            dns,
        )  # dnspython takes 70 ms and 6 MB, and a process that suggests nothing needs none of it

        names = dns.Names()
    search = _Search(address, domain, protocol, names, ca_file, allow_loopback)
    return _within(seconds, cancelled, search)


def _domain_of(address: str) -> str:
    local, at, domain = address.strip().rpartition("@")
    bad = not at or not local or any(c.isspace() or not c.isprintable() for c in address.strip())
    try:
        domain = sockets.to_ascii_host(domain)
    except MailServerError:
        bad = True
    if bad or "." not in domain or not all(map(_is_label, domain.split("."))):
        raise ValueError("Enter one email address, for example help@example.com.")
    return domain


def _is_label(label: str) -> bool:
    return 0 < len(label) < 64 and label.replace("-", "").isalnum() and not label.startswith("-")


def _of_provider(provider: providers.Provider, protocol: MailProtocol, address: str, why: str) -> Suggestion:
    server = provider.server(protocol)
    kept_at = f"The mail of {address.strip()} is kept at {provider.name}"
    if provider.office365:
        return Suggestion(
            MailProtocol.OFFICE365,
            f"{kept_at}: choose Office365, which signs in at Microsoft and needs no password.",
            username=address.strip(),
        )
    if server is None:
        return Suggestion(
            protocol,
            f"{kept_at}, where signing in with a password does not work any more. Use a mailbox of Microsoft "
            "365 or of another provider.",
        )
    return Suggestion(
        protocol,
        why,
        server.host,
        server.port,
        server.tls_mode,
        address.strip(),
        providers.host_notice(protocol, server.host),
        SIGN_IN_UNCHECKED,
    )


class _Search:
    """What is done in a thread of its own; `lines` are its connections, to be aborted from outside."""

    def __init__(
        self,
        address: str,
        domain: str,
        protocol: MailProtocol,
        names: Names,
        ca_file: str | None,
        allow_loopback: bool,
    ) -> None:
        self.lines: list[Line] = []
        self.ends_at = time.monotonic() + LONGEST_SECONDS
        self.stopped = False
        self._address, self._domain, self._protocol = address.strip(), domain, protocol
        self._names, self._allow_loopback = names, allow_loopback
        self._context = tls.verifying_context(ca_file)

    def run(self) -> Suggestion | None:
        mail_servers, implicit, starttls = _at_once(
            [
                lambda: self._names.mail_servers(self._domain),
                *(
                    lambda name=name: self._names.service(name, self._domain)
                    for name, _ in _SERVICES[self._protocol]
                ),
            ]
        )
        for name in mail_servers:
            if provider := providers.of_mail_server(name):
                why = (
                    f"{self._domain}'s mail goes to {provider.name}, which tells its customers to enter this"
                )
                return _of_provider(provider, self._protocol, self._address, why)
        return (
            self._of_record(implicit, TlsMode.IMPLICIT)
            or self._of_record(starttls, TlsMode.STARTTLS)
            or self._of_usual_names(mail_servers)
        )

    def _of_record(self, services: Iterable[Service], mode: TlsMode) -> Suggestion | None:
        """The domain's own record, if what it names is there."""
        record = dict((mode, name) for name, mode in _SERVICES[self._protocol])[mode]
        for service in filter(self._may_be_asked, services):
            is_there = self._is_verified if mode is TlsMode.IMPLICIT else self._is_open
            if not self.stopped and is_there(service.host, service.port):
                unchecked = SIGN_IN_UNCHECKED if mode is TlsMode.IMPLICIT else STARTTLS_UNCHECKED
                return self._found(
                    service.host,
                    service.port,
                    mode,
                    f"from {self._domain}'s own DNS record ({record})",
                    unchecked
                    if self._is_own(service.host)
                    else f"{unchecked} {self._elsewhere(service.host)}",
                )
        return None

    def _of_usual_names(self, mail_servers: Sequence[str]) -> Suggestion | None:
        """The usual names below the domain, and its own mail servers, where a certificate proves the name."""
        port = IMPLICIT_PORT[self._protocol]
        hosts = [f"{label}.{self._domain}" for label in _USUAL[self._protocol]]
        hosts += [name for name in mail_servers if self._is_own(name) and name not in hosts][:2]
        verified = _at_once([lambda host=host: self._is_verified(host, port) for host in hosts])  # type: ignore[misc]
        for host, is_verified in zip(hosts, verified, strict=True):
            if is_verified:
                why = f"{host} answers with a valid certificate"
                return self._found(host, port, TlsMode.IMPLICIT, why, SIGN_IN_UNCHECKED)
        return None

    def _found(self, host: str, port: int, mode: TlsMode, why: str, unchecked: str) -> Suggestion:
        notice = providers.host_notice(self._protocol, host)
        return Suggestion(self._protocol, why, host, port, mode, self._address, notice, unchecked)

    def _is_own(self, host: str) -> bool:
        return host == self._domain or host.endswith(f".{self._domain}")

    def _elsewhere(self, host: str) -> str:
        """DNS is not signed as a rule: whose server it names is for a person to know (RFC 6186 section 6)."""
        return f"{host} is not part of {self._domain}: is that your mail provider?"

    def _is_verified(self, host: str, port: int) -> bool:
        addresses = self._allowed(host)
        seconds = self.ends_at - time.monotonic()
        return bool(addresses) and probe.answers_tls(
            host, addresses, port, self._context, seconds=seconds, watch=self._watch
        )

    def _is_open(self, host: str, port: int) -> bool:
        addresses = self._allowed(host)
        line = Line(host, port, min(probe.LONGEST_SECONDS, max(self.ends_at - time.monotonic(), 0.01)))
        self._watch(line)
        try:
            return bool(addresses) and bool(line.connect(addresses))
        except MailServerError:
            return False
        finally:
            line.close()

    def _may_be_asked(self, service: Service) -> bool:
        return self._allow_loopback or service.port in _MAIL_PORTS

    def _allowed(self, host: str) -> list[str]:
        """The addresses that may be asked; what is looked up is what is connected to."""
        return [
            address
            for address in self._names.addresses(host)
            if not sockets.is_refused(address) and (self._allow_loopback or not sockets.is_loopback(address))
        ]

    def _watch(self, line: Line) -> None:
        self.lines.append(line)
        if self.stopped:
            line.abort()

    def stop(self) -> None:
        self.stopped = True
        for line in list(self.lines):
            line.abort()


def _at_once(questions: Sequence[Callable[[], object]]) -> list:  # type: ignore[type-arg]
    """The answers, in order; each question is asked in a thread of its own."""
    answers: list[object] = [None] * len(questions)

    def ask(number: int) -> None:
        answers[number] = questions[number]()

    threads = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _within(seconds: float, cancelled: Callable[[], bool], search: _Search) -> Suggestion | None:
    """The search's answer if it comes in time; otherwise its connections are ended and it is left behind."""
    search.ends_at = time.monotonic() + seconds
    answers: queue.SimpleQueue[Suggestion | Exception | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(search.run())
        except Exception as broken:  # noqa: BLE001 - raised again where it is waited for
            answers.put(broken)

    threading.Thread(target=run, name="mail-suggest", daemon=True).start()
    while time.monotonic() < search.ends_at and not cancelled():
        try:
            answer = answers.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            continue
        if isinstance(answer, Exception):
            raise answer
        return answer
    search.stop()
    return None
