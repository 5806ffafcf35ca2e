"""Messages taken in before, looked at once more: their octets, and how the code reads them now."""

from __future__ import annotations

import dataclasses
import zlib
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import mail_servers, options
from webapp.desk.mail_form import values_of
from webapp.inbound.case import Decision, Facts
from webapp.inbound.decide import decide
from webapp.inbound.facts import FactsReader
from webapp.inbound.inbox import policy_of
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.reading import read_header_only, read_message
from webapp.inbound.received import Received
from webapp.instance import Instance
from webapp.mail import limits
from webapp.mailserver.base import FetchedMessage, RemoteMessage
from webapp.models import Inbound, RawMessage, Row

TOO_LARGE = "too large:"  # how the defect of a message begins of which only the header was taken in
PAST = ("before-cutoff", "duplicate")  # rules about when and how often a message came


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was received and kept."""

    inbound_id: int
    listed: RemoteMessage
    raw: bytes = field(repr=False)
    transport_headers: tuple[tuple[str, str], ...]
    header_only: bool


def load_stored(instance: Instance, inbound_id: int) -> Stored | None:
    """None where there is no such message, or its octets are no longer kept."""
    with instance.database.reading() as session:
        row = session.execute(
            sa.select(
                Inbound.remote_key, Inbound.size, Inbound.received_at, Inbound.defects,
                RawMessage.compressed, RawMessage.transport_headers,
            )
            .join(RawMessage, RawMessage.inbound_id == Inbound.id)
            .where(Inbound.id == inbound_id)
        ).first()  # fmt: skip
    if row is None:
        return None
    return Stored(
        inbound_id=inbound_id,
        listed=RemoteMessage(row.remote_key, row.size, row.received_at),
        raw=zlib.decompress(row.compressed),
        transport_headers=tuple((name, value) for name, value in row.transport_headers),
        header_only=any(defect.startswith(TOO_LARGE) for defect in row.defects),
    )


def read_header_block(instance: Instance, inbound_id: int) -> bytes | None:
    """The beginning of a message, long enough for every header field that is looked at.

    Only that much is unpacked: a message may have 150 MB. None where it is no longer kept.
    """
    with instance.database.reading() as session:
        compressed = session.scalar(
            sa.select(RawMessage.compressed).where(RawMessage.inbound_id == inbound_id)
        )
    if compressed is None:
        return None
    return zlib.decompressobj().decompress(compressed, limits.HEADER_BLOCK)


def understand(parser: ParserProcess, stored: Stored, *, limit_mb: int) -> Received:
    """The message as it would be read if it came in now."""
    fetched = FetchedMessage(stored.listed.key, stored.raw, stored.transport_headers)
    if stored.header_only:
        return read_header_only(parser, stored.listed, fetched, limit_mb=limit_mb)
    return read_message(parser, stored.listed, fetched)


def judge(session: Session, instance: Instance, received: Received) -> tuple[Facts, Decision]:
    """The rules as they, the settings and the directory are now, without those about the past."""
    saved = mail_servers.load(session, Row.INCOMING)
    policy = policy_of(session, values_of(saved) if saved else None)
    asked = (received.message, received.identity)
    reader = FactsReader(session, [asked], loop_key=options.loop_key(session, instance.vault))
    facts = dataclasses.replace(reader.gather(*asked), earlier=None)
    decision = decide(
        received.message, received.identity.received_at, dataclasses.replace(policy, cutoff=None), facts
    )
    trace = tuple(step for step in decision.trace if step.rule not in PAST)
    return facts, dataclasses.replace(decision, trace=trace)
