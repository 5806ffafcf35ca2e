"""Asking DNS for what the system's resolver interface does not tell: MX and SRV records.

A resolver of dnspython's is used for addresses too, so that a suggestion is made from one source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.resolver
from dns.nameserver import Do53Nameserver

LONGEST_SECONDS = 3.0
_HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Service:
    """Where an SRV record (RFC 2782) says that a service is."""

    host: str
    port: int


class Names:
    """One way to ask. `server` is (address, port) of a name server; None: those of this machine."""

    def __init__(self, server: tuple[str, int] | None = None, *, seconds: float = LONGEST_SECONDS) -> None:
        try:
            self._resolver: dns.resolver.Resolver | None = dns.resolver.Resolver(configure=server is None)
        except dns.exception.DNSException:  # this machine has no /etc/resolv.conf
            self._resolver = None
            return
        if server is not None:
            self._resolver.nameservers = [Do53Nameserver(*server)]
        self._resolver.lifetime = seconds
        self._resolver.timeout = seconds / 2

    def mail_servers(self, domain: str) -> list[str]:
        """The hosts of the MX records, the preferred first; [] where there are none or nobody answers."""
        records = sorted(self._ask(domain, "MX"), key=lambda record: record.preference)
        return [name for record in records if (name := _text(record.exchange))]

    def service(self, name: str, domain: str) -> list[Service]:
        """Where `name` ("_imaps._tcp") is offered; a target of "." says nowhere (RFC 6186 section 3.4)."""
        records = sorted(self._ask(f"{name}.{domain}", "SRV"), key=lambda r: (r.priority, -r.weight))
        return [Service(host, record.port) for record in records if (host := _text(record.target))]

    def addresses(self, host: str) -> list[str]:
        """Numeric addresses, IPv4 first: a machine without IPv6 would wait for it in vain."""
        return [str(record.address) for kind in ("A", "AAAA") for record in self._ask(host, kind)]

    def _ask(self, name: str, kind: str) -> list:  # type: ignore[type-arg]
        if self._resolver is None:
            return []
        try:
            return list(self._resolver.resolve(name, kind, search=False))
        except (dns.exception.DNSException, OSError, ValueError):
            return []


def _text(name: dns.name.Name) -> str:
    """The name if it can be a host's, else nothing: DNS carries any octets, and somebody else wrote them."""
    text = name.to_text(omit_final_dot=True).lower()
    return text if _HOST.fullmatch(text) else ""
