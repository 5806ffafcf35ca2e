"""Tickets: the list, one ticket's conversation, its files, and work on it.

A change in place gets the changed part back and tells the conversation to fetch itself (`ticket:changed`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from webapp.desk import notifications, ticket_work
from webapp.desk.ticket_work import ChangedMeanwhile, WorkRefused
from webapp.inbound.parser_process import ParserDied
from webapp.models import Account, EntryKind, Role, Ticket, TicketStatus, User
from webapp.views import current
from webapp.views.access import requires
from webapp.views.downloads import download
from webapp.views.live import live_part
from webapp.views.mail_files import Path
from webapp.views.mail_shown import ShownMail, View, entry_mail, wanted_view
from webapp.views.paging import filter_text, page_number
from webapp.views.partials import is_partial, toast
from webapp.views.pictures import ATTACHMENT, INSIDE, reader
from webapp.views.queries import tickets as queries
from webapp.views.queries.email_log import user_by_address
from webapp.views.queries.tickets import Assignee, Contribution, TicketFilter
from webapp.views.words import STATUS_WORDS

blueprint = Blueprint("tickets", __name__)
ID = "int(max=2147483647)"
MAX_ID = 2_147_483_647
Change = Callable[[Session, Ticket, Account], str]


@blueprint.get("/")
@requires(Role.VIEWER)
def home() -> ResponseReturnValue:
    return redirect(url_for("tickets.index"), 303)


@blueprint.get("/tickets")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    wanted = _filter()
    with current.instance().database.reading() as session:
        page = queries.list_page(session, wanted, page_number())
        any_ticket = bool(page.items) or queries.any_ticket(session)
    if is_partial():
        return live_part("tickets/_list.html", page=page, wanted=wanted, any_ticket=any_ticket)
    return render_template("tickets/index.html", page=page, wanted=wanted, any_ticket=any_ticket)


@blueprint.get(f"/tickets/<{ID}:number>")
@requires(Role.VIEWER)
def show(number: int) -> ResponseReturnValue:
    return _render("tickets/_conversation.html" if is_partial() else "tickets/show.html", number)


@blueprint.post(f"/tickets/<{ID}:number>/status")
@requires(Role.TECHNICIAN)
def set_status(number: int) -> ResponseReturnValue:
    wanted, seen = (_status(request.form.get(name, "")) or abort(400) for name in ("status", "seen"))

    def change(session: Session, ticket: Ticket, actor: Account) -> str:
        now = current.now()
        sentence = ticket_work.set_status(session, ticket, wanted, seen=seen, now=now, actor=actor)
        if sentence and wanted is TicketStatus.CLOSED:
            notifications.tell_closed(session, current.instance(), ticket, actor=actor, now=now)
        return sentence

    return _change_fact(number, "status", change)


@blueprint.post(f"/tickets/<{ID}:number>/assignee")
@requires(Role.TECHNICIAN)
def set_assignee(number: int) -> ResponseReturnValue:
    wanted, seen = _account_id("assignee"), _account_id("seen")

    def change(session: Session, ticket: Ticket, actor: Account) -> str:
        now = current.now()
        sentence = ticket_work.set_assignee(session, ticket, wanted, seen=seen, now=now, actor=actor)
        if sentence:
            notifications.tell_assigned(session, current.instance(), ticket, actor=actor, now=now)
        return sentence

    return _change_fact(number, "assignee", change)


@blueprint.post(f"/tickets/<{ID}:number>/notes")
@requires(Role.TECHNICIAN)
def add_note(number: int) -> ResponseReturnValue:
    text = request.form.get("text", "")

    def write(session: Session, ticket: Ticket, actor: Account) -> str:
        ticket_work.add_note(session, ticket, text, now=current.now(), actor=actor)
        return "Note added."

    try:
        sentence = _work(number, write)
    except WorkRefused as refused:
        return _answer("tickets/_note_form.html", number, 422, focus="note", problem=str(refused), note=text)
    return _after_note(number, sentence)


@blueprint.get(ATTACHMENT)
@blueprint.get(INSIDE)
@requires(Role.VIEWER)
def attachment(number: int, attachment_id: int, path: Path = ()) -> ResponseReturnValue:
    """A file to download; with a path one out of an attached mail."""
    with current.instance().database.reading() as session:
        if queries.attachment_of(session, number, attachment_id) is None:
            abort(404, "There is no such attachment.")
    try:
        file = reader().file(attachment_id, path)
    except ParserDied:
        abort(404, "This attachment could not be taken out of its message. The original message is kept.")
    except LookupError:
        abort(404, "The message of this attachment is no longer kept, or it has no such file.")
    return download(file.content, filename=file.filename, content_type=file.content_type)


def _change_fact(number: int, name: str, change: Change) -> ResponseReturnValue:
    """Change the status or the assignee, and show the facts again."""
    try:
        sentence = _work(number, change)
    except WorkRefused as refused:
        status = 409 if isinstance(refused, ChangedMeanwhile) else 422
        return _answer("tickets/_facts.html", number, status, focus=name, problem=str(refused))
    told = f"{sentence}." if sentence else "It was so already. Nothing was changed."
    if not is_partial():
        flash(told, "good")
        return redirect(url_for("tickets.show", number=number), 303)
    return toast(
        make_response(_render("tickets/_facts.html", number, focus=name)), told, event="ticket:changed"
    )


def _after_note(number: int, sentence: str) -> ResponseReturnValue:
    """An empty form again; without a script the page where the note stands."""
    with current.instance().database.reading() as session:
        last = queries.last_entries_page(session, session.get_one(Ticket, number))
    if is_partial():
        part = make_response(_render("tickets/_note_form.html", number, focus="note"))
        told = (
            sentence if last == page_number() else f"{sentence} It is on the last page of the conversation."
        )
        return toast(part, told, event="ticket:changed")
    flash(sentence, "good")
    address = url_for("tickets.show", number=number, page=last if last > 1 else None, _anchor="newest")
    return redirect(address, 303)


def _work(number: int, change: Change) -> str:
    """One change in one transaction. Raises WorkRefused."""
    person = current.person()
    assert person is not None
    with current.instance().database.writing() as session:
        ticket = ticket_work.load(session, number) or abort(404, "There is no such ticket.")
        return change(session, ticket, session.get_one(Account, person.account_id))


def ticket_page(number: int) -> str:
    """The whole page, for what another module answers with it."""
    return _render("tickets/show.html", number)


def facts_part(number: int) -> str:
    """The facts of a ticket, to be put in their place beside what htmx asked for."""
    return _render("tickets/_facts.html", number, oob=True)


def _answer(part: str, number: int, status: int, **what: Any) -> ResponseReturnValue:
    """What could not be done: the part with its sentence for htmx, else the page with it."""
    return _render(part if is_partial() else "tickets/show.html", number, **what), status


def _render(
    template: str, number: int, *, focus: str = "", problem: str = "", note: str = "", oob: bool = False
) -> str:
    person = current.person()
    works = person is not None and person.works_on_tickets
    with current.instance().database.reading() as session:
        ticket = queries.load(session, number) or abort(404, "There is no such ticket.")
        return render_template(
            template,
            ticket=ticket,
            page=queries.entries_page(
                session, ticket, page_number(), with_html=wanted_view() is View.FORMATTED
            ),
            mail_of=_mail_of,
            last_page=queries.last_entries_page(session, ticket),
            links=queries.links_to(session, ticket),
            works=works,
            sender=_sender(session, ticket) if works else None,
            status_choices=[(value.value, told[0]) for value, told in STATUS_WORDS.items()],
            assignee_choices=_assignees(session, ticket) if works else [],
            focus=focus,
            problem=problem,
            note=note,
            oob=oob,
        )


def _mail_of(contribution: Contribution) -> ShownMail | None:
    """The message of an entry that was received, None of any other."""
    if contribution.entry.kind is not EntryKind.MAIL:
        return None
    return entry_mail(contribution.entry, has_formatted=contribution.has_html, defects=contribution.defects)


def _sender(session: Session, ticket: Ticket) -> User | None:
    """Of a ticket that is nobody's: the user who has its sender's address all the same."""
    if ticket.requester_id is not None or ticket.requester_account_id is not None:
        return None
    return user_by_address(session, ticket.requester_address)


def _assignees(session: Session, ticket: Ticket) -> list[tuple[str, str]]:
    """Who can be chosen; somebody who has the ticket and takes none any more stays to be seen."""
    accounts = ticket_work.assignable(session)
    choices = [("", ticket_work.POOL)] + [(str(account.id), account.name) for account in accounts]
    if ticket.assignee and ticket.assignee not in accounts:
        choices.append((str(ticket.assignee.id), f"{ticket.assignee.name} (takes no tickets any more)"))
    return choices


def _filter() -> TicketFilter:
    person, assignee = current.person(), request.args.get("assignee", "")
    return TicketFilter(
        text=filter_text("q"),
        status=_status(request.args.get("status", "")),
        assignee=Assignee(assignee) if assignee in list(Assignee) else Assignee.ANYBODY,
        me=person.account_id if person else None,
    )


def _status(text: str) -> TicketStatus | None:
    return TicketStatus(text) if text in list(TicketStatus) else None


def _account_id(name: str) -> int | None:
    """The account a form names; "" is the ticket pool."""
    text = request.form.get(name) if name in request.form else abort(400)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= MAX_ID):
        abort(400)
    return int(text)
