"""Who a Microsoft account is: its name and the addresses that are its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .base import MailProtocol, ServerSettings, TlsMode
from .errors import AccessDenied, MailboxUnavailable, MailServerError, SignInNeeded, Stage, UnexpectedServer

if TYPE_CHECKING:
    from .graph_session import GraphSession

_ABOUT_ME = {"$select": "id,displayName,mail,userPrincipalName,proxyAddresses"}
_ABOUT_TENANT = {"$select": "id,displayName"}


@dataclass(frozen=True, slots=True)
class Account:
    """A signed-in account. `address` is its primary one; `user_id` never changes."""

    user_id: str
    address: str
    display_name: str
    tenant_name: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that are its own, the primary first."""
        return (self.address, *self.aliases)

    def owns(self, addr_spec: str) -> bool:
        """Whether an address is one of its own."""
        return addr_spec.strip().casefold() in {address.casefold() for address in self.addresses}


def identity(token: str, *, graph_base: str, ca_file: str | None = None, timeout: float = 30.0) -> Account:
    """The account an access token belongs to, with its organisation's name where that can be read.

    Raises MailServerError; a token that is not accepted is SignInNeeded.
    """
    session = _session(token, graph_base, ca_file, timeout)
    try:
        session.begin()
        account = session.account()
        return replace(account, tenant_name=_tenant_name(session))
    finally:
        session.close()


def can_open(
    mailbox: str, token: str, *, graph_base: str, ca_file: str | None = None, timeout: float = 30.0
) -> bool:
    """Whether the account of this token may open the inbox of another mailbox. Reads nothing of it."""
    session = _session(token, graph_base, ca_file, timeout, mailbox=mailbox)
    try:
        session.begin()
        session.get(f"/users/{quote(mailbox, safe='@')}/mailFolders/inbox", Stage.INBOX, {"$select": "id"})
    except (AccessDenied, MailboxUnavailable):
        return False
    finally:
        session.close()
    return True


def read_account(session: GraphSession, stage: Stage) -> Account:
    """`/me`, which is the mailbox that the token really opens."""
    me = session.get("/me", stage, _ABOUT_ME)
    proxies = [str(one) for one in me.get("proxyAddresses") or []]
    smtp = [one[5:] for one in sorted(proxies, key=lambda one: not one.startswith("SMTP:")) if _is_smtp(one)]
    primary = str(me.get("mail") or "") or next(iter(smtp), "") or str(me.get("userPrincipalName") or "")
    if not primary or not me.get("id"):
        raise UnexpectedServer("an account without id or address", stage=stage)
    aliases = dict.fromkeys(one for one in smtp if one.casefold() != primary.casefold())
    return Account(str(me["id"]), primary, str(me.get("displayName") or ""), aliases=tuple(aliases))


def _is_smtp(proxy_address: str) -> bool:
    """SMTP: is the primary address, smtp: an alias; others are SIP, X500 ..."""
    return proxy_address[:5].lower() == "smtp:" and "@" in proxy_address


def _tenant_name(session: GraphSession) -> str:
    """Readable for people of the organisation with User.Read; guests and personal accounts have none."""
    try:
        found: list[Any] = list(session.pages("/organization", Stage.ACCOUNT, _ABOUT_TENANT))
    except MailServerError:
        return ""
    return str(found[0].get("displayName") or "") if found else ""


class _OneToken:
    def __init__(self, token: str) -> None:
        self._token = token

    def access_token(self, *, refused: str = "", claims_challenge: str = "") -> str:
        if refused:
            raise SignInNeeded("the token was not accepted", stage=Stage.TOKEN)
        return self._token


def _session(
    token: str, graph_base: str, ca_file: str | None, timeout: float, *, mailbox: str = ""
) -> GraphSession:
    from .graph_session import GraphSession

    return GraphSession(
        ServerSettings(
            protocol=MailProtocol.OFFICE365,
            host="",
            port=443,
            tls_mode=TlsMode.IMPLICIT,
            timeout=timeout,
            mailbox=mailbox,
            ca_file=ca_file,
            graph_base=graph_base,
            tokens=_OneToken(token),
        )
    )
