"""What the parser would decide about a message, without doing it: read and judged as a run does."""

from __future__ import annotations

from datetime import datetime

from webapp.desk import mail_servers, options
from webapp.desk.mail_form import values_of
from webapp.inbound.case import Decision
from webapp.inbound.facts import FactsReader
from webapp.inbound.inbox import policy_of
from webapp.inbound.judging import judge_or_quarantine
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.reading import header_of, is_too_large, read_header_only, read_message
from webapp.inbound.received import Received
from webapp.instance import Instance
from webapp.mail.message import InboundMessage
from webapp.mailserver.base import FetchedMessage, RemoteMessage
from webapp.models import Row


def explain_message(
    instance: Instance, raw: bytes, *, received_at: datetime
) -> tuple[InboundMessage, Decision]:
    """The message as understood, and the decision with its trace; changes nothing."""
    received = _read(raw, received_at, instance.settings.max_message_mb)
    with instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        policy = policy_of(session, values_of(stored) if stored else None)
        loop_key = options.loop_key(session, instance.vault)
        reader = FactsReader(session, [(received.message, received.identity)], loop_key=loop_key)
        judged = judge_or_quarantine(reader, received, policy)
    return judged.received.message, judged.decision


def _read(raw: bytes, received_at: datetime, limit_mb: int) -> Received:
    """As a run reads it: whole, or by its header alone."""
    listed = RemoteMessage("explain", len(raw), received_at)
    with ParserProcess() as parser:
        if is_too_large(listed, limit_mb):
            header = FetchedMessage(listed.key, header_of(raw))
            return read_header_only(parser, listed, header, limit_mb=limit_mb)
        return read_message(parser, listed, FetchedMessage(listed.key, raw))
