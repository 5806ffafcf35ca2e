"""One mail as a page shows it, whether it is an entry of a ticket or a mail attached to one."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flask import request, url_for

from webapp.mail.address import fold_addr_spec
from webapp.mail.html_show import has_remote_pictures
from webapp.mail.message import InboundMessage
from webapp.models import Entry
from webapp.views.invitations import Card, card
from webapp.views.mail_files import File, Place, list_files
from webapp.views.oddities import files_not_listed, oddities
from webapp.views.shell import desk_zone
from webapp.views.words import MAX_TEXT

VIEW_COOKIE = "mail_view"
REMOTE = "pictures"  # of an address: remote pictures were asked for
_LINE = 90  # characters in a line of the formatted view, about
_PICTURE_LINES = 10
_SIGNATURE_LINES = 12
_DECORATION_OCTETS = 6_000
_PROTECTIONS = {
    "smime-signed": "Signed (S/MIME). The signature is not checked here.",
    "pgp-signed": "Signed (PGP). The signature is not checked here.",
    "smime-encrypted": "This message is encrypted (S/MIME). It can be read only with its recipient's key: "
    "download the file and open it in a mail program that has the key.",
    "pgp-encrypted": "This message is encrypted (PGP). It can be read only with its recipient's key: "
    "download the file and open it with a program that has the key.",
}


class View(enum.StrEnum):
    """Of a message that has both."""

    TEXT = "text"
    FORMATTED = "formatted"


@dataclass(frozen=True, slots=True)
class Recipients:
    """Whom a message was sent to, each as "Ann Lee <ann@acme.test>"."""

    to: tuple[str, ...]
    cc: tuple[str, ...]
    reply_to: tuple[str, ...]  # where answers are wanted, if that is not the sender's address

    @property
    def short(self) -> str:
        named = self.to + self.cc
        more = f" and {len(named) - 1} more" if len(named) > 1 else ""
        return f"{named[0]}{more}" if named else "nobody named"


@dataclass(frozen=True, slots=True)
class ShownMail:
    key: str  # what its ids on the page end in
    sender: str
    text: str
    chars: int  # of the text, where it is longer than what is shown
    rest: str  # folded: earlier messages and signature, or the whole where answers stand between quotes
    rest_label: str
    view: View
    has_formatted: bool
    has_remote: bool  # remote pictures; known only where the formatted view shows
    remote: bool  # they are shown
    frame_size: str  # short, medium, tall
    files: tuple[File, ...]
    files_not_listed: int
    card: Card | None
    recipients: Recipients | None
    protection: str
    is_encrypted: bool
    oddities: tuple[str, ...]
    address: str  # of the page of this mail alone

    def show(self, view: str, remote: bool = False) -> str:
        return f"{self.address}?view={view}{f'&{REMOTE}=remote' if remote else ''}"

    @property
    def frame(self) -> str:
        return f"{self.address}/formatted{f'?{REMOTE}=remote' if self.remote else ''}"

    @property
    def calendar(self) -> File | None:
        """The file to put into a calendar."""
        kinds = ("text/calendar", "application/ics")
        return next((file for file in self.files if file.content_type in kinds), None)

    @property
    def decorations(self) -> list[File]:
        """Logos and icons of a signature, lines and dots; one alone is as good as any picture."""
        found = [file for file in self.files if file.in_text and file.size < _DECORATION_OCTETS]
        return found if len(found) > 1 else []

    @property
    def pictures(self) -> list[File]:
        return [file for file in self.files if file.thumbnail and file not in self.decorations]

    @property
    def pictures_in_text(self) -> int:
        return sum(file.in_text for file in self.pictures)

    @property
    def other_files(self) -> list[File]:
        return [file for file in self.files if not file.thumbnail]


def wanted_view() -> View:
    """What this request asks for, else what this person chose last."""
    for told in (request.args.get("view", ""), request.cookies.get(VIEW_COOKIE, "")):
        if told in list(View):
            return View(told)
    return View.TEXT


def wants_remote() -> bool:
    """Asked for in the address and never kept: once a message."""
    return request.args.get(REMOTE) == "remote"


def entry_mail(
    entry: Entry, *, has_formatted: bool, defects: Sequence[str], remote: bool = False
) -> ShownMail:
    """The mail an entry was made of; its HTML is needed only where that shows."""
    view = wanted_view() if has_formatted else View.TEXT
    places = [(file, Place(entry.ticket_id, file.id)) for file in entry.attachments]
    return _shown(
        key=str(entry.id),
        sender=entry.from_name or entry.from_addr or "no sender",
        text=entry.reply_text,
        whole=entry.body_text,
        view=view,
        has_formatted=has_formatted,
        has_remote=view is View.FORMATTED and has_remote_pictures(entry.body_html or ""),
        remote=remote,
        files=list_files(places, has_formatted=has_formatted),
        invitation=entry.invitation,
        recipients=_recipients(entry.recipients, entry.from_addr),
        protection=entry.protection or "",
        defects=defects,
        address=url_for("mail_body.show", number=entry.ticket_id, entry_id=entry.id),
    )


def attached_mail(message: InboundMessage, place: Place, *, remote: bool = False) -> ShownMail:
    """A mail attached to a mail, as the parser process reads it."""
    html = message.body_html
    has_formatted = html is not None
    view = wanted_view() if has_formatted else View.TEXT
    places = [(file, place.inside(file.position)) for file in message.attachments]
    people = {
        name: [[one.display_name, one.addr_spec] for one in getattr(message, name)]
        for name in ("to", "cc", "reply_to")
    }
    return _shown(
        key="-".join(str(part) for part in (place.attachment_id, *place.path, "attached")),
        sender=sender_name(message),
        text=message.reply_text,
        whole=message.body_text,
        view=view,
        has_formatted=has_formatted,
        has_remote=view is View.FORMATTED and has_remote_pictures(html or ""),
        remote=remote,
        files=list_files(places, has_formatted=has_formatted),
        invitation=asdict(message.invitation) if message.invitation else None,
        recipients=_recipients(people, message.sender.addr_spec),
        protection=message.protection,
        defects=message.defects,
        address=place.address("attached_mail.show"),
    )


def sender_name(message: InboundMessage) -> str:
    sender = message.sender
    return sender.display_name or sender.addr_spec or sender.written or "no sender"


def _shown(
    *,
    text: str,
    whole: str,
    view: View,
    has_formatted: bool,
    files: list[File],
    invitation: dict[str, Any] | None,
    protection: str,
    defects: Sequence[str],
    **given: Any,
) -> ShownMail:
    shown = text if text.strip() else whole
    rest, label = _folded(shown, whole)
    return ShownMail(
        text=shown[:MAX_TEXT],
        chars=len(shown) if len(shown) > MAX_TEXT else 0,
        rest=rest[:MAX_TEXT],
        rest_label=label,
        view=view,
        has_formatted=has_formatted,
        frame_size=_frame_size(shown, files),
        files=tuple(files),
        files_not_listed=files_not_listed(defects),
        card=card(invitation, desk_zone()),
        protection=_PROTECTIONS.get(protection, ""),
        is_encrypted=protection.endswith("-encrypted"),
        oddities=oddities(defects),
        **given,
    )


def _folded(shown: str, whole: str) -> tuple[str, str]:
    """What is folded away and what the fold is called: the part behind `shown`, else the whole message."""
    shown, whole = shown.strip(), whole.strip()
    if shown == whole:
        return "", ""
    if not whole.startswith(shown):
        return whole, f"Show whole message ({_lines(whole)})"
    rest = whole[len(shown) :].strip("\n")
    count = rest.count("\n") + 1
    is_signature = rest.lstrip().startswith(("-- ", "--\n", "—")) and "\n>" not in rest
    if is_signature and count <= _SIGNATURE_LINES:
        return rest, f"Show signature ({_lines(rest)})"
    return rest, f"Show earlier messages ({_lines(rest)})"


def _lines(text: str) -> str:
    count = text.count("\n") + 1
    return "1 line" if count == 1 else f"{count:,} lines"


def _frame_size(text: str, files: list[File]) -> str:
    """How high the formatted view starts; no script in it can tell, and everybody can pull it larger."""
    lines = sum(1 + len(line) // _LINE for line in text[:20_000].splitlines())
    lines += _PICTURE_LINES * sum(file.in_text and file.size >= _DECORATION_OCTETS for file in files)
    return "short" if lines <= 8 else "medium" if lines <= 22 else "tall"


def _recipients(people: dict[str, Any] | None, sender: str | None) -> Recipients | None:
    if people is None:
        return None
    named = {
        field: tuple(_mailbox(name, address) for name, address in people.get(field, ()))
        for field in ("to", "cc")
    }
    elsewhere = [
        _mailbox(name, address)
        for name, address in people.get("reply_to", ())
        if not sender or fold_addr_spec(address) != fold_addr_spec(sender)
    ]
    return Recipients(named["to"], named["cc"], tuple(elsewhere))


def _mailbox(name: str, address: str) -> str:
    return f"{name} <{address}>" if name and name != address else address
