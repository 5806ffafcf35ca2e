"""Settings > Service desk > Senders: the block list and the allow list."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask import session as session_cookie
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session
from wtforms import BooleanField, RadioField, SelectChoice, StringField

from webapp.desk import sender_lists
from webapp.desk.sender_lists import ListRefused, NeedsConsent
from webapp.mail.address import fold_addr_spec
from webapp.models import Inbound, Role, SenderList, SenderRule
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.paging import PAGE_SIZE, Page, filter_text, make_page, offset, page_number

blueprint = Blueprint("sender_lists", __name__)
PAGE = "/settings/service-desk/senders"
ID = "int(max=2147483647)"
_REMOVED = "removed_sender"  # in the cookie: what undoes the last removal
LIST_WORDS = {
    SenderList.BLOCK: "Blocked: all mail from there is ignored",
    SenderList.ALLOW: "Allowed: automatic mail from there is taken in, too",
}


class SenderForm(DeskForm):
    which = RadioField(
        "List",
        choices=[SelectChoice(which.value, words) for which, words in LIST_WORDS.items()],
        default=SenderList.BLOCK.value,
        validate_choice=False,
    )
    value = StringField("Address or domain")
    note = StringField("Note")
    consent = BooleanField("Yes, everybody there")


@blueprint.get(PAGE)
@requires(Role.ADMINISTRATOR)
def index() -> ResponseReturnValue:
    return _page(SenderForm(formdata=None))


@blueprint.post(PAGE)
@requires(Role.ADMINISTRATOR)
def add() -> ResponseReturnValue:
    form, person = SenderForm(), current.person()
    assert person is not None
    if form.which.data not in list(SenderList):
        form.refuse("Choose one of the lists.", "which")
        return _page(form), 422
    try:
        with current.instance().database.writing() as session:
            rule = sender_lists.add(
                session, SenderList(form.which.data), form.value.data or "", note=form.note.data or "",
                now=current.now(), actor=person.email, consent=bool(form.consent.data),
            )  # fmt: skip
            told = f"{rule.value_key} is on the {rule.list.value} list."
    except NeedsConsent as warning:
        form.refuse(str(warning), "value")
        return _page(form, asks=True), 422
    except ListRefused as refused:
        form.refuse(str(refused), "value")
        return _page(form), 422
    flash(told, "good")
    return redirect(url_for("sender_lists.index"), 303)


@blueprint.post(f"{PAGE}/<{ID}:rule_id>/remove")
@requires(Role.ADMINISTRATOR)
def remove(rule_id: int) -> ResponseReturnValue:
    person = current.person()
    assert person is not None
    with current.instance().database.writing() as session:
        rule = session.get(SenderRule, rule_id)
        if rule is None:
            flash("Removed already.", "good")
            return redirect(url_for("sender_lists.index"), 303)
        which, value, note = rule.list.value, rule.value_key, rule.note
        sender_lists.remove(session, rule, now=current.now(), actor=person.email)
    session_cookie[_REMOVED] = {"value": value, "list": which, "note": note}
    return redirect(url_for("sender_lists.index"), 303)


@blueprint.post(f"/email-log/<{ID}:inbound_id>/block-sender")
@requires(Role.TECHNICIAN)
def block(inbound_id: int) -> ResponseReturnValue:
    person = current.person()
    assert person is not None
    try:
        with current.instance().database.writing() as session:
            inbound = session.get(Inbound, inbound_id) or abort(404, "There is no such message.")
            if not inbound.from_addr:
                raise ListRefused("This mail names no single sender, so there is nobody to block.")
            rule = sender_lists.add(
                session, SenderList.BLOCK, inbound.from_addr,
                note=f"Blocked from message {inbound_id} of the email log",
                now=current.now(), actor=person.email,
            )  # fmt: skip
            told = f"Mail from {rule.value_key} is ignored from now on."
    except ListRefused as refused:
        flash(str(refused), "warning")
    else:
        flash(f"{told} An administrator can undo it: Settings, Senders.", "good")
    return redirect(url_for("email_log.show", inbound_id=inbound_id), 303)


@blueprint.app_template_global()
def block_entry_of(addr_spec: str | None) -> str | None:
    """The entry of the block list that covers this sender, if any."""
    if not addr_spec:
        return None
    key = fold_addr_spec(addr_spec)
    with current.instance().database.reading() as session:
        found = sender_lists.listed(session, [key]).get(key)
    return found.blocked_by if found else None


def _page(form: SenderForm, *, asks: bool = False) -> str:
    text, number = filter_text("q"), page_number()
    with current.instance().database.reading() as session:
        page = _rules(session, text, number)
        any_rule = bool(page.items) or session.scalar(sa.select(SenderRule.id).limit(1)) is not None
    return render_template(
        "sender_lists/index.html",
        form=form,
        asks=asks,
        page=page,
        text=text,
        any_rule=any_rule,
        # Not of the address: a link somebody sends must not offer an entry of its own to be put back.
        removed=session_cookie.pop(_REMOVED, None),
    )


def _rules(session: Session, text: str, number: int) -> Page[SenderRule]:
    query = sa.select(SenderRule).order_by(SenderRule.value_key, SenderRule.id)
    if text:
        query = query.where(
            sa.or_(
                SenderRule.value_key.icontains(text, autoescape=True),
                SenderRule.note.icontains(text, autoescape=True),
            )
        )
    return make_page(session.scalars(query.limit(PAGE_SIZE + 1).offset(offset(number))).all(), number)
