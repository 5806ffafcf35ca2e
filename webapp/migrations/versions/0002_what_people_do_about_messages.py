"""what people do about messages"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "missed_message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mailbox_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.String(length=300), nullable=False),
        sa.Column("remote_key", sa.String(length=300), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_addr", sa.String(length=320), nullable=True),
        sa.Column("from_name", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "found",
                "wanted",
                "dismissed",
                "processed",
                "gone",
                name="missedstate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name=op.f("fk_missed_message_mailbox_id_mailbox")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missed_message")),
        sa.UniqueConstraint("mailbox_id", "epoch", "remote_key", name=op.f("uq_missed_message_mailbox_id")),
    )
    with op.batch_alter_table("missed_message", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_missed_message_state"), ["state"], unique=False)

    op.create_table(
        "inbound_action",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("inbound_id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "process-again", "create-ticket", "replay", name="actionkind", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("ticket_id", sa.Integer(), nullable=True),
        sa.Column(
            "disposition",
            sa.Enum(
                "ticket",
                "update",
                "claim",
                "ignored",
                "report",
                "duplicate",
                "quarantined",
                name="disposition",
                native_enum=False,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("trace", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["inbound_id"], ["inbound.id"], name=op.f("fk_inbound_action_inbound_id_inbound")
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["ticket.id"], name=op.f("fk_inbound_action_ticket_id_ticket")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_action")),
    )
    with op.batch_alter_table("inbound_action", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_inbound_action_inbound_id"), ["inbound_id"], unique=False)

    with op.batch_alter_table("inbound", schema=None) as batch_op:
        batch_op.add_column(sa.Column("run_id", sa.Integer(), nullable=True))

    with op.batch_alter_table("mailbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("first_run_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("alerted_at", sa.DateTime(timezone=True), nullable=True))

    # Mailboxes polled before: opened messages count as missed from the last good run on.
    op.execute("UPDATE mailbox SET first_run_at = last_success_at")
