"""Withhold emails: what decides whether an address gets any, why one was not sent, and which emails a customer wants.

Why: anyone can book with someone else's address. So emails to an address that nobody has signed in with are limited,
its owner can stop them, and an address that a mail server refuses permanently is not written to again. Addresses with
a valid proof count as proven from the start. The new columns have constant defaults, so no table is rewritten; the
check reads the bookings and the indexes read the outbox once (0.3 s for a million rows). Older processes keep working:
for them, a withheld email was given up.

Revision ID: 0013
Revises: 0012
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_GIVEN_UP = "failed_at IS NOT NULL"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "email_address",
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("proven_at", sa.DateTime(timezone=True)),
        sa.Column("silenced_at", sa.DateTime(timezone=True)),
        sa.Column("refused_at", sa.DateTime(timezone=True)),
        sa.Column("refused_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("emailed", ARRAY(sa.BigInteger()), server_default="{}", nullable=False),
        sa.Column("emailed_at", ARRAY(sa.DateTime(timezone=True)), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("customer_key", name=op.f("pk_email_address")),
    )
    op.execute(
        "INSERT INTO email_address (customer_key, proven_at)"
        " SELECT customer_key, max(created_at) FROM access_proof GROUP BY customer_key"
    )
    op.add_column("booking", sa.Column("wanted_emails", sa.Text(), server_default="all", nullable=False))
    op.create_check_constraint(
        op.f("ck_booking_wanted_emails"), "booking", "wanted_emails IN ('all', 'no_reminders', 'none')"
    )
    op.add_column("message", sa.Column("withheld", sa.Text()))
    op.create_check_constraint(
        op.f("ck_message_withheld"), "message", "withheld IN ('over_limit', 'silenced', 'refused')"
    )
    op.drop_index("ix_message_given_up", table_name="message")
    op.create_index(
        "ix_message_given_up", "message", ["id"], postgresql_where=sa.text(f"{_GIVEN_UP} AND withheld IS NULL")
    )
    op.create_index("ix_message_withheld", "message", ["failed_at"], postgresql_where=sa.text("withheld IS NOT NULL"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_message_withheld", table_name="message")
    op.drop_index("ix_message_given_up", table_name="message")
    # The older version would offer to send withheld emails again.
    op.execute("DELETE FROM message WHERE withheld IS NOT NULL")
    op.drop_column("message", "withheld")
    op.create_index("ix_message_given_up", "message", ["id"], postgresql_where=sa.text(_GIVEN_UP))
    op.drop_column("booking", "wanted_emails")
    op.drop_table("email_address")
