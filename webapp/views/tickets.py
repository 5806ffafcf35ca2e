"""Tickets: the list, one ticket's conversation, its files."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp.inbound.attachments import read_attachment
from webapp.inbound.parser_process import ParserDied
from webapp.models import Role, TicketStatus
from webapp.views import current
from webapp.views.access import requires
from webapp.views.downloads import download
from webapp.views.paging import filter_text, page_number
from webapp.views.queries import tickets as queries
from webapp.views.queries.tickets import TicketFilter

blueprint = Blueprint("tickets", __name__)
ID = "int(max=2147483647)"


@blueprint.get("/")
@requires(Role.VIEWER)
def home() -> ResponseReturnValue:
    return redirect(url_for("tickets.index"), 303)


@blueprint.get("/tickets")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    wanted = TicketFilter(filter_text("q"), _status(request.args.get("status", "")))
    with current.instance().database.reading() as session:
        page = queries.list_page(session, wanted, page_number())
        any_ticket = bool(page.items) or queries.any_ticket(session)
    return render_template("tickets/index.html", page=page, wanted=wanted, any_ticket=any_ticket)


@blueprint.get(f"/tickets/<{ID}:number>")
@requires(Role.VIEWER)
def show(number: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        ticket = queries.load(session, number) or abort(404, "There is no such ticket.")
        page = queries.entries_page(session, ticket, page_number())
        last_page = queries.last_entries_page(session, ticket)
    return render_template("tickets/show.html", ticket=ticket, page=page, last_page=last_page)


@blueprint.get(f"/tickets/<{ID}:number>/attachments/<{ID}:attachment_id>")
@requires(Role.VIEWER)
def attachment(number: int, attachment_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        if not queries.has_attachment(session, number, attachment_id):
            abort(404, "There is no such attachment.")
    try:
        found = read_attachment(current.instance(), attachment_id)
    except ParserDied:
        abort(404, "This attachment could not be taken out of its message. The original message is kept.")
    if found is None:
        abort(404, "The message of this attachment is no longer kept.")
    filename, content_type, content = found
    return download(content, filename=filename, content_type=content_type)


def _status(text: str) -> TicketStatus | None:
    return TicketStatus(text) if text in list(TicketStatus) else None
