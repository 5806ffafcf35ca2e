"""How the desk's answers look and what may go along: sender's name, signature, size of files."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy.orm import Session

from webapp.mail.field_lines import checked
from webapp.mail.written_text import tidy
from webapp.models import Setting

NAME = "replies"
MAX_NAME = 100
MAX_SIGNATURE = 2_000
MAX_FILES_MB = 22  # what one request may bring
MEGABYTE = 1_000_000


class SenderName(enum.StrEnum):
    """Who a customer sees in From, beside the address of the Outgoing row."""

    PERSON = "person"  # Ann Lee (Example Desk)
    DESK = "desk"  # Example Desk
    NONE = "none"  # the address alone


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySettings:
    desk_name: str = ""
    sender_name: str = SenderName.PERSON.value
    signature: str = "{name}"  # {name} and {desk} are filled in
    files_mb: int = 20  # all files of one reply together

    @property
    def files_octets(self) -> int:
        return self.files_mb * MEGABYTE

    def sender_for(self, account_name: str) -> str:
        """The display name of From; "" where the address stands alone."""
        if self.sender_name == SenderName.NONE.value:
            return ""
        if self.sender_name == SenderName.DESK.value or not account_name:
            return self.desk_name
        return f"{account_name} ({self.desk_name})" if self.desk_name else account_name

    def signature_for(self, account_name: str) -> str:
        """The signature without lines that are empty for want of a name."""
        filled = self.signature.replace("{name}", account_name).replace("{desk}", self.desk_name)
        return tidy(filled).strip()


class SettingRefused(Exception):
    """Not saved; the message is a sentence, `field` the setting it is about."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


def load(session: Session) -> ReplySettings:
    """What is saved; what this version does not know is left out, what is missing has its default."""
    row = session.get(Setting, NAME)
    saved: dict[str, Any] = row.value if row and isinstance(row.value, dict) else {}
    known = {field.name for field in fields(ReplySettings)}
    return ReplySettings(**{name: value for name, value in saved.items() if name in known})


def save(session: Session, settings: ReplySettings) -> None:
    session.merge(Setting(name=NAME, value=asdict(settings)))


def read(*, desk_name: str, sender_name: str, signature: str, files_mb: str) -> ReplySettings:
    """What somebody entered. Raises SettingRefused."""
    name = " ".join(desk_name.split())
    if len(name) > MAX_NAME:
        raise SettingRefused(f"At most {MAX_NAME} characters fit.", field="desk_name")
    try:
        checked("the name", name)
    except ValueError as error:
        raise SettingRefused(
            "The name has a control character or a direction mark in it. Type it anew.", field="desk_name"
        ) from error
    if sender_name not in list(SenderName):
        raise SettingRefused("Choose one of these.", field="sender_name")
    if sender_name == SenderName.DESK.value and not name:
        raise SettingRefused("Enter the service desk's name first: customers will see it.", field="desk_name")
    text = tidy(signature).strip()
    if len(text) > MAX_SIGNATURE:
        raise SettingRefused(f"At most {MAX_SIGNATURE:,} characters fit.", field="signature")
    size = files_mb.strip()
    if not (size.isascii() and size.isdigit() and len(size) < 3 and 1 <= int(size) <= MAX_FILES_MB):
        raise SettingRefused(f"Enter a number of megabytes from 1 to {MAX_FILES_MB}.", field="files_mb")
    return ReplySettings(desk_name=name, sender_name=sender_name, signature=text, files_mb=int(size))
