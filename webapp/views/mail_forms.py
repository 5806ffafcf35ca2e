"""The form of one mail server row. What its values mean is checked by `webapp.desk.mail_form`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict
from wtforms import (
    BooleanField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectChoice,
    SelectField,
    StringField,
)

from webapp.desk.mail_fields import whole_number
from webapp.desk.mail_form import texts_of
from webapp.desk.mail_protocols import (
    CLASSIC,
    HTTPS,
    MODES_BY_PORT,
    PORTS,
    PROTOCOL_LABELS,
    PROTOCOLS,
    SECRETS,
    fields_of,
)
from webapp.desk.mail_secrets import secret_name
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.models import MailServer, Row
from webapp.views.forms import DeskForm
from webapp.views.mail_kept import NEVER_KEPT, TYPED

FLAGS = frozenset(
    {"active", "use_ssl", "requires_auth", "plaintext_accepted", "process_unknown", "cutoff_enabled"}
)
MODES = {TlsMode.IMPLICIT: "SSL/TLS", TlsMode.STARTTLS: "STARTTLS"}
SECRET_WORDS = {"password": "password", "client_secret": "client secret"}
TYPED_AGAIN = "Enter the {} again before you save: it is never sent back to the browser."
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
    ews_url = StringField("EWS address")
    tenant_id = StringField("Tenant ID")
    client_id = StringField("Application (client) ID")
    client_secret = PasswordField("Client secret")
    client_secret_typed = HiddenField()
    client_secret_expires_on = StringField("Secret expires on")
    mailbox = StringField("Mailbox")
    plaintext_accepted = BooleanField("I understand")
    from_address = StringField("From")
    from_own = SelectField("From", validate_choice=False)  # Office365: the account's own addresses only
    timeout_ms = StringField("Timeout (ms)")
    archive_folder = StringField("Archive folder")
    process_unknown = BooleanField("Process messages from unknown users")
    cutoff_enabled = BooleanField("Do not process messages received before the specified date")
    cutoff_date = StringField("Date")
    cutoff_time = StringField("Time")
    send_to = StringField("Send a test message to")
    protocol_shown = HiddenField()  # the protocol whose usual port stands in the form
    mode_left = HiddenField()  # the mode the page chose by itself, or OPEN; empty once a person chose
    tested = HiddenField()  # the test whose result is shown below the form

    def __init__(self, row: Row, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.row = row
        self.protocol.choices = [
            SelectChoice(protocol.value, PROTOCOL_LABELS[protocol]) for protocol in PROTOCOLS[row]
        ]
        self.tls_mode.choices = [
            SelectChoice(mode.value, f"{words}, port {PORTS[PROTOCOLS[row][0], mode]}")
            for mode, words in MODES.items()
        ]
        for control in self:  # two rows may be open on one page: names stay plain, ids are the row's
            control.id = f"{row.value}-{control.name}"
            control.label.field_id = control.id
            control.hint = control.because = ""  # shown at the field, see the two methods below
        self.offer_from(())
        self._leave_port_behind()
        self._leave_mode_to_port()

    @classmethod
    def of_saved(cls, row: Row, stored: MailServer | None, zone: ZoneInfo) -> MailServerForm:
        """The row as it is saved, or a new one's defaults."""
        texts: dict[str, Any] = dict(texts_of(row, stored))
        texts |= {name: texts[name] == "true" for name in FLAGS}
        texts["tls_mode"] = texts["tls_mode"] or DEFAULT_MODE[row]
        texts["mode_left"] = "" if stored else DEFAULT_MODE[row]
        texts["protocol_shown"] = texts["protocol"]
        texts["from_own"] = texts["from_address"]
        date, time = date_and_time(stored.cutoff_at if stored else None, zone)
        version = str(stored.version) if stored else "0"
        return cls(
            row, formdata=None, data=texts | {"cutoff_date": date, "cutoff_time": time, "version": version}
        )

    @classmethod
    def of_entries(cls, row: Row, entries: MultiDict[str, str]) -> MailServerForm:
        """The form as it was filled in, but for its secrets."""
        shown = MultiDict((name, text) for name, text in entries.items() if name not in NEVER_KEPT)
        form = cls(row, formdata=shown)
        for secret in SECRETS:
            if f"{secret}{TYPED}" in entries:
                form[secret].hint = TYPED_AGAIN.format(SECRET_WORDS[secret])
        return form

    @property
    def chosen(self) -> MailProtocol:
        """The protocol that is chosen; where that is nonsense the row's first, and `check` says so."""
        choice = (self.protocol.data or "").strip().casefold()
        return MailProtocol(choice) if choice in PROTOCOLS[self.row] else PROTOCOLS[self.row][0]

    def offer_from(self, addresses: Sequence[str]) -> None:
        """What an Office365 row may send from; where another address is chosen, it is to be chosen anew."""
        kept = self.from_own.data or ""
        if not addresses:  # nobody is connected, so nobody can say what may be chosen
            self.from_own.choices = [SelectChoice(kept, kept)] if kept else []
            return
        first = [] if kept in addresses else [SelectChoice("", "Choose an address")]
        self.from_own.choices = [*first, *(SelectChoice(address, address) for address in addresses)]

    def texts(self, stored: MailServer | None, zone: ZoneInfo) -> dict[str, str]:
        """What was entered, as `webapp.desk.mail_form` reads it."""
        texts = {}
        for name in fields_of(self.row, self.chosen):
            if name == "cutoff_at":
                texts[name] = self._cutoff(stored, zone)
            elif name == "protocol":
                texts[name] = self.protocol.data or ""
            elif name == "use_ssl" and self.chosen is MailProtocol.EXCHANGE:
                texts[name] = "true"  # always on there; what is ticked is IMAP's or SMTP's
            elif name == "from_address" and self.chosen is MailProtocol.OFFICE365:
                texts[name] = self.from_own.data or ""
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
        protocol, mode = self.chosen, self.tls_mode.data if self.use_ssl.data else TlsMode.NONE
        if protocol not in CLASSIC:
            return str(HTTPS)
        found = {str(each): str(PORTS[protocol, each]) for each in TlsMode}
        return found.get(str(mode or ""), "")

    def differences(self, theirs: MailServerForm) -> list[tuple[str, str, str]]:
        """Label, our entry and theirs, for each that differs."""
        of_both = {*fields_of(self.row, self.chosen), *fields_of(self.row, theirs.chosen)}
        names = {*of_both, "cutoff_date", "cutoff_time"}
        if MailProtocol.OFFICE365 in (self.chosen, theirs.chosen) and "from_address" in names:
            names.add("from_own")
        return [
            (control.label.text, _shown(control.data), _shown(theirs[control.name].data))
            for control in self
            if control.name in names and _shown(control.data) != _shown(theirs[control.name].data)
        ]

    def show_errors(self, errors: dict[str, str]) -> None:
        """Each sentence at its field; a secret that was typed is asked for again, never sent back."""
        for name, sentence in errors.items():
            self.refuse(sentence, self._control_of(name))
        secret = self.secret
        if self[secret].data and not self[secret].errors:
            self.refuse(f"Enter the {SECRET_WORDS[secret]} again.", secret)

    @property
    def secret(self) -> str:
        """The field of the secret that the chosen protocol has."""
        return secret_name(self.chosen)

    def ask_for_password_again(self) -> None:
        """This form comes back for another reason than a mistake."""
        for secret in SECRETS:
            typed = self[f"{secret}{TYPED}"]
            if self[secret].data or typed.data:
                typed.data = "true"
                self[secret].hint = TYPED_AGAIN.format(SECRET_WORDS[secret])

    def show_hints(self, hints: dict[str, str]) -> None:
        """Each at its field: worth a second look, refused by nobody."""
        for name, sentence in hints.items():
            self[self._control_of(name)].hint = sentence

    def show_cause(self, field: str, element_id: str) -> None:
        """Mark the field that made a test fail; the element of that id says why."""
        if self._control_of(field) in self._fields:
            self[self._control_of(field)].because = element_id

    def _control_of(self, name: str) -> str:
        """Where a setting is entered."""
        if name == "from_address" and self.chosen is MailProtocol.OFFICE365:
            return "from_own"
        return "cutoff_date" if name == "cutoff_at" else name

    def _leave_port_behind(self) -> None:
        """Another protocol was chosen: the usual port of the one before says nothing about this one."""
        is_another = self.protocol_shown.data and self.protocol_shown.data != self.chosen
        if is_another and (self.port.data or "").strip() in map(str, PORTS.values()):
            self.port.data = ""
        self.protocol_shown.data = self.chosen.value

    def _leave_mode_to_port(self) -> None:
        """While nobody chose the encryption it follows the port. An unusual one says nothing, so ask."""
        if self.chosen not in CLASSIC or self.mode_left.data != (self.tls_mode.data or OPEN):
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
