"""Settings > Service desk > Rules for incoming mail: what is decided, in which order, and what can be set."""

from __future__ import annotations

import re

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue
from wtforms import BooleanField, RadioField, SelectChoice, StringField

from webapp.desk import incoming_rules
from webapp.desk.incoming_rules import MAX_REOPEN_DAYS, IncomingRules
from webapp.models import Role
from webapp.views.access import requires
from webapp.views.forms import DeskForm
from webapp.views.setting_page import SettingPage

blueprint = Blueprint("incoming_rules", __name__, url_prefix="/settings/service-desk/incoming-rules")
PAGE = SettingPage(
    incoming_rules.STORED,
    endpoint="incoming_rules.form",
    action="settings.incoming-rules",
    subject="rules for incoming mail",
    saved="Saved. Mail is judged by these rules from the next run on.",
)
HOLD, TICKET = "hold", "ticket"
CLAIM_CHOICES = [
    (TICKET, "Open a ticket of its own that names the other"),
    (HOLD, "Hold it in a queue until a technician decides"),
]
_SERVER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)


class RulesForm(DeskForm):
    same_company = BooleanField("Users of the ticket's company may write to it")
    cc_colleagues = BooleanField("Colleagues whom a customer's mail is addressed to take part by themselves")
    claims = RadioField(
        "Mail that names a ticket its sender may not write to",
        choices=[SelectChoice(*one) for one in CLAIM_CHOICES],
        validate_choice=False,
    )
    reopen_days = StringField("Days in which mail reopens a closed ticket")
    authserv_id = StringField("Mail server whose checks of the sender count")
    do_not_reply = BooleanField("Addresses with do-not-reply or do_not_reply are no-reply addresses, too")
    other_automated = BooleanField("Ignore mail with other marks of automatic mail")


@blueprint.get("")
@requires(Role.ADMINISTRATOR)
def form() -> ResponseReturnValue:
    saved = PAGE.as_data()
    return _page(RulesForm(formdata=None, data=saved | {"claims": HOLD if saved["hold_claims"] else TICKET}))


@blueprint.post("")
@requires(Role.ADMINISTRATOR)
def save() -> ResponseReturnValue:
    entered = RulesForm()
    wanted = _read(entered)
    return (_page(entered), 422) if wanted is None else PAGE.keep(wanted)


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
    claims = entered.claims.data or TICKET
    if claims not in (TICKET, HOLD):
        entered.refuse("Choose one of these.", "claims")
    if entered.invalid:
        return None
    return IncomingRules(
        same_company=bool(entered.same_company.data),
        reopen_days=int(days),
        authserv_id=server,
        do_not_reply=bool(entered.do_not_reply.data),
        other_automated=bool(entered.other_automated.data),
        hold_claims=claims == HOLD,
        cc_colleagues=bool(entered.cc_colleagues.data),
    )


def _page(shown: RulesForm) -> str:
    return render_template("incoming_rules/index.html", form=shown)
