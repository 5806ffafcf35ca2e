"""What a ticket page says about who takes part: claims, participants, the brake; what people do about them.

Every act is a plain form that leads back to the ticket, so it works without a script.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from webapp.desk import brake, claims, participants, ticket_work, undeliverable
from webapp.desk.claims import ClaimRefused
from webapp.desk.participants import Offered, ParticipantRefused
from webapp.desk.ticket_log import say
from webapp.models import (
    Account,
    Role,
    Ticket,
    TicketNotice,
    TicketParticipant,
    UndeliverableAddress,
    User,
)
from webapp.views import current
from webapp.views.access import requires

blueprint = Blueprint("threads", __name__)
TICKET = "/tickets/<int(max=2147483647):number>"
Act = Callable[[Session, Ticket, Account], str]


@dataclass(frozen=True, slots=True)
class Threading:
    """What the partials of a ticket page show."""

    evidence: str  # of a claim nobody has decided about; "" otherwise
    participants: list[TicketParticipant]
    offered: list[Offered]
    is_braked: bool


@blueprint.app_template_global()
def threading_of(ticket: Ticket, offers: bool = False) -> Threading:
    """`offers`: with whom the requester's mail named as well, which takes a look at it."""
    with current.instance().database.reading() as session:
        is_claim = ticket.notice is TicketNotice.CLAIM
        return Threading(
            evidence=claims.evidence(session, ticket) if is_claim else "",
            participants=participants.recipients_of(session, ticket.id),
            offered=participants.offered(session, ticket) if offers else [],
            is_braked=brake.is_braked(ticket, current.now()),
        )


@blueprint.post(f"{TICKET}/claim/join")
@requires(Role.TECHNICIAN)
def join(number: int) -> ResponseReturnValue:
    wanted = "participant" in request.form
    joined_to = 0

    def act(session: Session, ticket: Ticket, actor: Account) -> str:
        nonlocal joined_to
        joined_to = claims.join(session, ticket, as_participant=wanted, now=current.now(), actor=actor).id
        return f"T-{number} was joined to this ticket."

    return _do(number, act, lambda: joined_to)


@blueprint.post(f"{TICKET}/claim/undo")
@requires(Role.TECHNICIAN)
def undo_join(number: int) -> ResponseReturnValue:
    def act(session: Session, ticket: Ticket, actor: Account) -> str:
        claims.undo_join(session, ticket, now=current.now(), actor=actor)
        return "Undone. The messages are in this ticket again."

    return _do(number, act)


@blueprint.post(f"{TICKET}/claim/refuse")
@requires(Role.TECHNICIAN)
def refuse(number: int) -> ResponseReturnValue:
    def act(session: Session, ticket: Ticket, actor: Account) -> str:
        claims.refuse(session, ticket, now=current.now(), actor=actor)
        return "Refused. This stays a ticket of its own."

    return _do(number, act)


@blueprint.post(f"{TICKET}/claim/block")
@requires(Role.TECHNICIAN)
def block(number: int) -> ResponseReturnValue:
    def act(session: Session, ticket: Ticket, actor: Account) -> str:
        blocked = claims.block(session, ticket, now=current.now(), actor=actor)
        return f"Mail from {blocked} is ignored from now on. An administrator can undo it in the settings."

    return _do(number, act)


@blueprint.post(f"{TICKET}/participants")
@requires(Role.TECHNICIAN)
def add_participant(number: int) -> ResponseReturnValue:
    text, name = request.form.get("address", ""), request.form.get("name", "")

    def act(session: Session, ticket: Ticket, actor: Account) -> str:
        added = participants.add(session, ticket, text, name=name, now=current.now(), actor=actor)
        return f"{added.addr_spec} takes part in this ticket."

    return _do(number, act, anchor="participants")


@blueprint.post(f"{TICKET}/participants/<int(max=2147483647):participant_id>/remove")
@requires(Role.TECHNICIAN)
def remove_participant(number: int, participant_id: int) -> ResponseReturnValue:
    def act(session: Session, ticket: Ticket, actor: Account) -> str:
        removed = participants.remove(session, ticket, participant_id, now=current.now(), actor=actor)
        return f"{removed} takes no part in this ticket any more." if removed else "Removed already."

    return _do(number, act, anchor="participants")


@blueprint.post(f"{TICKET}/brake/release")
@requires(Role.TECHNICIAN)
def release_brake(number: int) -> ResponseReturnValue:
    def act(session: Session, ticket: Ticket, actor: Account) -> str:
        if not brake.release(session, ticket, now=current.now(), actor=actor.email):
            return "Released already."
        say(
            session,
            ticket,
            "Brake released: automatic mail may be sent again.",
            now=current.now(),
            actor=actor,
        )
        return "Released. Automatic mail about this ticket may be sent again."

    return _do(number, act)


@blueprint.app_template_global()
def undeliverable_of(user: User) -> list[tuple[str, UndeliverableAddress]]:
    """Those of a user's addresses to which nothing is sent."""
    with current.instance().database.reading() as session:
        found = undeliverable.undeliverable(session, [one.addr_spec for one in user.addresses])
    return [(one.addr_spec, found[one.addr_key]) for one in user.addresses if one.addr_key in found]


@blueprint.post("/people/<int(max=2147483647):user_id>/send-again")
@requires(Role.TECHNICIAN)
def send_again(user_id: int) -> ResponseReturnValue:
    person, address = current.person(), request.form.get("address", "")
    assert person is not None
    with current.instance().database.writing() as session:
        user = session.get(User, user_id) or abort(404, "There is no such user.")
        if address not in {one.addr_spec for one in user.addresses}:
            abort(400)
        undeliverable.send_again(session, address, now=current.now(), actor=person.email)
    flash(f"Mail is sent to {address} again.", "good")
    return redirect(url_for("people.show", user_id=user_id), 303)


def _do(
    number: int, act: Act, leads_to: Callable[[], int] | None = None, *, anchor: str = ""
) -> ResponseReturnValue:
    """One act in one transaction, and back to the ticket with a sentence about it."""
    person = current.person()
    assert person is not None
    try:
        with current.instance().database.writing() as session:
            ticket = ticket_work.load(session, number) or abort(404, "There is no such ticket.")
            flash(act(session, ticket, session.get_one(Account, person.account_id)), "good")
    except (ClaimRefused, ParticipantRefused) as refused:
        flash(str(refused), "warning")
        return redirect(url_for("tickets.show", number=number, _anchor=anchor or None), 303)
    shown = leads_to() if leads_to else number
    return redirect(url_for("tickets.show", number=shown, _anchor=anchor or None), 303)
