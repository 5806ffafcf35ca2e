"""The outbox: what is sent, what waits and why. What people do about it: `outbox_actions`."""

from __future__ import annotations

import zlib
from email import message_from_bytes
from email.message import Message

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue

from webapp.desk import mail_servers
from webapp.models import Role, Row
from webapp.outbound import outbox as engine
from webapp.outbound.by_hand import RESENDABLE, STOPPABLE
from webapp.views import current
from webapp.views.access import requires
from webapp.views.email_log_headers import Fields, as_text, read_fields
from webapp.views.live import live_part
from webapp.views.paging import filter_text, page_number
from webapp.views.partials import is_partial
from webapp.views.queries import outbox as queries
from webapp.views.queries.outbox import ATTENTION, GROUPS, OutboxFilter
from webapp.views.words import MAX_TEXT

blueprint = Blueprint("outbox", __name__, url_prefix="/outbox")
ID = "int(max=2147483647)"
CHOICES = {
    "waiting": "Waiting",
    "sent": "Sent",
    "failed": "Failed",
    "uncertain": "Uncertain",
    "not-sent": "Not sent",
    ATTENTION: "Needs attention",
}


@blueprint.get("")
@requires(Role.VIEWER)
def index() -> ResponseReturnValue:
    wanted = _filter()
    with current.instance().database.reading() as session:
        page = queries.list_page(session, wanted, page_number())
        what = {
            "page": page,
            "wanted": wanted,
            "servers": queries.servers(session),
            "any_delivery": bool(page.items) or queries.any_delivery(session),
            "on": [row for row in engine.LABELS if engine.is_on(session, row)],
            "resendable": RESENDABLE,
            "stoppable": STOPPABLE,
        }
    if is_partial():
        return live_part("outbox/_list.html", **what)
    return render_template("outbox/index.html", choices=CHOICES, **what)


@blueprint.get(f"/<{ID}:delivery_id>")
@requires(Role.VIEWER)
def show(delivery_id: int) -> ResponseReturnValue:
    with current.instance().database.reading() as session:
        row = queries.load(session, delivery_id, whole=True) or abort(404, "There is no such delivery.")
        stored = mail_servers.load(session, Row(row.message.row))
        what = {
            "row": row,
            "gone": engine.undeliverable(session, [row.delivery.recipient_key]),
            "others": [
                one for one in engine.deliveries_of_message(session, row.message.id) if one.id != delivery_id
            ],
            "row_label": engine.LABELS[Row(row.message.row)],
            "from_now": stored.from_address if stored else "",
            "resendable": RESENDABLE,
            "stoppable": STOPPABLE,
        }
    raw = zlib.decompress(row.message.compressed)
    return render_template("outbox/show.html", fields=_fields(raw), text=_text(raw), size=len(raw), **what)


def _filter() -> OutboxFilter:
    group = request.args.get("state", "")
    return OutboxFilter(
        group=group if group in GROUPS or group == ATTENTION else "",
        recipient=filter_text("to"),
        subject=filter_text("subject"),
    )


def _fields(raw: bytes) -> Fields:
    return read_fields(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")


def _text(raw: bytes) -> str:
    """The text as it was written: the first text/plain part. We composed it, but it may quote anybody."""
    for part in message_from_bytes(raw).walk():
        if part.get_content_type() == "text/plain" and part.get_filename() is None:
            return _decoded(part)[:MAX_TEXT]
    return ""


def _decoded(part: Message) -> str:
    octets = part.get_payload(decode=True)
    return as_text(octets) if isinstance(octets, bytes) else ""
