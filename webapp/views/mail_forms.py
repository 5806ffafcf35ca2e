"""The form of one mail server row. What its values mean is checked by `webapp.desk.mail_form`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from wtforms import BooleanField, HiddenField, PasswordField, RadioField, SelectChoice, StringField

from webapp.desk.mail_form import PROTOCOLS, fields_of, texts_of
from webapp.models import MailServer, Row
from webapp.views.forms import DeskForm

FLAGS = frozenset(
    {"active", "use_ssl", "requires_auth", "plaintext_accepted", "process_unknown", "cutoff_enabled"}
)
TLS_MODES = [SelectChoice("implicit", "SSL/TLS"), SelectChoice("starttls", "STARTTLS")]
DEFAULT_MODE = {Row.INCOMING: "implicit", Row.OUTGOING: "starttls", Row.INVOICE: "starttls"}


class MailServerForm(DeskForm):
    version = HiddenField()
    active = BooleanField("Active")
    protocol = RadioField("Protocol", validate_choice=False)
    use_ssl = BooleanField("Enable SSL")
    tls_mode = RadioField("Encryption", choices=TLS_MODES, validate_choice=False)
    host = StringField("Host name")
    port = StringField("Port")
    requires_auth = BooleanField("Requires Authentication")
    username = StringField("User name")
    password = PasswordField("Password")
    plaintext_accepted = BooleanField("I understand that the password travels unencrypted")
    from_address = StringField("From")
    timeout_ms = StringField("Timeout (ms)")
    archive_folder = StringField("Archive folder")
    process_unknown = BooleanField("Process messages from unknown users")
    cutoff_enabled = BooleanField("Do not process messages received before the specified date")
    cutoff_date = StringField("Date")
    cutoff_time = StringField("Time")

    def __init__(self, row: Row, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row = row
        self.protocol.choices = [
            SelectChoice(protocol.value, protocol.upper()) for protocol in PROTOCOLS[row]
        ]
        for control in self:  # two rows may be open on one page: names stay plain, ids are the row's
            control.id = f"{row.value}-{control.name}"
            control.label.field_id = control.id

    @classmethod
    def of_saved(cls, row: Row, stored: MailServer | None, zone: ZoneInfo) -> MailServerForm:
        """The row as it is saved, or a new one's defaults."""
        texts: dict[str, Any] = dict(texts_of(row, stored))
        texts |= {name: texts[name] == "true" for name in FLAGS}
        texts["tls_mode"] = texts["tls_mode"] or DEFAULT_MODE[row]
        date, time = _date_and_time(stored.cutoff_at if stored else None, zone)
        version = str(stored.version) if stored else "0"
        return cls(
            row, formdata=None, data=texts | {"cutoff_date": date, "cutoff_time": time, "version": version}
        )

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

    def show_errors(self, errors: dict[str, str]) -> None:
        """Each sentence at its field; a password that was typed is asked for again, never sent back."""
        for name, sentence in errors.items():
            self.refuse(sentence, "cutoff_date" if name == "cutoff_at" else name)
        if self.password.data and not self.password.errors:
            self.refuse("Enter the password again.", "password")

    def _cutoff(self, stored: MailServer | None, zone: ZoneInfo) -> str:
        date, time = (self.cutoff_date.data or "").strip(), (self.cutoff_time.data or "").strip()
        if stored and stored.cutoff_at and (date, time) == _date_and_time(stored.cutoff_at, zone):
            return stored.cutoff_at.isoformat()  # untouched, even where the clock showed this time twice
        return f"{date}T{time}" if date or time else ""


def _date_and_time(moment: datetime | None, zone: ZoneInfo) -> tuple[str, str]:
    if moment is None:
        return "", ""
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
