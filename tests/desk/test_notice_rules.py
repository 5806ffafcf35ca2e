"""Who is acknowledged, and who never is: one reason a line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.factories import NOW, make_raw
from webapp.desk.notice_rules import Arrived, Desk, why_no_mail_to, why_not_acknowledged, why_not_now
from webapp.mail.parse import parse
from webapp.mailserver.base import UNKNOWN_TIME

DESK = Desk(own_keys=frozenset({"help@desk.test", "invoices@desk.test"}))


def arrived(raw: bytes | None = None, **values: Any) -> Arrived:
    message = parse(raw or make_raw())
    mail = Arrived(
        message=message, received_at=NOW, inbound_id=1, ticket_id=1, is_new_ticket=True, is_known=True,
        sender_key=message.sender.addr_spec,
    )  # fmt: skip
    return replace(mail, **values)


def test_a_person_the_desk_knows_is() -> None:
    assert why_not_acknowledged(arrived(), DESK, NOW) == ""


@pytest.mark.parametrize(
    "values",
    [
        {"is_new_ticket": False},
        {"is_doubted": True},
        {"is_known": False},
        {"sender_key": None},
        {"sender_key": "help@desk.test"},
        {"sender_key": "invoices@desk.test"},
        {"sender_list": "acme.test"},
        {"received_at": NOW - timedelta(hours=24, seconds=1)},
        {"received_at": UNKNOWN_TIME},
        {"received_at": datetime(1970, 1, 1, tzinfo=UTC)},
    ],
)
def test_never_by_what_the_desk_knows(values: dict[str, Any]) -> None:
    assert why_not_acknowledged(arrived(**values), DESK, NOW)


def test_an_unknown_sender_is_where_the_administrator_wants_it() -> None:
    desk = replace(DESK, unknown_senders=True)
    assert why_not_acknowledged(arrived(is_known=False), desk, NOW) == ""
    assert why_not_acknowledged(arrived(is_known=False, is_doubted=True), desk, NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied"},
        {"Auto-Submitted": "auto-generated; x=y"},
        {"X-Auto-Response-Suppress": "All"},
        {"X-Auto-Response-Suppress": "OOF"},
        {"X-Auto-Response-Suppress": "RN, NRN"},
        {"Precedence": "bulk"},
        {"Precedence": "List"},
        {"Precedence": "junk"},
        {"Precedence": "auto_reply"},
        {"List-Id": "<news.example.com>"},
        {"List-Unsubscribe": "<mailto:leave@example.com>"},
        {"List-Post": "NO"},
        {"Mailing-List": "contact x"},
        {"Feedback-ID": "1:2:3"},
        {"X-Autoreply": "yes"},
        {"X-Autorespond": "x"},
        {"X-Loop": "help@other.test"},
        {"Return-Path": "<>"},
        {"X-Service-Desk-Loop": "0" * 32},
        {"X-Failed-Recipients": "x@example.com"},
    ],
)
def test_never_by_a_header(headers: dict[str, str]) -> None:
    assert why_not_acknowledged(arrived(make_raw(headers=headers)), DESK, NOW)


@pytest.mark.parametrize(
    "headers", [{"Auto-Submitted": "no"}, {"Precedence": "normal"}, {"X-Auto-Response-Suppress": "None"}]
)
def test_headers_that_say_nothing_against_it(headers: dict[str, str]) -> None:
    assert why_not_acknowledged(arrived(make_raw(headers=headers)), DESK, NOW) == ""


@pytest.mark.parametrize(
    "sender",
    [
        "noreply@acme.test",
        "no-reply@acme.test",
        "do_not_reply@acme.test",
        "NotReply@acme.test",
        "MAILER-DAEMON@acme.test",
        "postmaster@acme.test",
        "bounces+123@acme.test",
    ],
)
def test_never_an_address_nobody_reads(sender: str) -> None:
    assert why_not_acknowledged(arrived(make_raw(sender=sender)), DESK, NOW)
    assert why_no_mail_to(sender.lower(), DESK, is_known=True, is_listed=False)


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Printer",
        "Re: Out of Office",
        "AW: Automatische Antwort: Drucker",
        "Abwesenheitsnotiz",
        "Réponse automatique : imprimante",
        "Autoreply: x",
        "Автоматичен отговор: принтер",
    ],
)
def test_never_a_holiday_notice_without_any_mark(subject: str) -> None:
    assert why_not_acknowledged(arrived(make_raw(subject=subject)), DESK, NOW)


def test_mail_a_day_old_is_news_still() -> None:
    assert why_not_now(NOW - timedelta(hours=24), NOW) == ""
    assert why_not_now(NOW + timedelta(minutes=10), NOW) == ""  # a server's clock that is ahead
