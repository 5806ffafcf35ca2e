"""What people do about messages in the email log; each act answers with a sentence on its page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from webapp.desk import audit
from webapp.inbound import again, missed
from webapp.inbound.again import AgainRefused, Outcome
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.replay import Replay, apply_replay, compare
from webapp.instance import Instance
from webapp.models import Disposition, Inbound, Role
from webapp.views import current
from webapp.views.access import own_path, requires
from webapp.views.email_log import ID, start_run
from webapp.views.queries import email_log as queries
from webapp.views.queries import missed_mail
from webapp.views.shell import shell
from webapp.views.words import reason_of

blueprint = Blueprint("email_log_actions", __name__, url_prefix="/email-log")
ID_TEXT = re.compile("[0-9]{1,9}", re.ASCII)
DECIDED_AT_ONCE = 1_000
ALL = "-all"  # how a verdict ends that is about all of the missed mail
DECISIONS = {"process": (missed.want, "missed.want"), "dismiss": (missed.dismiss, "missed.dismiss")}


@blueprint.post(f"/<{ID}:inbound_id>/ticket")
@requires(Role.TECHNICIAN)
def create_ticket(inbound_id: int) -> ResponseReturnValue:
    return _asked_about_copy(inbound_id, "email_log_actions.create_ticket") or _act(
        inbound_id, lambda instance, now, who: again.create_ticket(instance, inbound_id, now=now, actor=who)
    )


@blueprint.post(f"/<{ID}:inbound_id>/again")
@requires(Role.TECHNICIAN)
def process_again(inbound_id: int) -> ResponseReturnValue:
    return _asked_about_copy(inbound_id, "email_log_actions.process_again") or _act(
        inbound_id, lambda instance, now, who: again.process_again(instance, inbound_id, now=now, actor=who)
    )


@blueprint.post(f"/<{ID}:inbound_id>/dismiss")
@requires(Role.TECHNICIAN)
def dismiss(inbound_id: int) -> ResponseReturnValue:
    """A person has read it: it needs no attention any more."""
    with current.instance().database.writing() as session:
        inbound = session.get(Inbound, inbound_id) or abort(404, "There is no such message.")
        again.dismiss(session, inbound, now=current.now(), actor=_actor())
    flash("This message needs no attention any more.", "good")
    return _back(inbound_id)


@blueprint.get(f"/<{ID}:inbound_id>/replay")
@requires(Role.TECHNICIAN)
def replay(inbound_id: int) -> ResponseReturnValue:
    """What the message would be understood as today, beside what it was understood as. Changes nothing."""
    with current.instance().database.reading() as session:
        row = queries.load(session, inbound_id) or abort(404, "There is no such message.")
    try:
        found = _compare(inbound_id)
    except AgainRefused as refused:
        abort(404, str(refused))
    return render_template(
        "email_log/replay.html", row=row, replay=found, reason_of=reason_of, has_entry=row.ticket is not None
    )


@blueprint.post(f"/<{ID}:inbound_id>/replay")
@requires(Role.TECHNICIAN)
def write_replay(inbound_id: int) -> ResponseReturnValue:
    _must_exist(inbound_id)
    try:
        found = _compare(inbound_id)
    except AgainRefused as refused:
        flash(str(refused), "warning")
        return _back(inbound_id)
    if apply_replay(current.instance(), found, now=current.now(), actor=_actor()):
        flash("Written. The message is shown as it is understood now.", "good")
    else:
        flash("It is understood as before. Nothing was changed.", "good")
    return _back(inbound_id)


@blueprint.post("/missed")
@requires(Role.TECHNICIAN)
def settle_missed() -> ResponseReturnValue:
    """Messages that somebody opened before the parser saw them: the next run takes them in, or never.

    A verdict about all of them is asked about first, with their number; the answer carries the newest of
    those the question was about (`last`), so that none is decided that was found meanwhile.
    """
    verdict = request.form.get("verdict", "")
    kind = verdict.removesuffix(ALL)
    if kind not in DECISIONS:
        abort(400)
    ids = _chosen_ids() if kind == verdict else _all_ids()
    if not ids:
        flash("Choose at least one message." if kind == verdict else "There is none any more.", "warning")
    elif kind != verdict and "last" not in request.form:
        return render_template("email_log/missed_all.html", verdict=verdict, number=len(ids), last=ids[-1])
    else:
        flash(*_decide_missed(kind, ids))
    return redirect(url_for("email_log.index"), 303)


def _chosen_ids() -> list[int]:
    return [int(text) for text in request.form.getlist("id") if ID_TEXT.fullmatch(text)]


def _all_ids() -> list[int]:
    last, mailbox = request.form.get("last", ""), shell().mail.mailbox
    if last and not ID_TEXT.fullmatch(last):
        abort(400)
    if mailbox is None:
        return []
    with current.instance().database.reading() as session:
        return missed_mail.ids_up_to(session, mailbox.id, int(last) if last else None)


def _decide_missed(kind: str, ids: Sequence[int]) -> tuple[str, str]:
    """Write it down, and let a run begin where there is something to do; the sentence and its level."""
    decide, action = DECISIONS[kind]
    with current.instance().database.writing() as session:
        number = sum(
            decide(session, ids[start : start + DECIDED_AT_ONCE])
            for start in range(0, len(ids), DECIDED_AT_ONCE)
        )
        told = {"ids": list(ids)} if len(ids) <= missed_mail.SHOWN else {"first": ids[0], "last": ids[-1]}
        audit.record(session, current.now(), _actor(), action, "missed mail", number=number, **told)
    it, they = ("it", "It") if number == 1 else ("them", "They")
    if number == 0:
        return "Somebody else decided about this meanwhile. Nothing was changed.", "warning"
    if kind == "dismiss":
        return f"Left alone. {they} stay{'s' if number == 1 else ''} in the inbox as before.", "good"
    if start_run():
        return f"{they} will be processed when incoming email is turned on.", "warning"
    return f"The parser is taking {it} in now.", "good"


def _asked_about_copy(inbound_id: int, endpoint: str) -> ResponseReturnValue | None:
    """The question whether a copy of what has a ticket shall have a second one, unless it was answered."""
    with current.instance().database.reading() as session:
        row = queries.load(session, inbound_id) or abort(404, "There is no such message.")
        first = row.ticket or (row.earlier and queries.ticket_of(session, row.earlier))
    if row.inbound.disposition is not Disposition.DUPLICATE or row.action or not first:
        return None
    if request.form.get("copy") == "yes":
        return None
    return render_template("email_log/copy.html", row=row, ticket=first, endpoint=endpoint)


def _act(inbound_id: int, do: Callable[[Instance, datetime, str], Outcome]) -> ResponseReturnValue:
    _must_exist(inbound_id)
    try:
        outcome = do(current.instance(), current.now(), _actor())
    except AgainRefused as refused:
        flash(str(refused), "warning")
    else:
        flash(_sentence(outcome), "good" if outcome.ticket_id else "warning")
    return _back(inbound_id)


def _sentence(outcome: Outcome) -> Markup | str:
    """What was done, with the way to it."""
    if outcome.ticket_id is None:
        return _why_nothing(outcome)
    link = Markup('<a href="{}">T-{}</a>').format(
        url_for("tickets.show", number=outcome.ticket_id), outcome.ticket_id
    )
    if outcome.already:
        return Markup("This message is in {} already. Nothing was changed.").format(link)
    if outcome.reopened:
        return Markup("The message could be read. {} was closed and is open again, with it.").format(link)
    if outcome.before is Disposition.QUARANTINED and outcome.disposition is not Disposition.UPDATE:
        return Markup("The message could be read and is in {} now.").format(link)
    if outcome.disposition is Disposition.UPDATE:
        return Markup("Added to {}.").format(link)
    if outcome.disposition is Disposition.CLAIM:
        return Markup("{} was made. It names another ticket, where its sender may not write.").format(link)
    return Markup("{} was made from this message.").format(link)


def _why_nothing(outcome: Outcome) -> str:
    """Of a message that has no ticket after the rules were asked once more."""
    if outcome.disposition is Disposition.HELD:
        return "The rules hold it: it waits for a decision in Tickets, Held mail. Nothing else was changed."
    reason = reason_of(outcome.disposition, outcome.rule, outcome.saw)
    if outcome.before is Disposition.QUARANTINED:
        return (
            f"The message could be read now, and the rules ignore it: {reason}. It needs no attention any "
            "more, and its ticket is closed."
        )
    word = "again" if outcome.before is Disposition.IGNORED else "now"
    return f"The rules ignore it {word}: {reason}. Nothing else was changed."


def _compare(inbound_id: int) -> Replay:
    with ParserProcess() as parser:
        return compare(current.instance(), parser, inbound_id)


def _must_exist(inbound_id: int) -> None:
    """Or the answer is 404."""
    with current.instance().database.reading() as session:
        if session.get(Inbound, inbound_id) is None:
            abort(404, "There is no such message.")


def _back(inbound_id: int) -> ResponseReturnValue:
    """To where the person stood: the list, if that is where the button was, else the message."""
    came_from = request.form.get("next")
    there = own_path(came_from) if came_from else url_for("email_log.show", inbound_id=inbound_id)
    return redirect(there, 303)


def _actor() -> str:
    person = current.person()
    assert person is not None
    return person.email
