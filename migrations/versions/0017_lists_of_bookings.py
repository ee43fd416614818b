"""Indexes for the lists of hosts: search by customer, and the orders by start and by creation.

Why: hosts search their bookings by the customer's name, address or phone, and page through them in either order. The
trigram index finds parts of words; its list of pending entries is short, so that no booking waits long while it is
merged. Bookings without a customer (holds, erased customers) are not in it.

Creating the indexes reads all bookings (about 12 s for a million) and blocks new ones in the meantime.

Revision ID: 0017
Revises: 0016
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SEARCH_TEXT = """
CREATE FUNCTION booking_search_text(name text, email text, phone text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN search_folded(name || ' ' || coalesce(email, '')) || ' ' || translate(coalesce(phone, ''), '+ ()-/.;=ext', '')
"""
# The planner ignores the statistics of a partial index, and would use it even for words that most bookings contain.
SEARCH_STATISTICS = "CREATE STATISTICS st_booking_search ON (booking_search_text(name, email, phone)) FROM booking"
ORDERS = {
    "ix_booking_expert_id_created_at_id": ["expert_id", "created_at", "id"],
    "ix_booking_created_at_id": ["created_at", "id"],
    "ix_booking_starts_at_id": ["starts_at", "id"],
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute(SEARCH_TEXT)
    op.create_index(
        "ix_booking_search",
        "booking",
        [sa.text("booking_search_text(name, email, phone) gin_trgm_ops")],
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
        postgresql_where=sa.text("name <> ''"),
    )
    for name, columns in ORDERS.items():
        op.create_index(name, "booking", columns)
    op.execute(SEARCH_STATISTICS)
    op.execute("ANALYZE booking")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name in (*ORDERS, "ix_booking_search"):
        op.drop_index(name, "booking")
    op.execute("DROP STATISTICS st_booking_search")
    op.execute("DROP FUNCTION booking_search_text(text, text, text)")
