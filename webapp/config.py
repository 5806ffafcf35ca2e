"""Settings, read once at start from the environment and `instance/servicedesk.toml`.

A wrong value stops the start with one line that names the setting; nothing is looked up later. The
environment wins over the file. `OPTIONS` is the one list of what exists: `servicedesk doctor` and the
administrator's guide are made from it.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import make_url

CHECKOUT = Path(__file__).resolve().parent.parent


class ConfigError(Exception):
    """A setting is wrong; the message names it and says what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the process was told. Times in seconds, paths absolute."""

    instance: Path
    host: str = "127.0.0.1"
    port: int = 8080
    database_url: str = field(default="", repr=False)  # may hold PostgreSQL's password
    public_url: str = ""
    mail_ca_file: str = ""
    trusted_hosts: tuple[str, ...] = ()
    trusted_proxies: int = 0
    poll_interval: int = 60
    session_hours: int = 12
    max_message_mb: int = 50
    log_level: str = "INFO"
    log_format: str = "text"
    threads: int = 8
    metrics_token: str = field(default="", repr=False)
    ms_client_id: str = ""
    ms_client_secret: str = field(default="", repr=False)
    ms_authority: str = "https://login.microsoftonline.com/organizations"
    ms_graph_base: str = "https://graph.microsoft.com/v1.0"
    ms_stand_ins: bool = False

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite:")

    @property
    def served_over_https(self) -> bool:
        return self.public_url.startswith("https://")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its field, how text becomes its value, and a sentence for people."""

    field: str
    read: Callable[[str], Any]
    help: str

    @property
    def variable(self) -> str:
        return f"SERVICEDESK_{self.field.upper()}"


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of this process; creates the instance folder (0700) if it is missing.

    Raises ConfigError with one line for people. `overrides` (command line options) win over everything.
    """
    environ = os.environ if environ is None else environ
    place = overrides.pop("instance", None) or environ.get("SERVICEDESK_INSTANCE") or CHECKOUT / "instance"
    instance = Path(place).expanduser().resolve()
    _create_instance(instance)
    values: dict[str, Any] = {}
    told = _read_file(instance / "servicedesk.toml") | _read_environment(environ)
    for option in OPTIONS:
        if option.field in overrides:
            told[option.field] = (str(overrides[option.field]), "the command line")
        if option.field in told:
            text, source = told[option.field]
            values[option.field] = _read_value(option, text, source)
    _check_microsoft(values)
    values["database_url"] = values.get("database_url") or f"sqlite:///{instance / 'servicedesk.db'}"
    return Settings(instance=instance, **values)


def allowed_hosts(settings: Settings) -> tuple[str, ...]:
    """The Host headers that are answered: loopback, the public address, and what was added by hand."""
    public = urlsplit(settings.public_url).hostname or ""
    public = f"[{public}]" if ":" in public else public
    return ("localhost", "127.0.0.1", "[::1]", *((public,) if public else ()), *settings.trusted_hosts)


def _check_microsoft(values: Mapping[str, Any]) -> None:
    """A token is sent to these hosts, and mail with it: none but Microsoft's, except in a test."""
    for name, hosts in (("ms_authority", MICROSOFT_LOGIN_HOSTS), ("ms_graph_base", MICROSOFT_GRAPH_HOSTS)):
        host = urlsplit(values.get(name, "")).hostname
        if host and host not in hosts and not values.get("ms_stand_ins"):
            raise ConfigError(
                f"Setting {name}: {host} is not one of Microsoft's hosts. Enter one of {', '.join(hosts)}."
            )


def _create_instance(instance: Path) -> None:
    try:
        instance.mkdir(mode=0o700, parents=True, exist_ok=True)
        if instance == CHECKOUT / "instance" and instance.stat().st_uid == os.getuid():
            instance.chmod(0o700)  # a checkout makes it with the modes of any other folder
    except OSError as error:
        raise ConfigError(f"The instance folder {instance} cannot be made: {error.strerror}.") from error
    if not os.access(instance, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"The instance folder {instance} cannot be written to by this user.")


def _read_file(path: Path) -> dict[str, tuple[str, str]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    known = [option.field for option in OPTIONS]
    for name in content:
        if name not in known:
            raise ConfigError(f"{path}: there is no setting {name!r}. Known: {', '.join(known)}.")
    told = {name: (_as_text(name, value, path), str(path)) for name, value in content.items()}
    return {name: text for name, text in told.items() if text[0].strip()}  # empty: not set, as outside


def _as_text(name: str, value: object, path: Path) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ConfigError(f"Setting {name} from {path}: enter a text or a whole number.")


def _read_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        option.field: (environ[option.variable], f"the environment ({option.variable})")
        for option in OPTIONS
        if environ.get(option.variable, "").strip()
    }


def _read_value(option: Option, text: str, source: str) -> Any:
    text = text.strip()
    try:
        if not text.isprintable():
            raise ValueError("remove the line break or other control character.")
        return option.read(text)
    except ValueError as error:
        raise ConfigError(f"Setting {option.field} from {source}: {error}") from error


def _between(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
            raise ValueError(f"enter a whole number from {low} to {high}, not {text[:40]!r}.")
        return int(text)

    return read


def _file(text: str) -> str:
    path = Path(text).expanduser().resolve()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path} is not a file.")
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    return str(path)


def _web_address(text: str) -> str:
    sentence = "enter an address such as https://desk.example.com, without a path."
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:  # brackets without an address, a port that is none
        raise ValueError(sentence) from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or any(char in text for char in " ?#@\\"):
        raise ValueError(sentence)
    if parts.path.strip("/"):
        raise ValueError(sentence)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def _https_address(text: str) -> str:
    """https, a host and a path: what msal and Graph take."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or not parts.path.strip("/"):
        raise ValueError(_MICROSOFT_SENTENCE)
    if parts.query or parts.fragment or parts.username is not None or any(char in text for char in " \\"):
        raise ValueError(_MICROSOFT_SENTENCE)
    return text.rstrip("/")


def _yes_or_no(text: str) -> bool:
    if text.casefold() not in ("true", "false"):
        raise ValueError("enter true or false.")
    return text.casefold() == "true"


def read_database_url(text: str) -> str:
    """The address of a database, checked. Raises ValueError, whose text never has its password in it."""
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError(_DATABASE_SENTENCE) from None
    if url.drivername == "sqlite" and Path(url.database or "").is_absolute() and not url.query:
        return text
    if url.drivername == "postgresql+psycopg" and url.database:
        return text
    raise ValueError(_DATABASE_SENTENCE)


def _log_level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("enter DEBUG, INFO, WARNING or ERROR.")
    return text.upper()


def _log_format(text: str) -> str:
    if text.lower() not in ("text", "json"):
        raise ValueError("enter text or json.")
    return text.lower()


def _text(text: str) -> str:
    return text


def _secret(text: str) -> str:
    if len(text) < 16:
        raise ValueError("enter at least 16 characters.")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


_DATABASE_SENTENCE = (
    "enter sqlite:////FULL/PATH/TO/FILE.db or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE."
)
_MICROSOFT_SENTENCE = "enter an https address with a path, as the administrator's guide shows it."
# Microsoft's clouds: worldwide, US government, China.
MICROSOFT_LOGIN_HOSTS = (
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
)
MICROSOFT_GRAPH_HOSTS = (
    "graph.microsoft.com",
    "graph.microsoft.us",
    "dod-graph.microsoft.us",
    "microsoftgraph.chinacloudapi.cn",
)
OPTIONS: tuple[Option, ...] = (
    Option("host", _text, "address the web pages listen on"),
    Option("port", _between(1, 65535), "port the web pages listen on"),
    Option("database_url", read_database_url, "where the data is: a file (SQLite) or a PostgreSQL database"),
    Option("public_url", _web_address, "the address people type, for links; https makes cookies secure"),
    Option(
        "mail_ca_file",
        _file,
        "PEM file of certificate authorities trusted for mail servers instead of the system's",
    ),
    Option("trusted_hosts", _names, "further host names the pages answer to, comma-separated"),
    Option("trusted_proxies", _between(0, 9), "how many reverse proxies' X-Forwarded headers are believed"),
    Option("poll_interval", _between(5, 3600), "seconds between two looks into the incoming mailbox"),
    Option("session_hours", _between(1, 720), "hours without a click after which a sign-in ends"),
    Option(
        "max_message_mb",
        _between(1, 150),
        "largest message taken in whole, in MB; a larger one becomes a stub ticket",
    ),
    Option("log_level", _log_level, "how much is logged"),
    Option("log_format", _log_format, "text for people, or json: one object a line"),
    Option("threads", _between(1, 64), "threads that answer web requests"),
    Option("metrics_token", _secret, "what a Prometheus server has to send to read /metrics; empty: off"),
    Option("ms_client_id", _text, "Office365: application (client) ID where a row names none"),
    Option("ms_client_secret", _text, "Office365: its client secret where a row has none"),
    Option(
        "ms_authority", _https_address, "Office365: where Microsoft signs people in, ending in the tenant"
    ),
    Option("ms_graph_base", _https_address, "Office365: Microsoft Graph; another for a national cloud"),
    Option(
        "ms_stand_ins",
        _yes_or_no,
        "for tests only: the two addresses above may be other hosts than Microsoft's",
    ),
)
