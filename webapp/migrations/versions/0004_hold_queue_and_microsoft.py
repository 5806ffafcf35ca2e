"""held claims, signatures, Exchange and Office365"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    texts = {"ews_url": sa.Text(), "mailbox": sa.String(length=320), "tenant_id": sa.String(length=255)}
    texts |= {"client_id": sa.String(length=64), "client_secret_sealed": sa.Text()}
    with op.batch_alter_table("mail_server", schema=None) as batch_op:
        for name, kind in texts.items():
            batch_op.add_column(sa.Column(name, kind, nullable=False, server_default=""))
        batch_op.add_column(sa.Column("client_secret_expires_on", sa.Date(), nullable=True))
    with op.batch_alter_table("mail_server", schema=None) as batch_op:
        for name, kind in texts.items():
            batch_op.alter_column(name, existing_type=kind, server_default=None)
    op.add_column("mail_server", sa.Column("largest_octets", sa.Integer(), nullable=True))
    # Not in a batch: that makes the table anew, and the rows that point at its own would go with the old one.
    op.add_column("account", sa.Column("signature", sa.Text(), nullable=True))
    op.drop_column("mailbox", "alert_claimed_at")
    verdicts = ("joined", "ticket", "refused", "blocked")
    op.create_table(
        "held_message",
        sa.Column("inbound_id", sa.Integer(), nullable=False),
        sa.Column("claimed_ticket_id", sa.Integer(), nullable=False),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.Column(
            "verdict", sa.Enum(*verdicts, name="heldverdict", native_enum=False, length=32), nullable=True
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(length=320), nullable=False),
        sa.ForeignKeyConstraint(
            ["claimed_ticket_id"], ["ticket.id"], name=op.f("fk_held_message_claimed_ticket_id_ticket")
        ),
        sa.ForeignKeyConstraint(
            ["inbound_id"], ["inbound.id"], name=op.f("fk_held_message_inbound_id_inbound")
        ),
        sa.PrimaryKeyConstraint("inbound_id", name=op.f("pk_held_message")),
    )
    op.create_index(op.f("ix_held_message_claimed_ticket_id"), "held_message", ["claimed_ticket_id"])
    op.create_index(op.f("ix_held_message_settled_at"), "held_message", ["settled_at"])
    op.create_index(
        "ix_held_message_waiting",
        "held_message",
        ["inbound_id"],
        sqlite_where=sa.text("verdict IS NULL"),
        postgresql_where=sa.text("verdict IS NULL"),
    )
    _allow_several_events_of_a_report()
    _make_microsoft_tables()


def _allow_several_events_of_a_report() -> None:
    """SQLite makes the table anew for that; nothing may point at its rows meanwhile."""
    connection = op.get_bind()
    address = sa.table("undeliverable_address", sa.column("addr_key"), sa.column("event_id"))
    pointing = connection.execute(sa.select(address).where(address.c.event_id.is_not(None))).all()
    connection.execute(sa.update(address).values(event_id=None))
    name = op.f("uq_delivery_event_inbound_id")
    with op.batch_alter_table("delivery_event", schema=None) as batch_op:
        batch_op.drop_constraint(name, type_="unique")
        batch_op.create_unique_constraint(name, ["inbound_id", "delivery_id"])
    for addr_key, event_id in pointing:
        row = sa.update(address).where(address.c.addr_key == addr_key)
        connection.execute(row.values(event_id=event_id))


def _make_microsoft_tables() -> None:
    moment = sa.DateTime(timezone=True)
    states = ("connected", "needs_reconnect", "misconfigured", "unreachable")
    op.create_table(
        "microsoft_connection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("row", sa.String(length=16), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("cache_sealed", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("tenant_name", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("mailbox", sa.String(length=320), nullable=False),
        sa.Column("mailbox_opens", sa.Boolean(), nullable=True),
        sa.Column("signed_in_at", moment, nullable=False),
        sa.Column("signed_in_by", sa.String(length=320), nullable=False),
        sa.Column("renewed_at", moment, nullable=False),
        sa.Column(
            "state", sa.Enum(*states, name="connectionstate", native_enum=False, length=32), nullable=False
        ),
        sa.Column("state_since", moment, nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("tried_with", sa.String(length=16), nullable=False),
        sa.Column("next_try_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_microsoft_connection")),
        sa.UniqueConstraint("row", "confirmed", name="uq_microsoft_connection_row"),
    )
    op.create_table(
        "microsoft_sign_in",
        sa.Column("state_sha256", sa.String(length=64), nullable=False),
        sa.Column("session_sha256", sa.String(length=64), nullable=False),
        sa.Column("row", sa.String(length=16), nullable=False),
        sa.Column("flow_sealed", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_sha256"],
            ["login_session.token_sha256"],
            name=op.f("fk_microsoft_sign_in_session_sha256_login_session"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("state_sha256", name=op.f("pk_microsoft_sign_in")),
    )
    op.create_index(op.f("ix_microsoft_sign_in_session_sha256"), "microsoft_sign_in", ["session_sha256"])
