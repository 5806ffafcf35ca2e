"""What the pages of Settings with one form share: keep what was entered, write down who did, and show it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue

from webapp.desk import audit
from webapp.desk.stored_setting import StoredSetting
from webapp.views import current

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class SettingPage(Generic[Value]):
    """The page of a group of settings."""

    stored: StoredSetting[Value]
    endpoint: str  # of the form
    action: str  # as the audit names it
    subject: str
    saved: str  # the sentence that says so

    def load(self) -> Value:
        with current.instance().database.reading() as session:
            return self.stored.load(session)

    def as_data(self) -> dict[str, Any]:
        """What is saved, as a form begins with it."""
        return asdict(self.load())  # type: ignore[call-overload,no-any-return]  # it is a dataclass

    def keep(self, wanted: Value) -> ResponseReturnValue:
        """Save it where it is another value than before, and lead back to the form."""
        person = current.person()
        assert person is not None
        with current.instance().database.writing() as session:
            before = self.stored.load(session)
            if before != wanted:
                self.stored.save(session, wanted)
                audit.record(
                    session, current.now(), person.email, self.action, self.subject,
                    before=asdict(before), after=asdict(wanted),  # type: ignore[call-overload]
                )  # fmt: skip
        flash(self.saved, "good")
        return redirect(url_for(self.endpoint), 303)
