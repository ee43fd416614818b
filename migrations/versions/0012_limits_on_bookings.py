"""Count the bookings and the changes of a network, to limit them.

Why: one network could book every free time, and one booking could be changed without end, each time with emails. The
two tables contain keyed hashes of networks, and each row is deleted once no limit needs it. They are new and the
function is called by new processes only, so processes of the previous version keep working.

Revision ID: 0012
Revises: 0011
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CHECK_BOOKING_LIMITS = """
CREATE FUNCTION check_booking_limits(
  from_network bytea, from_browser bytea, of_customer text, is_proven boolean, with_expert uuid, now_at timestamptz,
  since timestamptz, per_network int, per_expert int, per_customer int,
  OUT exceeded text, OUT counted int, OUT oldest timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  in_all int;
BEGIN
  PERFORM CASE WHEN per_network > 0 THEN
            pg_advisory_xact_lock(hashtextextended('bookings from ' || encode(from_network, 'hex'), 0)) END,
          CASE WHEN per_expert > 0 OR per_customer > 0 THEN
            pg_advisory_xact_lock(hashtextextended('bookings of ' || of_customer, 0)) END;
  SELECT (SELECT n.booked_at FROM network_booking n WHERE n.origin = from_network AND n.booked_at > since
           ORDER BY n.booked_at DESC OFFSET greatest(per_network, 1) - 1 LIMIT 1),
         count(*) FILTER (WHERE b.expert_id = with_expert), count(*)
    INTO oldest, counted, in_all
    FROM booking b
   WHERE b.customer_key = of_customer AND b.starts_at > now_at AND b.status IN ('pending', 'confirmed')
     AND (is_proven OR b.visitor = from_browser OR EXISTS (
           SELECT FROM network_booking n WHERE n.booking_id = b.id AND n.origin = from_network));
  IF per_network > 0 AND oldest IS NOT NULL THEN
    exceeded := 'network';
  ELSIF per_expert > 0 AND counted >= per_expert THEN
    exceeded := 'expert';
  ELSIF per_customer > 0 AND in_all >= per_customer THEN
    exceeded := 'all';
    counted := in_all;
  END IF;
END $$
"""
_ARGUMENTS = "bytea, bytea, text, boolean, uuid, timestamptz, timestamptz, int, int, int"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "network_booking",
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "booked_at", "booking_id", name=op.f("pk_network_booking")),
    )
    op.create_table(
        "network_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_change")),
    )
    op.create_index("ix_network_change_booking_id_changed_at", "network_change", ["booking_id", "changed_at"])
    op.create_index("ix_network_change_origin_changed_at", "network_change", ["origin", "changed_at"])
    op.execute(CHECK_BOOKING_LIMITS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(f"DROP FUNCTION check_booking_limits({_ARGUMENTS})")
    op.drop_table("network_change")
    op.drop_table("network_booking")
