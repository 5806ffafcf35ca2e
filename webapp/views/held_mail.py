"""Held mail: who says what about which ticket, and the decision about it.

Every act is a plain form that leads back to the queue, so it works without a script. Whoever comes second
is told so (409) and sees the queue as it is now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlalchemy.orm import Session

from webapp.desk import held_mail, incoming_rules
from webapp.desk.held_mail import HeldRow
from webapp.inbound import held
from webapp.inbound.again import AgainRefused
from webapp.inbound.held import HeldRefused, HeldSettled, NotHeld
from webapp.inbound.parser_process import ParserDied
from webapp.models import Account, Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.filters import count
from webapp.views.paging import PAGE_SIZE, Page, make_page, offset, page_number

blueprint = Blueprint("held_mail", __name__, url_prefix="/held-mail")
MESSAGE = "/<int(max=2147483647):inbound_id>"
DECIDED = "decided"  # the other half of the page
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
Act = Callable[[Account], Markup | str]


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    return _page()


@blueprint.post(f"{MESSAGE}/join")
@requires(Role.TECHNICIAN)
def join(inbound_id: int) -> ResponseReturnValue:
    wanted = "participant" in request.form

    def act(actor: Account) -> Markup:
        ticket_id = held.join(
            current.instance(), inbound_id, as_participant=wanted, now=current.now(), actor=actor
        )
        return Markup("The message was joined to {}. {}").format(_ticket_link(ticket_id), _decided_link())

    return _do(act)


@blueprint.post(f"{MESSAGE}/ticket")
@requires(Role.TECHNICIAN)
def make_ticket(inbound_id: int) -> ResponseReturnValue:
    def act(actor: Account) -> Markup:
        ticket_id = held.make_ticket(current.instance(), inbound_id, now=current.now(), actor=actor)
        return Markup("{} was made from this message.").format(_ticket_link(ticket_id))

    return _do(act)


@blueprint.post(f"{MESSAGE}/refuse")
@requires(Role.TECHNICIAN)
def refuse(inbound_id: int) -> ResponseReturnValue:
    def act(actor: Account) -> Markup:
        held.refuse(current.instance(), inbound_id, now=current.now(), actor=actor)
        return Markup("Refused. No ticket was made. {}").format(_decided_link())

    return _do(act)


@blueprint.post(f"{MESSAGE}/block")
@requires(Role.TECHNICIAN)
def block(inbound_id: int) -> ResponseReturnValue:
    def act(actor: Account) -> Markup:
        blocked = held.block(current.instance(), inbound_id, now=current.now(), actor=actor)
        told = Markup("Refused. Mail from {} is ignored from now on. {}")
        return told.format(blocked, _decided_link())

    return _do(act)


@blueprint.post(f"{MESSAGE}/undo")
@requires(Role.TECHNICIAN)
def undo(inbound_id: int) -> ResponseReturnValue:
    def act(actor: Account) -> str:
        held.undo(current.instance(), inbound_id, now=current.now(), actor=actor)
        return "Undone. The message waits for a decision again."

    return _do(act)


@blueprint.post("/refuse")
@requires(Role.TECHNICIAN)
def refuse_chosen() -> ResponseReturnValue:
    """Those that still wait; of the others it is said that somebody was quicker."""
    ids = [int(text) for text in request.form.getlist("id") if _NUMBER.fullmatch(text)][:PAGE_SIZE]
    if not ids:
        return _page("Choose at least one message first."), 422

    def act(actor: Account) -> Markup:
        refused = held.refuse_all(current.instance(), ids, now=current.now(), actor=actor)
        if not refused:
            raise HeldSettled("Somebody has decided about all of these meanwhile. Nothing was changed.")
        late = len(set(ids)) - refused
        told = count(refused, "message was refused", "messages were refused")
        others = (
            f" {count(late, 'other was', 'others were')} decided by somebody else meanwhile." if late else ""
        )
        return Markup("{}.{} {}").format(told, others, _decided_link())

    return _do(act)


@blueprint.app_template_global()
def held_about(ticket_id: int) -> int:
    """How many waiting messages name this ticket."""
    with current.instance().database.reading() as session:
        return held_mail.count_about(session, ticket_id)


@blueprint.app_template_global()
def holds_mail() -> bool:
    """Whether mail is held now by the settings, or was."""
    with current.instance().database.reading() as session:
        return incoming_rules.load(session).hold_claims or held_mail.any_held(session)


def _do(act: Act) -> ResponseReturnValue:
    """One act, and back to the queue with a sentence about it."""
    person = current.person()
    assert person is not None
    with current.instance().database.reading() as session:
        actor = session.get_one(Account, person.account_id)
    try:
        flash(act(actor), "good")
    except NotHeld:
        abort(404, "There is no such held message.")
    except HeldSettled as settled:
        return _page(str(settled)), 409
    except (HeldRefused, AgainRefused, ParserDied) as refused:
        return _page(str(refused)), 422
    return redirect(url_for("held_mail.index", show=_half()), 303)


def _page(problem: str = "") -> str:
    with current.instance().database.reading() as session:
        return render_template(
            "held_mail/index.html",
            page=_rows(session),
            decided=_half() is not None,
            waiting=held_mail.count_waiting(session),
            most=held_mail.MOST_COUNTED,
            holds=incoming_rules.load(session).hold_claims,
            verdict_in_words=held.verdict_in_words,
            problem=problem,
        )


def _rows(session: Session) -> Page[HeldRow]:
    number = page_number()
    read = held_mail.settled if _half() else held_mail.waiting
    found: Sequence[HeldRow] = read(session, limit=PAGE_SIZE + 1, offset=offset(number))
    return make_page(found, number)


def _half() -> str | None:
    """None: what waits. A form says in which half it stood."""
    return DECIDED if (request.form.get("show") or request.args.get("show")) == DECIDED else None


def _ticket_link(ticket_id: int) -> Markup:
    return Markup('<a href="{}">T-{}</a>').format(url_for("tickets.show", number=ticket_id), ticket_id)


def _decided_link() -> Markup:
    return Markup('<a href="{}">Undo it under Decided</a>').format(url_for("held_mail.index", show=DECIDED))
