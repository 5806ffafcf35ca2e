"""A group of settings kept as one row: a frozen dataclass in, the same out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from webapp.models import Setting

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class StoredSetting(Generic[Value]):
    """`kind` is a dataclass; each field has a default and is what JSON holds, or a tuple."""

    name: str
    kind: type[Value]

    def load(self, session: Session) -> Value:
        """What is saved; what this version does not know is left out, what is missing has its default."""
        row = session.get(Setting, self.name)
        saved: dict[str, Any] = row.value if row and isinstance(row.value, dict) else {}
        known = {field.name for field in fields(self.kind)}  # type: ignore[arg-type]  # it is a dataclass
        return self.kind(**{name: _held(value) for name, value in saved.items() if name in known})

    def save(self, session: Session, value: Value) -> None:
        session.merge(Setting(name=self.name, value=asdict(value)))  # type: ignore[call-overload]


def _held(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
