"""Find sessions that have ended and are still confirmed.

Why: they become completed some time after their end. The first start after this finds all old ones, and completes them
in batches. Creating the index reads all bookings once (about 1 s for a million) and blocks new ones in the meantime.

Revision ID: 0018
Revises: 0017
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(
        "ix_booking_confirmed_ends_at", "booking", ["ends_at"], postgresql_where=sa.text("status = 'confirmed'")
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_booking_confirmed_ends_at", "booking")
