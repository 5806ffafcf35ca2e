"""What stood in a form while something runs for it, for the page that comes back to it (no script).

A page without a script asks for its address again and again until a test has ended; the form that started
it is then shown as it was filled in. Kept in memory, the newest only; a password is never kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from werkzeug.datastructures import MultiDict

from webapp.desk.mail_protocols import SECRETS

KEPT_FORMS = 50
NEVER_KEPT = (*SECRETS, "csrf_token")
TYPED = "_typed"  # password_typed: a secret was typed, and is to be typed again


class KeptEntries:
    """The entries of the forms for which something was started, by the id of what was started."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, MultiDict[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, key: str, entries: MultiDict[str, str]) -> None:
        kept = MultiDict((name, text) for name, text in entries.items() if name not in NEVER_KEPT)
        for secret in SECRETS:
            if entries.get(secret):
                kept[f"{secret}{TYPED}"] = "true"
        with self._lock:
            self._kept[key] = kept
            while len(self._kept) > KEPT_FORMS:
                self._kept.popitem(last=False)

    def find(self, key: str) -> MultiDict[str, str] | None:
        with self._lock:
            return self._kept.get(key)
