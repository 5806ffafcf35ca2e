"""What is looked at when a message is judged: the settings, what is known, and what each rule answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from webapp.inbound.threads import KnownSender, Permission, ThreadMatch
from webapp.mail.message import InboundMessage, RecipientOutcome
from webapp.models.inbound import Disposition


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that decide. Addresses are comparison keys (`fold_addr_spec`)."""

    cutoff: datetime | None = None
    process_unknown: bool = False
    own_addresses: frozenset[str] = frozenset()
    sending_addresses: frozenset[str] = frozenset()  # From of Outgoing and Invoice
    same_company: bool = True  # users of the ticket's company may write to it
    reopen_days: int = 0  # a closed ticket is opened again by mail within so many days of its last change
    authserv_id: str = ""  # the mail server whose Authentication-Results count (RFC 8601)
    do_not_reply: bool = False  # rule 5 knows do-not-reply and do_not_reply, too
    other_automated: bool = True  # rule 8
    hold_claims: bool = False  # rule 13 holds what it finds for a person, and makes no ticket of it
    cc_colleagues: bool = False  # users of the ticket's company whom its customer writes to take part


@dataclass(frozen=True, slots=True)
class Earlier:
    """The same message, processed before."""

    inbound_id: int
    ticket_id: int | None
    how: str  # what is equal


@dataclass(frozen=True, slots=True)
class ReportedDelivery:
    """A delivery of ours that a report speaks of, and what it says became of it."""

    delivery_id: int
    recipient: str  # as we wrote it
    outcome: RecipientOutcome


@dataclass(frozen=True, slots=True)
class Reported:
    """The message of ours that a delivery report speaks of, and its deliveries: one at least, each once."""

    ticket_id: int | None
    deliveries: tuple[ReportedDelivery, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database knows about this message, read before anything is decided."""

    earlier: Earlier | None = None
    ours: str | None = None  # what shows that we sent it ourselves
    sender_key: str | None = None  # the sender as compared; None: From names nobody we may trust
    sender: KnownSender | None = None
    sender_note: str = "is unknown"  # why nobody is known by this address
    is_disabled_staff: bool = False  # the address of an account that may not sign in any more
    blocked_by: str | None = None  # the entry of the block list that matched
    allowed_by: str | None = None  # the entry of the allow list that matched
    reported: Reported | None = None
    thread: ThreadMatch | None = None
    bare_subject: str | None = None  # without the tags that name tickets; None: nobody looked


@dataclass(frozen=True, slots=True)
class Check:
    """One rule's look at one message; `disposition` where it is not always the rule's own."""

    fired: bool
    saw: str
    disposition: Disposition | None = None
    permission: Permission | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the trace: which rule looked, whether it fired, what it saw."""

    rule: str
    fired: bool
    saw: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome. `disposition` None: left untouched, with no trace in the ledger."""

    disposition: Disposition | None
    rule: str
    saw: str
    trace: tuple[Step, ...]
    permission: Permission | None = None  # where the message belongs to a ticket: by what right
    brings_colleagues: bool = False  # users of the ticket's company named in To and Cc take part from now on

    @property
    def reopens(self) -> bool:
        """Whether what the customer wrote makes it a ticket to work on again."""
        return self.permission is not None and not self.permission.internal


@dataclass(frozen=True, slots=True)
class Case:
    """One message before the rules."""

    message: InboundMessage
    received_at: datetime
    policy: Policy
    facts: Facts


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    look: Callable[[Case], Check]
    disposition: Disposition | None


def ticket_name(ticket_id: int) -> str:
    """T-12; a ticket that is only planned has minus the position of the message that would open it."""
    return f"T-{ticket_id}" if ticket_id > 0 else f"the ticket of message {-ticket_id}"
