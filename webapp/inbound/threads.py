"""May the sender write to the ticket a message names? What names a ticket is a claim, never a permission.

Four things permit: being its requester, one of its participants, a user of its company (a setting), or
holding the keyed token of a message this desk sent about it. A From header proves nothing, so what a
technician's address writes has no technician's power without a token that was sent to that account alone.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from webapp.models.ticket import EntryFlag


@dataclass(frozen=True, slots=True)
class KnownSender:
    """Whose address the sender's is: a user of the directory, or an enabled account of the desk."""

    name: str
    user_id: int | None = None
    company_id: int | None = None
    account_id: int | None = None
    is_staff: bool = False  # an account that works on tickets: technician or administrator

    @property
    def own_account_id(self) -> int | None:
        """The account as a requester: whoever is a user of the directory, too, writes as that user."""
        return self.account_id if self.user_id is None else None


class Relation(enum.StrEnum):
    """What the sender is to the ticket; the words follow "sender is"."""

    REQUESTER = "the requester"
    PARTICIPANT = "a participant"
    COLLEAGUE = "of the same company"
    NONE = "neither the requester, a participant nor of the same company"


class Proof(enum.StrEnum):
    """What our own mail server found out about the sender's domain (DMARC)."""

    NOT_ASKED = "not asked"  # no server is named whose word counts
    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"  # the server says nothing, or nothing clear


@dataclass(frozen=True, slots=True)
class ThreadMatch:
    """A ticket this message says it belongs to, and what its sender is to that ticket."""

    ticket_id: int
    closed: bool
    how: str  # what named the ticket
    relation: Relation
    keyed: bool = False  # named by a keyed token of ours
    token_account_id: int | None = None  # the one account that token was sent to
    changed_at: datetime | None = None  # the ticket's last change


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether the sender may write there, why, and how the entry is to be read."""

    granted: bool
    why: str
    flag: EntryFlag | None = None
    internal: bool = False  # staff wrote it: an internal note, which the customer never gets by itself
    account_id: int | None = None  # the account that is proven to have written it


def permission(
    thread: ThreadMatch,
    sender: KnownSender | None,
    *,
    is_disabled_staff: bool,
    same_company: bool,
    proof: Proof,
) -> Permission:
    """One of the named permissions, or none."""
    flag = EntryFlag.DISABLED_STAFF if is_disabled_staff else None
    if thread.relation in (Relation.REQUESTER, Relation.PARTICIPANT):
        return Permission(True, f"sender is {thread.relation}", flag)
    if thread.relation is Relation.COLLEAGUE and same_company:
        return Permission(True, f"sender is {thread.relation}", flag)
    if sender is not None and sender.is_staff:
        return _of_staff(thread, sender, proof)
    if thread.keyed:
        why = "sender is new to the ticket and answers a message this desk sent about it"
        return Permission(True, why, flag or EntryFlag.NEW_SENDER)
    if thread.relation is Relation.COLLEAGUE:
        return Permission(False, "sender is of the same company, which is not enough by the settings")
    return Permission(False, f"sender is {thread.relation}")


def _of_staff(thread: ThreadMatch, sender: KnownSender, proof: Proof) -> Permission:
    if not thread.keyed:
        return Permission(False, "sender has a technician's address, and nothing proves who wrote it")
    sent_to_them = thread.token_account_id is not None and thread.token_account_id == sender.account_id
    if sent_to_them and proof in (Proof.NOT_ASKED, Proof.PASSED):
        why = "technician, answering what was sent to that account alone"
        return Permission(True, why, internal=True, account_id=sender.account_id)
    why = "sender has a technician's address, but the proof that the technician wrote it is missing"
    return Permission(True, why, EntryFlag.UNPROVEN_STAFF, internal=True)
