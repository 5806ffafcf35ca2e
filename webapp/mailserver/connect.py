"""Which class speaks which protocol. The adapters are imported only when a row uses them."""

from __future__ import annotations

from .base import Mailbox, MailProtocol, ServerSettings, Transport


def open_mailbox(settings: ServerSettings) -> Mailbox:
    """The mailbox these settings describe, not connected yet."""
    match settings.protocol:
        case MailProtocol.IMAP:
            from .imap import ImapMailbox

            return ImapMailbox(settings)
        case MailProtocol.EXCHANGE:
            from .ews import EwsMailbox

            return EwsMailbox(settings)
        case MailProtocol.OFFICE365:
            from .graph import GraphMailbox

            return GraphMailbox(settings)
        case _:
            raise ValueError(f"{settings.protocol} does not receive")


def open_transport(settings: ServerSettings) -> Transport:
    """The transport these settings describe, not connected yet."""
    match settings.protocol:
        case MailProtocol.SMTP:
            from .smtp import SmtpTransport

            return SmtpTransport(settings)
        case MailProtocol.EXCHANGE:
            from .ews_transport import EwsTransport

            return EwsTransport(settings)
        case MailProtocol.OFFICE365:
            from .graph import GraphTransport

            return GraphTransport(settings)
        case _:
            raise ValueError(f"{settings.protocol} does not send")
