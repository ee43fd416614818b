"""Dead letters are found by an index.

Why: how many there are is asked every few seconds by whoever watches the house, and what was sent is kept for months.
Few rows are in it, so it costs nothing; to make it, the outbox is read once (0.1 s for a million mails).
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("ix_message_given_up", "message", ["id"], postgresql_where=sa.text("failed_at IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_message_given_up", table_name="message")
