"""What is worth a second look in the form of a mail server row; nothing is refused for it.

`mail_form.hints` knows the row alone. Here come the other rows, and what is known about whole servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from webapp.desk import mail_form
from webapp.desk.mail_form import MailServerValues
from webapp.mail.address import fold_addr_spec
from webapp.mailserver.providers import host_notice
from webapp.models import MailServer, Row

_WORKS = "That works: the email parser ignores what this service desk sent."
POLLED = "{address} is also the address Outgoing sends from. " + _WORKS
SENT_FROM = "{address} is also the incoming mailbox. " + _WORKS


def hints_of(session: Session, values: MailServerValues) -> dict[str, str]:
    """Field name -> what to look at there."""
    notice = host_notice(values.protocol, values.host)
    return mail_form.hints(values) | ({"host": notice} if notice else {}) | _loop(session, values)


def glimpse_hints(session: Session, row: Row, texts: Mapping[str, str], *, zone: ZoneInfo) -> dict[str, str]:
    """The same while the form is being filled in: silent about fields that are not right yet."""
    values, wrong = mail_form.glimpse(row, texts, zone=zone)
    return {name: sentence for name, sentence in hints_of(session, values).items() if name not in wrong}


def _loop(session: Session, values: MailServerValues) -> dict[str, str]:
    """The parsed mailbox is an address mail is sent from: said on either side."""
    if values.row is Row.INCOMING:
        outgoing = session.get(MailServer, Row.OUTGOING.value)
        same = outgoing is not None and _same(values.address, outgoing.from_address)
        field = "mailbox" if values.mailbox else "username"
        return {field: POLLED.format(address=values.address)} if same else {}
    if values.row is Row.OUTGOING:
        incoming = session.get(MailServer, Row.INCOMING.value)
        same = incoming is not None and _same(values.from_address, incoming.address)
        return {"from_address": SENT_FROM.format(address=values.from_address)} if same else {}
    return {}


def _same(one: str, other: str) -> bool:
    return "@" in one and "@" in other and fold_addr_spec(one) == fold_addr_spec(other)
