"""Mail of our own that is not part of a conversation (RFC 5322): the test message of a mail server row."""

from __future__ import annotations

import re
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from webapp.mail.address import fold_addr_spec, sender_of
from webapp.mail.loop_token import LOOP_HEADER

_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")

_TEXT = """\
This is a test message from the service desk portal.

It was sent with the settings of "{row_label}" on {when}.
If you can read this, sending with these settings works. There is nothing to answer.
"""


def test_message(
    sender: str, recipient: str, *, message_id: str, loop_token: str, now: datetime, row_label: str
) -> bytes:
    """The "Send a test message" mail with CRLF lines. ValueError on a control character or a bad address."""
    return automatic_message(
        sender,
        recipient,
        message_id=message_id,
        loop_token=loop_token,
        now=now,
        subject=f"Test message: {_checked('row_label', row_label)}",
        text=_TEXT.format(row_label=row_label, when=now.strftime("%Y-%m-%d %H:%M %Z").strip()),
    )


def automatic_message(
    sender: str, recipient: str, *, message_id: str, loop_token: str, now: datetime, subject: str, text: str
) -> bytes:
    """A mail nobody wrote and nobody should answer, with CRLF lines. ValueError as above."""
    message = EmailMessage(policy=SMTP)
    message["From"] = _mailbox("sender", sender)
    message["To"] = _mailbox("recipient", recipient)
    message["Subject"] = _checked("subject", subject)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{_checked('message_id', message_id).strip('<> ')}>"
    # RFC 3834 section 5: says to every responder that nobody wants an answer.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message[LOOP_HEADER] = _checked("loop_token", loop_token)
    message.set_content(text, charset="utf-8", cte="quoted-printable")
    return message.as_bytes()


# pytest collects names that begin with "test"; this one is no test.
test_message.__test__ = False  # type: ignore[attr-defined]


def _mailbox(name: str, value: str) -> Address:
    """`value` with its domain as A-labels: no encoded word may stand in an address (RFC 2047 section 5)."""
    mailbox = sender_of([_checked(name, value)])
    if mailbox.addr_spec is None:
        raise ValueError(f"{name}: {mailbox.doubt}")
    local, _, domain = mailbox.addr_spec.rpartition("@")
    folded = fold_addr_spec(f"x@{domain}").partition("@")[2]
    if not local.isascii() or not folded.isascii():
        raise ValueError(f"{name} is not an ASCII address")
    try:
        return Address(mailbox.display_name, addr_spec=f"{local}@{folded}")
    except (MessageError, IndexError) as exc:
        raise ValueError(f"malformed address in {name}") from exc


def _checked(name: str, value: str) -> str:
    """RFC 5322 section 2.2: a CR or LF in a value would begin another header field."""
    if _CONTROLS.search(value):
        raise ValueError(f"control character in {name}")
    return value
