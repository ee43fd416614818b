"""Links to bookings can be ended, and requests for access are counted by address and network.

Why: the links in emails and the `accessToken` of a booking never ended. A key version in the booking ends them: only
keys that carry the booking's version count. Keys made before have version 1, so they go on working until they are
ended. Requests for access are now counted by address and network together, so that requests from elsewhere lock nobody
out; each request remembers how often its address was asked for before, because that decides how long its code is.
All columns have constant defaults, so no row is rewritten.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("booking", sa.Column("key_version", sa.Integer(), server_default="1", nullable=False))
    for name in ("earlier", "earlier_elsewhere"):
        op.add_column("access_request", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    for name in ("proven_before", "suppressed"):
        op.add_column("access_request", sa.Column(name, sa.Boolean(), server_default=sa.text("false"), nullable=False))


def downgrade() -> None:
    for name in ("suppressed", "proven_before", "earlier_elsewhere", "earlier"):
        op.drop_column("access_request", name)
    op.drop_column("booking", "key_version")
