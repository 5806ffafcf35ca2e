"""The desk's own settings, by name, each with its default."""

from __future__ import annotations

import enum
import logging
import secrets
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy.orm import Session

from webapp.database import Database
from webapp.mail import reply_token
from webapp.models import Setting
from webapp.vault import Vault, VaultError

TIME_ZONE = "time_zone"
IGNORED_MAIL = "ignored_mail"
LOOP_KEY = "loop_key"
SEALED = (LOOP_KEY,)  # the settings whose value the vault has sealed

logger = logging.getLogger(__name__)


class IgnoredMail(enum.StrEnum):
    """What becomes of mail the parser ignores."""

    MOVE = "move"  # to <archive>/Ignored, still unread
    LEAVE = "leave"  # in the inbox


def time_zone(session: Session) -> ZoneInfo:
    """The zone times are shown and typed in."""
    row = session.get(Setting, TIME_ZONE)
    return ZoneInfo(row.value if row else "UTC")


def set_time_zone(session: Session, name: str) -> None:
    """Raises ValueError for a zone that does not exist."""
    if name not in available_timezones():
        raise ValueError(f"There is no time zone {name!r}. Choose one such as Europe/Sofia.")
    session.merge(Setting(name=TIME_ZONE, value=name))


def ignored_mail(session: Session) -> IgnoredMail:
    row = session.get(Setting, IGNORED_MAIL)
    return IgnoredMail(row.value) if row else IgnoredMail.MOVE


def set_ignored_mail(session: Session, value: IgnoredMail) -> None:
    session.merge(Setting(name=IGNORED_MAIL, value=value.value))


def loop_key(session: Session, vault: Vault) -> bytes | None:
    """The key that marks mail of this desk as its own; None before anything was ever sent.

    None, too, where the vault's keys were lost: mail already on its way is not known by its mark then,
    but passwords that are entered again must be enough to go on.
    """
    row = session.get(Setting, LOOP_KEY)
    try:
        return bytes.fromhex(vault.unseal(row.value)) if row else None
    except VaultError:
        logger.error("the loop key cannot be decrypted with the keys in %s", vault.source)
        return None


def make_loop_key(session: Session, vault: Vault) -> bytes:
    """The same, made on first use; needs a writing session."""
    key = loop_key(session, vault)
    if key is None:
        key = secrets.token_bytes(32)
        session.merge(Setting(name=LOOP_KEY, value=vault.seal(key.hex())))
    return key


def have_loop_key(database: Database, vault: Vault) -> bytes:
    """The same for whoever composes outside of a writing session."""
    with database.reading() as session:
        key = loop_key(session, vault)
    if key is None:
        with database.writing() as session:
            key = make_loop_key(session, vault)
    return key


def reply_key(session: Session, vault: Vault) -> bytes | None:
    """The key of the tokens in our Message-IDs (`webapp.mail.reply_token`); None as above."""
    key = loop_key(session, vault)
    return reply_token.reply_key(key) if key else None


def make_reply_key(session: Session, vault: Vault) -> bytes:
    """The same, made on first use; needs a writing session."""
    return reply_token.reply_key(make_loop_key(session, vault))
