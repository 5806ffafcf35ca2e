"""The tables, one module an aggregate; importing this package makes all of them known."""

from webapp.models.account import Account, LoginSession, Role, SetupCode
from webapp.models.audit import Audit, Setting
from webapp.models.base import Base
from webapp.models.directory import Company, User, UserAddress
from webapp.models.inbound import ActionKind, Disposition, Inbound, InboundAction, Placement, RawMessage
from webapp.models.mail_server import MailServer, Row
from webapp.models.mailbox import MailboxIdentity, MissedMessage, MissedState, PollRun
from webapp.models.ticket import Attachment, Entry, EntryKind, Ticket, TicketNotice, TicketStatus

__all__ = [
    "Account", "ActionKind", "Attachment", "Audit", "Base", "Company", "Disposition", "Entry", "EntryKind",
    "Inbound", "InboundAction", "LoginSession", "MailServer", "MailboxIdentity", "MissedMessage",
    "MissedState", "Placement", "PollRun", "RawMessage", "Role", "Row", "Setting", "SetupCode", "Ticket",
    "TicketNotice", "TicketStatus", "User", "UserAddress",
]  # fmt: skip
