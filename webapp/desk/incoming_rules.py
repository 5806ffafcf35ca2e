"""The settings by which incoming mail is judged that belong to no mail server row."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy.orm import Session

from webapp.models import Setting

NAME = "incoming_rules"
MAX_REOPEN_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingRules:
    same_company: bool = True  # users of the ticket's company may write to it
    reopen_days: int = 0  # mail reopens a closed ticket within so many days of its last change; 0: never
    authserv_id: str = ""  # the mail server whose Authentication-Results count; "": none
    do_not_reply: bool = False  # do-not-reply and do_not_reply in an address are no-reply, too
    other_automated: bool = True  # rule 8


def load(session: Session) -> IncomingRules:
    """What is saved; what this version does not know is left out, what is missing has its default."""
    row = session.get(Setting, NAME)
    saved: dict[str, Any] = row.value if row and isinstance(row.value, dict) else {}
    known = {field.name for field in fields(IncomingRules)}
    return IncomingRules(**{name: value for name, value in saved.items() if name in known})


def save(session: Session, rules: IncomingRules) -> None:
    session.merge(Setting(name=NAME, value=asdict(rules)))
