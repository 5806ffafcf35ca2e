"""Which app registration a row uses, and which permissions it asks Microsoft for: pure."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote, urlsplit

from webapp.config import Settings
from webapp.mail.address import fold_addr_spec
from webapp.mailserver.microsoft_oauth import AppRegistration
from webapp.models import Row

CALLBACK_PATH = "/oauth/office365/callback"
# What msal adds by itself, and refuses to be asked for.
_IDENTITY_SCOPES = frozenset({"openid", "profile", "offline_access", "email"})
# A message of more than 2 MB goes out by way of a draft, which needs the right to write one.
_MAIL_SCOPES = {True: ("Mail.ReadWrite",), False: ("Mail.Send", "Mail.ReadWrite")}


def registration_of(
    settings: Settings, *, tenant_id: str, client_id: str, client_secret: str
) -> AppRegistration | None:
    """The registration these values name; None while something is missing.

    What a row leaves empty comes from the settings of the instance; but the secret there belongs to the
    client there and to no other. Without a tenant it is that of the settings: `organizations` means the
    account's own one.
    """
    if not client_id or client_id == settings.ms_client_id:
        client_id, client_secret = settings.ms_client_id, client_secret or settings.ms_client_secret
    if not client_id or not client_secret:
        return None
    return AppRegistration(authority_of(settings, tenant_id), client_id, client_secret)


def authority_of(settings: Settings, tenant_id: str) -> str:
    parts = urlsplit(settings.ms_authority)
    tenant = quote(tenant_id.strip(), safe="") or parts.path.strip("/")
    return f"https://{parts.netloc}/{tenant}"


def redirect_address(settings: Settings) -> str:
    """The address Microsoft sends the browser back to; it is registered letter for letter.

    Made from PUBLIC_URL, never from a Host header. Without PUBLIC_URL only a browser on this very machine
    can come back, and the one plain http address Microsoft takes is localhost.
    """
    base = settings.public_url or f"http://localhost:{settings.port}"
    return base + CALLBACK_PATH


def can_come_back(settings: Settings) -> bool:
    """Whether Microsoft takes that address: https, or http on localhost."""
    parts = urlsplit(redirect_address(settings))
    return parts.scheme == "https" or parts.hostname == "localhost" or settings.ms_stand_ins


def scopes_for(row: Row, *, shared: bool) -> frozenset[str]:
    """The permissions the row needs, and no more; `shared`: its mailbox is not the account's own."""
    own = _MAIL_SCOPES[row is Row.INCOMING]
    return frozenset(("User.Read", *own, *(f"{scope}.Shared" for scope in own if shared)))


def to_ask_again(granted: Collection[str]) -> list[str]:
    """The permissions a renewed token is asked for: those that were given."""
    return sorted(scope for scope in granted if scope.casefold() not in _IDENTITY_SCOPES)


def other_mailbox(own_addresses: Collection[str], mailbox: str) -> str:
    """The mailbox where it is another one than the account's own, else empty."""
    own = {fold_addr_spec(address) for address in own_addresses}
    return "" if not mailbox or fold_addr_spec(mailbox) in own else mailbox
