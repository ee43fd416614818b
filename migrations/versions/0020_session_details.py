"""Add price, locations and questions to session types, and what bookings keep of them.

Why: customers want to know before booking what a session costs and how to pay. A price is an amount in the minor unit
of an ISO 4217 currency; 0 means free, and NULL states no price, as in all existing rows. Each booking keeps a copy,
because terms do not change after booking. Processes of the previous version copy no price.
A booking also keeps the one location that was chosen for it, and the answers with the wording of their questions.

The new columns are empty or have a constant default, which changes only PostgreSQL's catalogue. Verifying the CHECK
reads all bookings once (0.5 s for a million) and blocks new ones in the meantime.

Revision ID: 0020
Revises: 0019
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PRICE = (
    "ADD COLUMN price_amount integer, ADD COLUMN price_currency text, ADD COLUMN payment_note text NOT NULL DEFAULT ''"
)
NO_PRICE = "DROP COLUMN price_amount, DROP COLUMN price_currency, DROP COLUMN payment_note"
PRICE_IS_WHOLE = "CHECK ((price_amount IS NULL) = (price_currency IS NULL) AND price_amount >= 0)"
COPY_TERMS = """
CREATE OR REPLACE FUNCTION copy_session_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT title, cancel_notice_minutes, reschedule_notice_minutes, max_reschedules, price_amount, price_currency,
         payment_note
    INTO NEW.title, NEW.cancel_notice_minutes, NEW.reschedule_notice_minutes, NEW.max_reschedules, NEW.price_amount,
         NEW.price_currency, NEW.payment_note
    FROM session_type WHERE id = NEW.session_type_id;
  RETURN NEW;
END $$
"""
COPY_TERMS_BEFORE = """
CREATE OR REPLACE FUNCTION copy_session_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT title, cancel_notice_minutes, reschedule_notice_minutes, max_reschedules
    INTO NEW.title, NEW.cancel_notice_minutes, NEW.reschedule_notice_minutes, NEW.max_reschedules
    FROM session_type WHERE id = NEW.session_type_id;
  RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ("session_type", "booking"):
        op.execute(f"ALTER TABLE {table} {PRICE}, ADD CONSTRAINT ck_{table}_price {PRICE_IS_WHOLE}")
    op.execute(COPY_TERMS)
    op.execute(
        "ALTER TABLE session_type ADD COLUMN locations jsonb NOT NULL DEFAULT '[]',"
        " ADD COLUMN questions jsonb NOT NULL DEFAULT '[]'"
    )
    op.execute("ALTER TABLE booking ADD COLUMN location jsonb, ADD COLUMN answers jsonb NOT NULL DEFAULT '[]'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE booking DROP COLUMN location, DROP COLUMN answers")
    op.execute("ALTER TABLE session_type DROP COLUMN locations, DROP COLUMN questions")
    op.execute(COPY_TERMS_BEFORE)
    for table in ("session_type", "booking"):
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_price, {NO_PRICE}")
