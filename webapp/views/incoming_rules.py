"""Settings > Service desk > Rules for incoming mail: what is decided, in which order, and what can be set."""

from __future__ import annotations

import re
from dataclasses import asdict

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, StringField

from webapp.desk import audit, incoming_rules
from webapp.desk.incoming_rules import MAX_REOPEN_DAYS, IncomingRules
from webapp.models import Role
from webapp.views import current
from webapp.views.access import requires
from webapp.views.forms import DeskForm

blueprint = Blueprint("incoming_rules", __name__, url_prefix="/settings/service-desk/incoming-rules")
_SERVER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)


class RulesForm(DeskForm):
    same_company = BooleanField("Users of the ticket's company may write to it")
    reopen_days = StringField("Days in which mail reopens a closed ticket")
    authserv_id = StringField("Mail server whose checks of the sender count")
    do_not_reply = BooleanField("Addresses with do-not-reply or do_not_reply are no-reply addresses, too")
    other_automated = BooleanField("Ignore mail with other marks of automatic mail")


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        saved = incoming_rules.load(session)
    return _page(RulesForm(formdata=None, data=asdict(saved)))


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def save() -> ResponseReturnValue:
    entered, person = RulesForm(), current.person()
    assert person is not None
    wanted = _read(entered)
    if wanted is None:
        return _page(entered), 422
    with current.instance().database.writing() as session:
        before = incoming_rules.load(session)
        if before != wanted:
            incoming_rules.save(session, wanted)
            audit.record(
                session, current.now(), person.email, "settings.incoming-rules", "rules for incoming mail",
                before=asdict(before), after=asdict(wanted),
            )  # fmt: skip
    flash("Saved. Mail is judged by these rules from the next run on.", "good")
    return redirect(url_for("incoming_rules.form"), 303)


def _read(entered: RulesForm) -> IncomingRules | None:
    """What was entered, None where something needs attention; the form then says what."""
    days, server = (entered.reopen_days.data or "").strip(), (entered.authserv_id.data or "").strip()
    if not (days.isascii() and days.isdigit() and len(days) < 4 and int(days) <= MAX_REOPEN_DAYS):
        entered.refuse(f"Enter a number of days from 0 to {MAX_REOPEN_DAYS}; 0 means never.", "reopen_days")
    if server and not _SERVER.fullmatch(server):
        entered.refuse(
            "Enter the name as it stands at the beginning of Authentication-Results, such as mx.example.com.",
            "authserv_id",
        )
    if entered.invalid:
        return None
    return IncomingRules(
        same_company=bool(entered.same_company.data),
        reopen_days=int(days),
        authserv_id=server,
        do_not_reply=bool(entered.do_not_reply.data),
        other_automated=bool(entered.other_automated.data),
    )


def _page(shown: RulesForm) -> str:
    return render_template("incoming_rules/index.html", form=shown)
