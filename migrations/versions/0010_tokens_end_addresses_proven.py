"""Let tokens expire, record their last use, and keep an expert's new address pending until it is confirmed.

Why: a forgotten token should not stay valid for ever, and an operator needs to see which tokens are in use. Existing
tokens expire a year from now. A new address of an expert replaces the old one only after the link emailed to it was
used. The tables are small or only get a column without a default, so this is instant.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("token", sa.Column("expires_at", sa.DateTime(timezone=True)))
    op.execute("UPDATE token SET expires_at = now() + interval '1 year'")
    op.alter_column("token", "expires_at", nullable=False)
    op.add_column("token", sa.Column("last_used_at", sa.DateTime(timezone=True)))
    op.add_column("expert", sa.Column("pending_email", sa.Text()))
    op.add_column("access_request", sa.Column("expert_id", sa.Uuid()))


def downgrade() -> None:
    op.execute("DELETE FROM message WHERE kind IN ('new_address', 'address_change')")
    op.drop_column("access_request", "expert_id")
    op.drop_column("expert", "pending_email")
    op.drop_column("token", "last_used_at")
    op.drop_column("token", "expires_at")
