"""How the desk's answers look and what may go along: sender's name, signature, size of files."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from webapp.desk.stored_setting import StoredSetting
from webapp.mail import template
from webapp.mail.field_lines import checked
from webapp.mail.template import TemplateRefused
from webapp.mail.written_text import tidy

MAX_NAME = 100
MAX_SIGNATURE = 2_000
SIGNATURE_VARIABLES = ("name", "desk")  # the technician's, the service desk's
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

    def signature_for(self, account_name: str, own: str | None = None) -> str:
        """What stands below a reply: the person's own, else the desk's; without lines for want of a name."""
        values = {"name": account_name, "desk": self.desk_name}
        return tidy(_filled(self.signature if own is None else own, values)).strip()


class SettingRefused(Exception):
    """Not saved; the message is a sentence, `field` the setting it is about."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


STORED = StoredSetting("replies", ReplySettings)
load, save = STORED.load, STORED.save


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
    text = read_signature(signature)
    size = files_mb.strip()
    if not (size.isascii() and size.isdigit() and len(size) < 3 and 1 <= int(size) <= MAX_FILES_MB):
        raise SettingRefused(f"Enter a number of megabytes from 1 to {MAX_FILES_MB}.", field="files_mb")
    return ReplySettings(desk_name=name, sender_name=sender_name, signature=text, files_mb=int(size))


def read_signature(text: str) -> str:
    """A signature as somebody entered it, tidy. Raises SettingRefused."""
    text = tidy(text).strip()
    if len(text) > MAX_SIGNATURE:
        raise SettingRefused(f"At most {MAX_SIGNATURE:,} characters fit.", field="signature")
    try:
        template.read(text, SIGNATURE_VARIABLES)
    except TemplateRefused as refused:
        raise SettingRefused(str(refused), field="signature") from refused
    return text


def _filled(text: str, values: Mapping[str, str]) -> str:
    try:
        return template.read(text, values).fill(values)
    except TemplateRefused:  # saved before other braces were refused
        return re.sub(r"\{(name|desk)\}", lambda found: values[found[1]], text)
