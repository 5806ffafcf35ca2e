"""Answering from the ticket page: the form, what becomes of it, and what became of each mail.

The form is there once, as a plain one; with a script htmx sends it, so that files that were chosen stay
chosen when it is refused. The notice carries the two values that change then: the entries that were seen,
and the form's key.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import Blueprint, abort, flash, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from webapp.desk import answers, reply_recipients, reply_settings
from webapp.desk.answers import Answer, AnswerRefused, Clash, News, SentAlready
from webapp.desk.ticket_work import WorkRefused
from webapp.mail.conversation import File as Attached
from webapp.models import Account, Entry, EntryKind, MailServer, Role, Row, Ticket, TicketStatus
from webapp.outbound import outbox
from webapp.outbound.by_hand import RESENDABLE
from webapp.views import current
from webapp.views.access import accepts_files, requires
from webapp.views.paging import page_number
from webapp.views.partials import is_partial, toast
from webapp.views.queries import tickets as queries
from webapp.views.queries.tickets import Contribution
from webapp.views.sent_replies import Sent, sent_replies
from webapp.views.tickets import ID, facts_part, ticket_page

blueprint = Blueprint("answers", __name__)
MAX_OCTETS = 30_000_000  # of one request; more than the files may have, so that a sentence says what is wrong
STATUS_CHOICES = (
    (TicketStatus.WAITING, "Waiting for the customer"),
    (TicketStatus.OPEN, "Open"),
    (TicketStatus.CLOSED, "Closed"),
)


@dataclass(kw_only=True)
class Form:
    """The reply form as a page shows it."""

    reason: str = ""  # why nothing can be sent; the form is not there then
    sender: str = ""
    to: str = ""
    cc: str = ""
    text: str = ""
    status: str = TicketStatus.WAITING.value
    quote: bool = True
    quoted: str = ""  # whose message can be quoted
    reply_to: str = ""
    left_out: tuple[str, ...] = ()
    files_octets: int = 0  # what all files may have
    server_octets: int = 0  # of the largest message the server takes, where that is what limits the files
    signature: str = ""
    seen: int = 0
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    problem: str = ""
    field: str = ""
    news: tuple[News, ...] = ()
    status_choices = STATUS_CHOICES
    lost_files: bool = False  # without a script chosen files are gone after a refusal
    begun: bool = False  # there is something in it


@blueprint.app_template_filter("megabytes")
def megabytes(octets: int) -> str:
    """20, 7.2."""
    return answers.megabytes(octets)


@blueprint.app_template_global()
def reply_form(ticket: Ticket) -> Form:
    """The form, as it was entered where it was just refused."""
    if "reply_form" in g:
        form: Form = g.reply_form
        return form
    with current.instance().database.reading() as session:
        form = _form(session, ticket)
        form.text = _text_to_send(session, ticket)
        form.begun = bool(form.text)
    return form


@blueprint.app_template_global()
def sent_of(contributions: Sequence[Contribution]) -> dict[int, Sent]:
    """By entry, of those that are replies."""
    entries = [one.entry for one in contributions if one.entry.kind is EntryKind.REPLY]
    if not entries:
        return {}
    with current.instance().database.reading() as session:
        return sent_replies(session, entries)


@blueprint.post(f"/tickets/<{ID}:number>/replies")
@requires(Role.TECHNICIAN)
@accepts_files(MAX_OCTETS)
def send(number: int) -> ResponseReturnValue:
    """Send it, or say why not; what was typed stays."""
    try:
        entry_id, told = _send(number)
    except SentAlready as already:
        return _after_sending(number, already.entry_id, str(already))
    except WorkRefused as refused:
        return _refused(number, refused)
    return _after_sending(number, entry_id, told)


@blueprint.get(f"/tickets/<{ID}:number>/entries/<{ID}:entry_id>/deliveries")
@requires(Role.VIEWER)
def deliveries(number: int, entry_id: int) -> ResponseReturnValue:
    """What became of one reply, for a page that looks again by itself."""
    if not is_partial():
        return redirect(url_for("tickets.show", number=number, _anchor=f"entry-{entry_id}"), 303)
    with current.instance().database.reading() as session:
        entry = session.get(Entry, entry_id)
        if entry is None or entry.ticket_id != number or entry.kind is not EntryKind.REPLY:
            abort(404, "There is no such reply.")
        return render_template("answers/_deliveries.html", sent=sent_replies(session, [entry])[entry_id])


def _send(number: int) -> tuple[int, str]:
    person, instance = current.person(), current.instance()
    assert person is not None
    answer = _answer()
    with instance.database.reading() as session:
        if session.get(Ticket, number) is None:
            abort(404, "There is no such ticket.")
    entry = answers.reply(
        instance.database, instance.vault, number, answer, now=current.now(), actor_id=person.account_id
    )
    with instance.database.reading() as session:
        deliveries = outbox.deliveries_of(session, [entry.id]).get(entry.id, [])
    if any(one.state in RESENDABLE for one in deliveries):
        return entry.id, "Saved, but not sent to everybody. See below."
    return entry.id, "The reply is being sent."


def _answer() -> Answer:
    status, seen = request.form.get("status", ""), request.form.get("seen", "")
    key = request.form.get("form_key", "")
    if not (key.isascii() and key.isalnum() and len(key) == 32):
        abort(400, "The form is incomplete. Open the ticket again.")
    if not (seen.isascii() and seen.isdigit() and len(seen) < 11) or status not in list(TicketStatus):
        abort(400, "The form is incomplete. Open the ticket again.")
    chosen = [one for one in request.files.getlist("files") if one.filename]
    return Answer(
        text=request.form.get("text", ""),
        to=request.form.get("to", ""),
        cc=request.form.get("cc", ""),
        status=TicketStatus(status),
        quote="quote" in request.form,
        files=[Attached(one.filename or "", one.read()) for one in chosen],
        seen=int(seen),
        form_key=key,
    )


def _after_sending(number: int, entry_id: int, told: str) -> ResponseReturnValue:
    """An empty form again, and the conversation with the reply in it."""
    with current.instance().database.reading() as session:
        ticket = queries.load(session, number) or abort(404)
        last = queries.last_entries_page(session, ticket)
        if is_partial():
            part = render_template(
                "answers/_compose.html",
                ticket=ticket,
                focus="",
                problem="",
                note="",
                page={"number": page_number()},
            )
    if not is_partial():
        flash(told, "good")
        address = url_for(
            "tickets.show", number=number, page=last if last > 1 else None, _anchor=f"entry-{entry_id}"
        )
        return redirect(address, 303)
    response = make_response(part + facts_part(number))
    response.headers["HX-Retarget"] = "#compose"
    response.headers["HX-Reswap"] = "outerHTML"
    where = "" if last == page_number() else " It is on the last page of the conversation."
    return toast(response, f"{told}{where}", event="ticket:changed")


def _refused(number: int, refused: WorkRefused) -> ResponseReturnValue:
    """The notice for htmx, else the page; the entries that came meanwhile are seen from now on."""
    with current.instance().database.reading() as session:
        ticket = queries.load(session, number) or abort(404)
        form = _form(session, ticket)
        form.begun = True
        form.to, form.cc = request.form.get("to", ""), request.form.get("cc", "")
        form.text, form.quote = request.form.get("text", ""), "quote" in request.form
        form.status = request.form.get("status", "")
        form.problem = str(refused)
        if isinstance(refused, AnswerRefused):
            form.field = refused.field
        if isinstance(refused, Clash):
            form.news = refused.news
        else:  # what has come meanwhile is said once the rest is right
            form.seen = int(request.form.get("seen", "0"))
        form.reason = ""
        status = 409 if isinstance(refused, Clash) else 422
        if is_partial():
            return render_template("answers/_notice.html", form=form, ticket=ticket), status
    form.lost_files = any(one.filename for one in request.files.getlist("files"))
    g.reply_form = form
    return ticket_page(number), status


def _form(session: Session, ticket: Ticket) -> Form:
    person = current.person()
    account = session.get(Account, person.account_id) if person else None
    name, address = answers.from_mailbox(session, account.name if account else "")
    settings, server = reply_settings.load(session), session.get(MailServer, Row.OUTGOING.value)
    largest = server.largest_octets if server else None
    most = answers.files_octets(settings, largest)
    last = reply_recipients.last_message(session, ticket.id)
    suggested = reply_recipients.suggested(session, ticket)
    return Form(
        reason=answers.cannot_answer(session, ticket),
        sender=reply_recipients.written((name, address)) if address else "",
        to=suggested.to,
        cc=suggested.cc,
        quoted=(last.from_name or last.from_addr or "the sender") if last else "",
        reply_to=suggested.reply_to,
        left_out=suggested.left_out,
        files_octets=most,
        server_octets=largest if largest and most < settings.files_octets else 0,
        signature=settings.signature_for(account.name, account.signature) if account else "",
        seen=answers.newest_entry(session, ticket.id),
    )


def _text_to_send(session: Session, ticket: Ticket) -> str:
    """Of a technician's own mail that is an internal note: its words, to be sent to the customer."""
    wanted = request.args.get("send", "")
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 11):
        return ""
    entry = session.get(Entry, int(wanted))
    is_mailed_note = entry is not None and entry.kind is EntryKind.NOTE and entry.inbound_id is not None
    if entry is None or entry.ticket_id != ticket.id or not is_mailed_note:
        return ""
    return (entry.reply_text or entry.body_text)[: answers.MAX_CHARACTERS]
