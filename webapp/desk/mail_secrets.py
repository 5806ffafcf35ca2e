"""The one secret of a mail server row: its password, or an app registration's client secret.

Typed, or saved and taken along only while what it belongs to stays the same.
"""

from __future__ import annotations

from webapp.desk.mail_fields import has_controls, read_client_id
from webapp.desk.mail_protocols import SECRETS
from webapp.desk.mail_values import MailServerValues, values_of
from webapp.mailserver.base import MailProtocol
from webapp.models import MailServer
from webapp.vault import Vault, VaultError


def secret_name(protocol: MailProtocol) -> str:
    """The form's field, and the column without "_sealed"."""
    return SECRETS[protocol is MailProtocol.OFFICE365]


def sealed_of(stored: MailServer) -> str:
    return str(getattr(stored, f"{secret_name(MailProtocol(stored.protocol))}_sealed"))


def read_secret(protocol: MailProtocol, typed: str | None, host: str, found: dict[str, str]) -> str | None:
    """The typed secret, or None. A newline at its end comes from pasting or a pipe."""
    name, typed = secret_name(protocol), (typed or "").rstrip("\r\n")
    if not typed:
        return None
    if has_controls(typed):
        words = "password" if name == "password" else "client secret"
        found[name] = f"Remove the line break or other control character from the {words}."
    elif len(typed) > 1000:
        found[name] = "Enter at most 1000 characters."
    elif name == "client_secret" and _is_uuid(typed.strip()):
        found[name] = "This is the secret's ID. Enter its value, which Microsoft shows once, when it is made."
    if name == "client_secret":
        return typed.strip()
    if host.strip().casefold().rstrip(".").endswith((".gmail.com", ".googlemail.com")):
        return "".join(typed.split())  # Google shows an app password in four groups of letters
    return typed


def _is_uuid(text: str) -> bool:
    try:
        return bool(read_client_id(text))
    except ValueError:
        return False


def stored_secret(
    vault: Vault,
    stored: MailServer | None,
    values: MailServerValues | None,
    found: dict[str, str],
    *,
    active: bool,
) -> str | None:
    """The saved secret if it may go along; where that is refused, `found` says so."""
    if stored is None or not sealed_of(stored):
        return None
    name = secret_name(MailProtocol(stored.protocol))
    if values is not None and values_of(stored).endpoint != values.endpoint:
        if secret_name(values.protocol) == name and values.requires_auth:
            found[name] = _changed_sentence(stored)
        return None
    try:
        return vault.unseal(sealed_of(stored))
    except VaultError as error:  # a row that is turned off, or stays off, needs none
        if active:
            found[name] = str(error)
        return None


def _changed_sentence(stored: MailServer) -> str:
    if stored.protocol == MailProtocol.OFFICE365:
        return (
            "You changed the app registration. Enter the client secret again – "
            "the saved one belongs to the application of before."
        )
    return (
        "You changed the server or the account. Enter the password again – "
        f"the saved one is only sent to {stored.host}."
    )
