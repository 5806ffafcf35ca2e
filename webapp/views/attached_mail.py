"""Mails that are attached to a mail, read as mails: on a page of their own, with files of their own."""

from __future__ import annotations

from flask import Blueprint, abort, make_response, render_template
from flask.typing import ResponseReturnValue

from webapp.inbound.parser_process import ParserDied
from webapp.mail.message import InboundMessage
from webapp.mail.nested import is_mail
from webapp.models import Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.mail_body import remember_view
from webapp.views.mail_files import Path, Place
from webapp.views.mail_frame import mail_document
from webapp.views.mail_shown import attached_mail, sender_name, wants_remote
from webapp.views.partials import is_partial
from webapp.views.pictures import ATTACHMENT, INSIDE, reader
from webapp.views.queries import tickets as queries

blueprint = Blueprint("attached_mail", __name__)


@blueprint.get(f"{ATTACHMENT}/mail")
@blueprint.get(f"{INSIDE}/mail")
@requires(Role.VIEWER)
def show(number: int, attachment_id: int, path: Path = ()) -> ResponseReturnValue:
    place = Place(number, attachment_id, path)
    message = _read(place)
    mail = attached_mail(message, place, remote=wants_remote())
    template = "tickets/_mail_body.html" if is_partial() else "tickets/attached_mail.html"
    with current.instance().database.reading() as session:
        ticket = queries.load(session, number)
        text = render_template(template, mail=mail, message=message, place=place, ticket=ticket)
    return remember_view(make_response(text))


@blueprint.get(f"{ATTACHMENT}/mail/formatted")
@blueprint.get(f"{INSIDE}/mail/formatted")
@requires(Role.VIEWER)
def formatted(number: int, attachment_id: int, path: Path = ()) -> ResponseReturnValue:
    """The document of the frame."""
    place = Place(number, attachment_id, path)
    message = _read(place)
    html = message.body_html or abort(404, "This message has no formatted view.")
    places = [(file, place.inside(file.position)) for file in message.attachments]
    return mail_document(html, sender=sender_name(message), files=places, remote=wants_remote())


def _read(place: Place) -> InboundMessage:
    with current.instance().database.reading() as session:
        row = queries.attachment_of(session, place.number, place.attachment_id)
    may_be_mail = row is not None and (place.path or is_mail(row.content_type, row.filename))
    if not may_be_mail or not place.may_be_opened:
        abort(404, "There is no such attached mail.")
    try:
        return reader().mail(place.attachment_id, place.path)
    except LookupError:
        abort(404, "There is no such attached mail, or its message is no longer kept.")
    except ParserDied:
        abort(404, "This attached mail could not be read. It can be downloaded with its message.")
