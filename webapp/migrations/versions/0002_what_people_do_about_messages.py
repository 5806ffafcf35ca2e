"""what people do about messages"""

import sqlalchemy as sa
from alembic import op

from webapp.mail.address import fold_addr_spec

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
        batch_op.add_column(sa.Column("alert_claimed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("missed_looked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("needs_a_person", sa.Boolean(), nullable=False, server_default=sa.false())
        )

    with op.batch_alter_table("mailbox", schema=None) as batch_op:
        batch_op.alter_column("needs_a_person", existing_type=sa.Boolean(), server_default=None)

    with op.batch_alter_table("poll_run", schema=None) as batch_op:
        batch_op.alter_column("finished_at", existing_type=sa.DateTime(timezone=True), nullable=True)

    # Mailboxes polled before: opened messages count as missed from the last good run on.
    op.execute("UPDATE mailbox SET first_run_at = last_success_at")

    _add_requester_key()


def _add_requester_key() -> None:
    """Which address a ticket is of, as addresses are compared; an index finds the unknown senders' ones."""
    with op.batch_alter_table("ticket", schema=None) as batch_op:
        batch_op.add_column(sa.Column("requester_key", sa.String(length=320), nullable=True))
        batch_op.create_index(
            "ix_ticket_nobodys",
            ["requester_id", "requester_key"],
            unique=False,
            sqlite_where=sa.text("requester_id IS NULL AND requester_account_id IS NULL"),
            postgresql_where=sa.text("requester_id IS NULL AND requester_account_id IS NULL"),
        )
        batch_op.create_index(
            "ix_ticket_notice",
            ["notice", "status"],
            unique=False,
            sqlite_where=sa.text("notice IS NOT NULL"),
            postgresql_where=sa.text("notice IS NOT NULL"),
        )
    ticket = sa.table("ticket", *map(sa.column, ("id", "requester_address", "requester_key")))
    told = sa.select(ticket.c.id, ticket.c.requester_address).where(ticket.c.requester_address != "")
    keys = [
        {"number": row.id, "key": fold_addr_spec(row.requester_address)[:320]}
        for row in op.get_bind().execute(told)
    ]
    if keys:
        change = sa.update(ticket).where(ticket.c.id == sa.bindparam("number"))
        op.get_bind().execute(change.values(requester_key=sa.bindparam("key")), keys)
