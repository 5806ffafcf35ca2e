"""What is kept of a form while something runs for it."""

from __future__ import annotations

from werkzeug.datastructures import MultiDict

from webapp.views.mail_kept import KEPT_FORMS, KeptEntries

ENTERED = MultiDict({"host": "imap.example.com", "password": "canary-secret", "csrf_token": "t"})


def test_entries_are_kept_but_never_a_password() -> None:
    kept = KeptEntries()
    kept.keep("one", ENTERED)
    found = kept.find("one")
    assert found is not None
    assert found["host"] == "imap.example.com"
    assert "canary-secret" not in str(dict(found))
    assert "csrf_token" not in found


def test_only_the_newest_are_kept() -> None:
    kept = KeptEntries()
    for number in range(KEPT_FORMS + 1):
        kept.keep(str(number), ENTERED)
    assert kept.find("0") is None
    assert kept.find(str(KEPT_FORMS)) is not None


def test_nor_a_client_secret_but_that_one_was_typed() -> None:
    kept = KeptEntries()
    kept.keep("one", MultiDict({"tenant_id": "example.com", "client_secret": "canary-secret"}))
    found = kept.find("one")
    assert found is not None
    assert dict(found) == {"tenant_id": "example.com", "client_secret_typed": "true"}
