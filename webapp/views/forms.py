"""What our forms share: the CSRF field, and refusals of the desk shown at their field."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm


class DeskForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """One form of a page. Strips nothing and checks little: the desk's own functions do."""

    def refuse(self, sentence: str, field: str = "") -> None:
        """Show the sentence at its field, or above the form."""
        found: Any = self._fields.get(field)
        if found is None:
            self.form_errors.append(sentence)
        else:
            found.errors = [*found.errors, sentence]

    @property
    def invalid(self) -> list[Any]:
        """The fields that need attention, in the order of the form."""
        return [field for field in self if field.errors]
