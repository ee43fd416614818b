"""Let the data of a customer be erased: clear reasons in the history, and find what is to be erased.

Why: people may ask for their data to be erased, and operators may keep it for some time only. The history stays
append-only, but a transaction that erases a customer's data may clear the reasons in it. Bookings with personal data
are found by their end. Stored responses are encrypted, so each gets a keyed hash of the address in it; those stored by
the previous version have none and are deleted within a day, as always.

The new columns are added empty or with a constant default, which locks the tables only for an instant. Creating the
index reads all bookings once (about 1 s for a million) and blocks new ones in the meantime.

Revision ID: 0015
Revises: 0011
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0015"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

REFUSE = """
CREATE OR REPLACE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND TG_LEVEL = 'STATEMENT' AND current_setting('expert_booking.erasing', true) = 'on' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'what has happened is not changed afterwards';
END $$
"""
REFUSE_BEFORE = """
CREATE OR REPLACE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what has happened is not changed afterwards';
END $$
"""
FACTS_STAY = """
CREATE TRIGGER booking_change_facts_stay BEFORE UPDATE ON booking_change FOR EACH ROW WHEN
(to_jsonb(NEW) - 'reason' IS DISTINCT FROM to_jsonb(OLD) - 'reason' OR NEW.reason <> '')
EXECUTE FUNCTION refuse_to_change_history()
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(FACTS_STAY)
    op.execute(REFUSE)
    op.add_column("kept_answer", sa.Column("customer", sa.LargeBinary()))
    op.add_column(
        "booking", sa.Column("erase_when_over", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_index("ix_booking_ends_at", "booking", ["ends_at"], postgresql_where=sa.text("customer_key <> ''"))
    op.create_index("ix_booking_erase_when_over", "booking", ["ends_at"], postgresql_where=sa.text("erase_when_over"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_booking_erase_when_over", "booking")
    op.drop_index("ix_booking_ends_at", "booking")
    op.drop_column("booking", "erase_when_over")
    op.drop_column("kept_answer", "customer")
    op.execute(REFUSE_BEFORE)
    op.execute("DROP TRIGGER booking_change_facts_stay ON booking_change")
