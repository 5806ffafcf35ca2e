"""One message of a conversation by itself: as text or formatted, and the message as it was received."""

from __future__ import annotations

from flask import Blueprint, Response, abort, make_response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from webapp.inbound.attachments import read_beginning, read_original
from webapp.models import Entry, EntryKind, Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.downloads import download
from webapp.views.email_log_headers import as_text
from webapp.views.mail_files import Place
from webapp.views.mail_frame import mail_document
from webapp.views.mail_shown import VIEW_COOKIE, View, entry_mail, wants_remote
from webapp.views.partials import is_partial
from webapp.views.queries import tickets as queries
from webapp.views.queries.tickets import Contribution

blueprint = Blueprint("mail_body", __name__)
ID = "int(max=2147483647)"
ENTRY = f"/tickets/<{ID}:number>/entries/<{ID}:entry_id>"
YEAR = 365 * 24 * 3600
SHOWN_OCTETS = 200_000  # of an original on a page
NOT_KEPT = "The original of this message is no longer kept."


@blueprint.get(ENTRY)
@requires(Role.VIEWER)
def show(number: int, entry_id: int) -> ResponseReturnValue:
    """The message in the view asked for; the next ones are shown like it."""
    with current.instance().database.reading() as session:
        found = _mail_entry(session, number, entry_id)
        mail = entry_mail(
            found.entry, has_formatted=found.has_html, defects=found.defects, remote=wants_remote()
        )
        template = "tickets/_mail_body.html" if is_partial() else "tickets/message.html"
        ticket = queries.load(session, number)
        text = render_template(template, mail=mail, contribution=found, mail_of=lambda _: mail, ticket=ticket)
    return remember_view(make_response(text))


@blueprint.get(f"{ENTRY}/formatted")
@requires(Role.VIEWER)
def formatted(number: int, entry_id: int) -> ResponseReturnValue:
    """The document of the frame."""
    with current.instance().database.reading() as session:
        entry = _mail_entry(session, number, entry_id).entry
        html = entry.body_html or abort(404, "This message has no formatted view.")
        places = [(file, Place(number, file.id)) for file in entry.attachments]
        sender = entry.from_name or entry.from_addr or "no sender"
        return mail_document(html, sender=sender, files=places, remote=wants_remote())


@blueprint.get(f"{ENTRY}/original")
@requires(Role.TECHNICIAN)
def original(number: int, entry_id: int) -> ResponseReturnValue:
    """The message as it was received, to read."""
    with current.instance().database.reading() as session:
        entry = _mail_entry(session, number, entry_id).entry
        ticket = queries.load(session, number)
        inbound_id = entry.inbound_id or abort(404, NOT_KEPT)
        octets, size = read_beginning(current.instance(), inbound_id, SHOWN_OCTETS) or abort(404, NOT_KEPT)
        return render_template(
            "tickets/original.html",
            ticket=ticket,
            entry=entry,
            text=as_text(octets),
            shown=len(octets),
            size=size,
        )


@blueprint.get(f"{ENTRY}/original.eml")
@requires(Role.TECHNICIAN)
def original_file(number: int, entry_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        inbound_id = _mail_entry(session, number, entry_id).entry.inbound_id or abort(404, NOT_KEPT)
    octets = read_original(current.instance(), inbound_id)
    if octets is None:
        abort(404, NOT_KEPT)
    return download(octets, filename=f"message-{inbound_id}.eml")


def remember_view(response: Response) -> Response:
    """A view somebody chose is the one messages are shown in from now on."""
    wanted = request.args.get("view", "")
    if wanted in list(View):
        secure = current.instance().settings.served_over_https
        response.set_cookie(VIEW_COOKIE, wanted, max_age=YEAR, httponly=True, samesite="Lax", secure=secure)
    return response


def _mail_entry(session: Session, number: int, entry_id: int) -> Contribution:
    found = queries.entry_of(session, number, entry_id)
    if found is None or not _is_mail(found.entry):
        abort(404, "There is no such message.")
    return found


def _is_mail(entry: Entry) -> bool:
    return entry.kind is EntryKind.MAIL
