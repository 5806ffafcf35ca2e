"""Where an Exchange answers: its EWS address, made of host and port or entered as a whole. No network."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import SplitResult, urlsplit

from . import providers
from .base import ServerSettings, TlsMode
from .errors import InvalidSettings, Stage
from .sockets import to_ascii_host
from .words import has_control_characters

PATH = "/EWS/Exchange.asmx"
PORT = 443


def check(settings: ServerSettings) -> None:
    """Refuse an address that EWS cannot be asked at. Raises InvalidSettings with the field that is wrong."""
    if settings.ews_url.strip():
        host, _ = split(settings.ews_url)
    else:
        host = settings.host.strip()
        if not host:
            raise _invalid("the host name is missing", "host")
        if not 0 < settings.port < 65536:
            raise _invalid(f"{settings.port} is no port", "port")
        if settings.tls_mode is not TlsMode.IMPLICIT:
            raise _invalid("Exchange is asked over https only", "use_ssl")
    if providers.is_exchange_online(host):
        raise _invalid(providers.EXCHANGE_ONLINE, "protocol")


def endpoint(settings: ServerSettings) -> str:
    """The whole address, with the host as DNS knows it. Raises InvalidSettings, HostNotFound."""
    if settings.ews_url.strip():
        parts = _parts(settings.ews_url)
        host, port, path = parts.hostname or "", parts.port or PORT, parts.path
    else:
        host, port, path = settings.host, settings.port, ""
    host = to_ascii_host(host)
    host = f"[{host}]" if ":" in host else host
    where = host if port == PORT else f"{host}:{port}"
    return f"https://{where}{path if path.strip('/') else PATH}"


def split(ews_url: str) -> tuple[str, int]:
    """The host and the port of a whole address. Raises InvalidSettings (field ews_url)."""
    parts = _parts(ews_url)
    return parts.hostname or "", parts.port or PORT


def at_endpoint(settings: ServerSettings) -> ServerSettings:
    """The settings with the host and the port that are really connected to."""
    if not settings.ews_url.strip():
        return settings
    host, port = split(settings.ews_url)
    return replace(settings, host=host, port=port)


def _parts(ews_url: str) -> SplitResult:
    text = ews_url.strip()
    if has_control_characters(text) or any(c.isspace() for c in text):
        raise _invalid("the EWS address contains spaces or control characters", "ews_url")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as exc:
        raise _invalid("the EWS address is not a web address", "ews_url") from exc
    if parts.scheme != "https" or not parts.hostname or port == 0:
        raise _invalid("the EWS address has to start with https:// and a host name", "ews_url")
    if parts.username is not None or parts.query or parts.fragment:
        raise _invalid("the EWS address has to be without a user name, a question mark and a #", "ews_url")
    return parts


def _invalid(why: str, field: str) -> InvalidSettings:
    return InvalidSettings(why, stage=Stage.SETTINGS, field=field)
