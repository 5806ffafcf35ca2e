"""The tables, one module an aggregate; importing this package makes all of them known."""

from webapp.models.account import Account, LoginSession, Role, SetupCode
from webapp.models.audit import Audit, Setting
from webapp.models.base import Base
from webapp.models.directory import Company, User, UserAddress
from webapp.models.inbound import (
    ActionKind,
    Disposition,
    HeldMessage,
    HeldVerdict,
    Inbound,
    InboundAction,
    Placement,
    RawMessage,
)
from webapp.models.invoice import Invoice, InvoiceFile, InvoiceSource
from webapp.models.mail_server import MailServer, Row
from webapp.models.mailbox import MailboxIdentity, MissedMessage, MissedState, PollRun
from webapp.models.microsoft import ConnectionState, MicrosoftConnection, MicrosoftSignIn
from webapp.models.outbox import (
    Delivery,
    DeliveryEvent,
    DeliveryState,
    OutgoingKind,
    OutgoingMessage,
    SendingTrouble,
    UndeliverableAddress,
)
from webapp.models.sender_rule import SenderList, SenderRule
from webapp.models.ticket import (
    Attachment,
    Entry,
    EntryFlag,
    EntryKind,
    Ticket,
    TicketNotice,
    TicketParticipant,
    TicketStatus,
)

__all__ = [
    "Account", "ActionKind", "Attachment", "Audit", "Base", "Company", "ConnectionState", "Delivery",
    "DeliveryEvent", "DeliveryState", "Disposition", "Entry", "EntryFlag", "EntryKind", "HeldMessage",
    "HeldVerdict", "Inbound", "InboundAction", "Invoice", "InvoiceFile", "InvoiceSource", "LoginSession",
    "MailServer", "MailboxIdentity", "MicrosoftConnection", "MicrosoftSignIn", "MissedMessage",
    "MissedState", "OutgoingKind", "OutgoingMessage", "Placement", "PollRun", "RawMessage", "Role", "Row",
    "SenderList", "SenderRule", "SendingTrouble", "Setting", "SetupCode", "Ticket", "TicketNotice",
    "TicketParticipant", "TicketStatus", "UndeliverableAddress", "User", "UserAddress",
]  # fmt: skip
