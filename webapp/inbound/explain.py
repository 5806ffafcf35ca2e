"""What the parser would decide about a message, without doing it: the same parse, facts and rules."""

from __future__ import annotations

from datetime import datetime

from webapp.desk import mail_servers, options
from webapp.desk.mail_form import values_of
from webapp.inbound.decide import Decision, Policy, decide
from webapp.inbound.facts import FactsReader
from webapp.inbound.inbox import policy_of
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.reading import read_message
from webapp.instance import Instance
from webapp.mail.message import InboundMessage
from webapp.mailserver.base import FetchedMessage, RemoteMessage
from webapp.models import Row


def explain_message(
    instance: Instance, raw: bytes, *, received_at: datetime
) -> tuple[InboundMessage, Decision]:
    """The message as understood, and the decision with its trace; changes nothing."""
    listed = RemoteMessage("explain", len(raw), received_at)
    with ParserProcess() as parser:
        received = read_message(parser, listed, FetchedMessage("explain", raw))
    with instance.database.reading() as session:
        stored = mail_servers.load(session, Row.INCOMING)
        policy = policy_of(values_of(stored)) if stored else Policy()
        loop_key = options.loop_key(session, instance.vault)
        asked = (received.message, received.identity)
        facts = FactsReader(session, [asked], loop_key=loop_key).gather(*asked)
    return received.message, decide(received.message, received_at, policy, facts)
