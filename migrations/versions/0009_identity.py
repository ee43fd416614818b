"""Make links to bookings revocable, and count access requests by address and network.

Why: the links in emails and the `accessToken` of a booking were valid for ever. With a key version in the booking, only
keys with that version are valid. Existing keys have version 1, so they stay valid until they are revoked. Access
requests are now counted by address and network together, so that requests from other networks cannot lock a customer
out. Each request stores how many requests for its address came before, because that decides the length of its code. All
columns have constant defaults, so no row is rewritten.
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
