"""Microsoft accounts that rows of the protocol Office365 work with, and sign-ins that are under way."""

from __future__ import annotations

import enum
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from webapp.models.base import Base, UtcDateTime, text_enum


class ConnectionState(enum.StrEnum):
    """How the last talk with Microsoft about a confirmed account ended."""

    CONNECTED = "connected"
    NEEDS_RECONNECT = "needs_reconnect"  # a person has to sign in again
    MISCONFIGURED = "misconfigured"  # the app registration or its secret is not taken any more
    UNREACHABLE = "unreachable"  # nobody answered, or not as expected; tried again by itself


class MicrosoftConnection(Base):
    """An account somebody signed in with for a row. Mail uses it only once it is `confirmed`.

    A sign-in that waits for the explicit yes is a second record of the same row: it changes nothing about the
    confirmed one.
    """

    __tablename__ = "microsoft_connection"
    __table_args__ = (sa.UniqueConstraint("row", "confirmed", name="uq_microsoft_connection_row"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[str] = mapped_column(sa.String(16))
    confirmed: Mapped[bool] = mapped_column(default=False)

    # The app registration it belongs to: a refresh token is of no use to another one.
    authority: Mapped[str] = mapped_column(sa.Text)
    client_id: Mapped[str] = mapped_column(sa.String(64))
    scopes: Mapped[list[str]] = mapped_column(sa.JSON)  # granted
    cache_sealed: Mapped[str] = mapped_column(sa.Text)  # msal's token cache, encrypted
    version: Mapped[int] = mapped_column(default=1)  # counts each change of the cache

    # Who it is, as Microsoft Graph says.
    user_id: Mapped[str] = mapped_column(sa.String(64))
    tenant_id: Mapped[str] = mapped_column(sa.String(64))
    tenant_name: Mapped[str] = mapped_column(sa.Text, default="")
    display_name: Mapped[str] = mapped_column(sa.Text, default="")
    address: Mapped[str] = mapped_column(sa.String(320))
    addresses: Mapped[list[str]] = mapped_column(sa.JSON)  # its own and its aliases, the main one first

    mailbox: Mapped[str] = mapped_column(sa.String(320), default="")  # another one it signed in for
    mailbox_opens: Mapped[bool | None]  # whether it could be read then; None: nobody looked

    signed_in_at: Mapped[datetime] = mapped_column(UtcDateTime)
    signed_in_by: Mapped[str] = mapped_column(sa.String(320))
    renewed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    state: Mapped[ConnectionState] = mapped_column(text_enum(ConnectionState))
    state_since: Mapped[datetime] = mapped_column(UtcDateTime)
    problem: Mapped[str] = mapped_column(sa.Text, default="")  # Microsoft's own words, cut, without secrets
    tried_with: Mapped[str] = mapped_column(sa.String(16), default="")  # mark of the registration that failed
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class MicrosoftSignIn(Base):
    """A sign-in that somebody began and Microsoft has not answered. Ends with the sign-in to the desk."""

    __tablename__ = "microsoft_sign_in"

    state_sha256: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    session_sha256: Mapped[str] = mapped_column(
        sa.ForeignKey("login_session.token_sha256", ondelete="CASCADE"), index=True
    )
    row: Mapped[str] = mapped_column(sa.String(16))
    flow_sealed: Mapped[str] = mapped_column(sa.Text)  # PKCE verifier, nonce, state: encrypted
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
