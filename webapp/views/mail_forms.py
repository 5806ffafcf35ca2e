"""The form of one mail server row. What its values mean is checked by `webapp.desk.mail_form`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, HiddenField, PasswordField, RadioField, SelectChoice, StringField

from webapp.desk.mail_fields import whole_number
from webapp.desk.mail_form import MODES_BY_PORT, PORTS, PROTOCOLS, fields_of, texts_of
from webapp.mailserver.base import TlsMode
from webapp.models import MailServer, Row
from webapp.views.forms import DeskForm
from webapp.views.mail_kept import PASSWORD_TYPED

FLAGS = frozenset(
    {"active", "use_ssl", "requires_auth", "plaintext_accepted", "process_unknown", "cutoff_enabled"}
)
MODES = {TlsMode.IMPLICIT: "SSL/TLS", TlsMode.STARTTLS: "STARTTLS"}
TYPED_AGAIN = "Enter the password again before you save: it is never sent back to the browser."
OPEN = "open"  # no mode is chosen, and nobody chose that
DEFAULT_MODE = {Row.INCOMING: "implicit", Row.OUTGOING: "starttls", Row.INVOICE: "starttls"}


class MailServerForm(DeskForm):
    version = HiddenField()
    active = BooleanField("Active")
    protocol = RadioField("Protocol", validate_choice=False)
    use_ssl = BooleanField("Enable SSL")
    tls_mode = RadioField("Encryption", validate_choice=False)
    host = StringField("Host name")
    port = StringField("Port")
    requires_auth = BooleanField("Requires Authentication")
    username = StringField("User name")
    password = PasswordField("Password")
    password_typed = HiddenField()  # in a form that came back: it is to be typed again, not left as saved
    plaintext_accepted = BooleanField("I understand")
    from_address = StringField("From")
    timeout_ms = StringField("Timeout (ms)")
    archive_folder = StringField("Archive folder")
    process_unknown = BooleanField("Process messages from unknown users")
    cutoff_enabled = BooleanField("Do not process messages received before the specified date")
    cutoff_date = StringField("Date")
    cutoff_time = StringField("Time")
    send_to = StringField("Send a test message to")
    mode_left = HiddenField()  # the mode the page chose by itself, or OPEN; empty once a person chose
    tested = HiddenField()  # the test whose result is shown below the form

    def __init__(self, row: Row, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row = row
        self.protocol.choices = [
            SelectChoice(protocol.value, protocol.upper()) for protocol in PROTOCOLS[row]
        ]
        self.tls_mode.choices = [
            SelectChoice(mode.value, f"{words}, port {PORTS[PROTOCOLS[row][0], mode]}")
            for mode, words in MODES.items()
        ]
        for control in self:  # two rows may be open on one page: names stay plain, ids are the row's
            control.id = f"{row.value}-{control.name}"
            control.label.field_id = control.id
            control.hint = control.because = ""  # shown at the field, see the two methods below
        self._leave_mode_to_port()

    @classmethod
    def of_saved(cls, row: Row, stored: MailServer | None, zone: ZoneInfo) -> MailServerForm:
        """The row as it is saved, or a new one's defaults."""
        texts: dict[str, Any] = dict(texts_of(row, stored))
        texts |= {name: texts[name] == "true" for name in FLAGS}
        texts["tls_mode"] = texts["tls_mode"] or DEFAULT_MODE[row]
        texts["mode_left"] = "" if stored else DEFAULT_MODE[row]
        date, time = date_and_time(stored.cutoff_at if stored else None, zone)
        version = str(stored.version) if stored else "0"
        return cls(
            row, formdata=None, data=texts | {"cutoff_date": date, "cutoff_time": time, "version": version}
        )

    @classmethod
    def of_entries(cls, row: Row, entries: MultiDict[str, str]) -> MailServerForm:
        """The form as it was filled in, but for the password."""
        form = cls(
            row, formdata=MultiDict((name, text) for name, text in entries.items() if name != "password")
        )
        if PASSWORD_TYPED in entries:
            form.password.hint = TYPED_AGAIN
        return form

    def texts(self, stored: MailServer | None, zone: ZoneInfo) -> dict[str, str]:
        """What was entered, as `webapp.desk.mail_form` reads it."""
        texts = {}
        for name in fields_of(self.row):
            if name == "cutoff_at":
                texts[name] = self._cutoff(stored, zone)
            elif name in FLAGS:
                texts[name] = "true" if self[name].data else "false"
            else:
                texts[name] = self[name].data or ""
        return texts

    @property
    def version_number(self) -> int:
        """The version this form was opened with; -1, which no row ever has, for nonsense."""
        return version_number(self.version.data or "")

    @property
    def usual_port(self) -> str:
        """What an empty port stands for; empty while the encryption is open."""
        protocol, mode = PROTOCOLS[self.row][0], self.tls_mode.data if self.use_ssl.data else TlsMode.NONE
        found = {str(each): str(PORTS[protocol, each]) for each in TlsMode}
        return found.get(str(mode or ""), "")

    def differences(self, theirs: MailServerForm) -> list[tuple[str, str, str]]:
        """Label, our entry and theirs, for each that differs."""
        names = (*fields_of(self.row), "cutoff_date", "cutoff_time")
        return [
            (control.label.text, _shown(control.data), _shown(theirs[control.name].data))
            for control in self
            if control.name in names and _shown(control.data) != _shown(theirs[control.name].data)
        ]

    def show_errors(self, errors: dict[str, str]) -> None:
        """Each sentence at its field; a password that was typed is asked for again, never sent back."""
        for name, sentence in errors.items():
            self.refuse(sentence, "cutoff_date" if name == "cutoff_at" else name)
        if self.password.data and not self.password.errors:
            self.refuse("Enter the password again.", "password")

    def ask_for_password_again(self) -> None:
        """This form comes back for another reason than a mistake."""
        if self.password.data or self.password_typed.data:
            self.password_typed.data = "true"
            self.password.hint = TYPED_AGAIN

    def show_hints(self, hints: dict[str, str]) -> None:
        """Each at its field: worth a second look, refused by nobody."""
        for name, sentence in hints.items():
            self[name].hint = sentence

    def show_cause(self, field: str, element_id: str) -> None:
        """Mark the field that made a test fail; the element of that id says why."""
        if field in self._fields:
            self[field].because = element_id

    def _leave_mode_to_port(self) -> None:
        """While nobody chose the encryption it follows the port. An unusual one says nothing, so ask."""
        if self.mode_left.data != (self.tls_mode.data or OPEN):
            return
        text = (self.port.data or "").strip()
        port = whole_number(text)
        if not text or port is not None:
            mode = MODES_BY_PORT.get(port) if port else DEFAULT_MODE[self.row]
            self.tls_mode.data = mode or ""
        self.mode_left.data = self.tls_mode.data or OPEN

    def _cutoff(self, stored: MailServer | None, zone: ZoneInfo) -> str:
        date, time = (self.cutoff_date.data or "").strip(), (self.cutoff_time.data or "").strip()
        if stored and stored.cutoff_at and (date, time) == date_and_time(stored.cutoff_at, zone):
            return stored.cutoff_at.isoformat()  # untouched, even where the clock showed this time twice
        return f"{date}T{time}" if date or time else ""


def version_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1


def read_changes(row: Row, text: str) -> dict[str, str]:
    """What a button fills in: a JSON object of fields and texts. Nonsense fills in nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    known = fields_of(row)
    return (
        {n: v for n, v in found.items() if n in known and isinstance(v, str)}
        if isinstance(found, dict)
        else {}
    )


def with_changes(entries: MultiDict[str, str], changes: Mapping[str, str]) -> MultiDict[str, str]:
    """The entries of a form after that; a box that is not ticked has no entry."""
    changed = MultiDict(entries)
    if "tls_mode" in changes:
        changed.poplist("mode_left")
    for name, text in changes.items():
        if name in FLAGS and text != "true":
            changed.poplist(name)
        else:
            changed[name] = text
    return changed


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value or "")


def date_and_time(moment: datetime | None, zone: ZoneInfo) -> tuple[str, str]:
    if moment is None:
        return "", ""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
