"""A brake on guessing passwords and codes.

Failures are counted for the client's address together with what is being guessed, and for the client's
address alone; never for an account alone, so that nobody can lock somebody else out. Kept in memory: a
restart forgets, and `servicedesk user reset-password` always works.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

FREE_TRIES = 5  # on one account from one address
FREE_TRIES_OF_ADDRESS = 20  # on all accounts together
LONGEST_WAIT = timedelta(minutes=5)
FORGET_AFTER = timedelta(hours=1)
MAX_KEYS = 10_000


@dataclass(slots=True)
class _Failures:
    number: int
    last: datetime


class Throttle:
    """Counts failures; after the free tries each doubles the wait, from 1 second to 5 minutes."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str, subject: str, now: datetime) -> timedelta:
        """How long this client has to wait before its next try at `subject`; zero: go on."""
        with self._lock:
            return max(
                self._wait_of((_network(client), subject), FREE_TRIES, now),
                self._wait_of((_network(client), ""), FREE_TRIES_OF_ADDRESS, now),
            )

    def failed(self, client: str, subject: str, now: datetime) -> None:
        with self._lock:
            for key in ((_network(client), subject), (_network(client), "")):
                known = self._failures.pop(key, None)
                fresh = known is not None and now - known.last < FORGET_AFTER
                self._failures[key] = _Failures(known.number + 1 if known and fresh else 1, now)
            while len(self._failures) > MAX_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, client: str, subject: str) -> None:
        with self._lock:
            self._failures.pop((_network(client), subject), None)

    def _wait_of(self, key: tuple[str, str], free: int, now: datetime) -> timedelta:
        known = self._failures.get(key)
        if known is None or known.number < free:
            return timedelta(0)
        delay = min(timedelta(seconds=2 ** min(known.number - free, 10)), LONGEST_WAIT)
        return max(known.last + delay - now, timedelta(0))


def _network(client: str) -> str:
    """One customer's line: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
