"""Let hosts block time, set their own rules aside and send emails again.

Why: an expert keeps time free by hand. A block is a row of `booking` without a customer and without a session type, so
that the same fences keep bookings off it, and it off bookings. Blocks that repeat belong to a series, whose wall-clock
times are in a table of their own. The history says which rules of the calendar a host set aside. A booking made by hand
may have no address, so what is to be erased is found by the name. An email that a host sends once more is about a
change that already has an email.

The fences get another condition, so they are built anew: up to two minutes for a million bookings, in which nobody can
read or make bookings. The other new columns, constraints and indexes read all bookings once.

The downgrade deletes all blocks: the previous version has no place for them. Their times can then be booked.

Revision ID: 0016
Revises: 0015
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LIVE_ROWS = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show', 'blocked')"
LIVE_BEFORE = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"
STATUSES_BEFORE = (
    "status IN ('held', 'pending', 'confirmed', 'completed', 'cancelled', 'declined', 'expired', 'no_show')"
)
STATUSES = STATUSES_BEFORE.replace("'no_show')", "'no_show', 'blocked')")
CUSTOMER_KNOWN = "(name IS NOT NULL AND email IS NOT NULL AND customer_key IS NOT NULL)"

HISTORY = f"""
CREATE OR REPLACE FUNCTION write_booking_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  -- The rules that a host sets aside in this transaction, separated by commas.
  set_aside text[] := string_to_array(coalesce(current_setting('expert_booking.override', true), ''), ',');
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO booking_change (booking_id, expert_id, actor, token_id, to_status, to_starts_at, reason, override)
    SELECT id, expert_id, changed_by, changed_with, status, starts_at, change_reason, set_aside
      FROM changed WHERE status <> 'held' AND email IS NOT NULL;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO booking_change
           (booking_id, expert_id, actor, token_id, from_status, to_status, from_starts_at, to_starts_at, reason,
            override, freed)
    SELECT n.id, o.expert_id, CASE WHEN told THEN n.changed_by ELSE 'database' END,
           CASE WHEN told THEN n.changed_with END, CASE WHEN was_booked THEN o.status END, n.status,
           CASE WHEN was_booked THEN o.starts_at END, n.starts_at, CASE WHEN told THEN n.change_reason ELSE '' END,
           CASE WHEN told THEN set_aside ELSE '{{}}' END,
           CASE WHEN o.{LIVE_ROWS} AND NOT (n.{LIVE_ROWS} AND n.expert_id = o.expert_id AND n.busy @> o.busy)
                THEN o.busy END
      FROM changed_before o JOIN changed n USING (id)
     CROSS JOIN LATERAL (SELECT n.version > o.version, o.status <> 'held' AND o.email IS NOT NULL) AS by_us
           (told, was_booked)
     WHERE (o.status, o.starts_at, o.busy, o.expert_id, o.verify_by IS NULL)
        <> (n.status, n.starts_at, n.busy, n.expert_id, n.verify_by IS NULL)
       AND (was_booked OR n.status <> 'held' AND n.email IS NOT NULL);
    PERFORM tell_slot_freed(o.expert_id, o.busy) FROM changed_before o JOIN changed n USING (id)
     WHERE o.status IN ('held', 'blocked') AND (n.status = 'held' OR n.email IS NULL)
       AND NOT (n.{LIVE_ROWS} AND n.expert_id = o.expert_id AND n.busy @> o.busy);
  ELSE
    INSERT INTO booking_change (booking_id, expert_id, actor, from_status, from_starts_at, freed)
    SELECT id, expert_id, 'database', status, starts_at, CASE WHEN {LIVE_ROWS} THEN busy END
      FROM changed WHERE status <> 'held' AND email IS NOT NULL;
    PERFORM tell_slot_freed(expert_id, busy) FROM changed WHERE status IN ('held', 'blocked');
  END IF;
  RETURN NULL;
END $$
"""  # noqa: S608 - only our own text
HISTORY_BEFORE = f"""
CREATE OR REPLACE FUNCTION write_booking_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO booking_change (booking_id, expert_id, actor, token_id, to_status, to_starts_at, reason)
    SELECT id, expert_id, changed_by, changed_with, status, starts_at, change_reason
      FROM changed WHERE status <> 'held' AND email IS NOT NULL;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO booking_change
           (booking_id, expert_id, actor, token_id, from_status, to_status, from_starts_at, to_starts_at, reason, freed)
    SELECT n.id, o.expert_id, CASE WHEN told THEN n.changed_by ELSE 'database' END,
           CASE WHEN told THEN n.changed_with END, CASE WHEN was_booked THEN o.status END, n.status,
           CASE WHEN was_booked THEN o.starts_at END, n.starts_at, CASE WHEN told THEN n.change_reason ELSE '' END,
           CASE WHEN o.{LIVE_BEFORE} AND NOT (n.{LIVE_BEFORE} AND n.expert_id = o.expert_id AND n.busy @> o.busy)
                THEN o.busy END
      FROM changed_before o JOIN changed n USING (id)
     CROSS JOIN LATERAL (SELECT n.version > o.version, o.status <> 'held' AND o.email IS NOT NULL) AS by_us
           (told, was_booked)
     WHERE (o.status, o.starts_at, o.busy, o.expert_id, o.verify_by IS NULL)
        <> (n.status, n.starts_at, n.busy, n.expert_id, n.verify_by IS NULL)
       AND (was_booked OR n.status <> 'held' AND n.email IS NOT NULL);
    PERFORM tell_slot_freed(o.expert_id, o.busy) FROM changed_before o JOIN changed n USING (id)
     WHERE o.status = 'held' AND (n.status = 'held' OR n.email IS NULL)
       AND NOT (n.{LIVE_BEFORE} AND n.expert_id = o.expert_id AND n.busy @> o.busy);
  ELSE
    INSERT INTO booking_change (booking_id, expert_id, actor, from_status, from_starts_at, freed)
    SELECT id, expert_id, 'database', status, starts_at, CASE WHEN {LIVE_BEFORE} THEN busy END
      FROM changed WHERE status <> 'held' AND email IS NOT NULL;
    PERFORM tell_slot_freed(expert_id, busy) FROM changed WHERE status = 'held';
  END IF;
  RETURN NULL;
END $$
"""  # noqa: S608 - only our own text
MESSAGES = """
CREATE OR REPLACE FUNCTION put_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO message (kind, audience, booking_id, change_id, status, starts_at, ends_at, sequence)
  SELECT told.kind, audience, b.id, w.id, b.status, b.starts_at, b.ends_at, b.sequence
    FROM written w JOIN booking b ON b.id = w.booking_id
   CROSS JOIN LATERAL (SELECT CASE
           WHEN b.verify_by IS NOT NULL THEN CASE WHEN w.from_status IS NULL THEN 'verification' END
           WHEN (w.from_status, w.to_status, w.from_starts_at) = ('pending', 'pending', w.to_starts_at) THEN 'received'
           WHEN w.to_status IS DISTINCT FROM w.from_status THEN CASE w.to_status
             WHEN 'pending' THEN 'received' WHEN 'confirmed' THEN 'confirmed' WHEN 'declined' THEN 'declined'
             WHEN 'cancelled' THEN 'cancelled'
             WHEN 'expired' THEN CASE w.from_status WHEN 'pending' THEN 'expired' END END
           WHEN w.to_status IN ('pending', 'confirmed') AND w.from_starts_at <> w.to_starts_at THEN 'rescheduled' END
         ) told (kind)
   CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
   WHERE told.kind IS NOT NULL AND w.actor <> 'database' AND (told.kind <> 'verification' OR audience = 'customer')
     AND (audience = 'expert' OR b.email <> '')
     AND current_setting('expert_booking.silent', true) IS DISTINCT FROM 'on'
   ORDER BY w.id, audience;
  RETURN NULL;
END $$
"""
MESSAGES_BEFORE = """
CREATE OR REPLACE FUNCTION put_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO message (kind, audience, booking_id, change_id, status, starts_at, ends_at, sequence)
  SELECT told.kind, audience, b.id, w.id, b.status, b.starts_at, b.ends_at, b.sequence
    FROM written w JOIN booking b ON b.id = w.booking_id
   CROSS JOIN LATERAL (SELECT CASE
           WHEN b.verify_by IS NOT NULL THEN CASE WHEN w.from_status IS NULL THEN 'verification' END
           WHEN (w.from_status, w.to_status, w.from_starts_at) = ('pending', 'pending', w.to_starts_at) THEN 'received'
           WHEN w.to_status IS DISTINCT FROM w.from_status THEN CASE w.to_status
             WHEN 'pending' THEN 'received' WHEN 'confirmed' THEN 'confirmed' WHEN 'declined' THEN 'declined'
             WHEN 'cancelled' THEN 'cancelled'
             WHEN 'expired' THEN CASE w.from_status WHEN 'pending' THEN 'expired' END END
           WHEN w.to_status IN ('pending', 'confirmed') AND w.from_starts_at <> w.to_starts_at THEN 'rescheduled' END
         ) told (kind)
   CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
   WHERE told.kind IS NOT NULL AND w.actor <> 'database' AND (told.kind <> 'verification' OR audience = 'customer')
     AND current_setting('expert_booking.silent', true) IS DISTINCT FROM 'on'
   ORDER BY w.id, audience;
  RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = 0")
    op.create_table(
        "block_series",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("starts_local", sa.DateTime(timezone=False), nullable=False),
        sa.Column("ends_local", sa.DateTime(timezone=False), nullable=False),
        sa.Column("repeat_until", sa.Date()),
        sa.Column("made_until", sa.Date(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("ends_local > starts_local", name=op.f("ck_block_series_order")),
        sa.ForeignKeyConstraint(
            ["expert_id"], ["expert.id"], name=op.f("fk_block_series_expert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_series")),
    )
    op.create_index("ix_block_series_expert_id", "block_series", ["expert_id"])
    op.create_index("ix_block_series_made_until", "block_series", ["made_until"])
    op.add_column("booking", sa.Column("series_id", sa.Uuid()))
    op.create_foreign_key(op.f("fk_booking_series_id"), "booking", "block_series", ["series_id"], ["id"])
    op.create_index("ix_booking_series_id", "booking", ["series_id"], postgresql_where=sa.text("series_id IS NOT NULL"))
    op.alter_column("booking", "session_type_id", nullable=True)
    op.add_column(
        "booking_change",
        sa.Column("override", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    _put_checks(STATUSES, "'held', 'expired', 'blocked'")
    op.create_check_constraint(
        op.f("ck_booking_blocks_have_no_type"), "booking", "(status = 'blocked') = (session_type_id IS NULL)"
    )
    op.create_check_constraint(
        op.f("ck_booking_blocks_have_no_customer"),
        "booking",
        "status <> 'blocked' OR (name IS NULL AND email IS NULL AND customer_key IS NULL AND visitor IS NULL)",
    )
    op.create_check_constraint(op.f("ck_booking_series"), "booking", "series_id IS NULL OR status = 'blocked'")
    _put_fences(LIVE_ROWS)
    _put_index_of_ends("name <> ''")
    op.create_index(
        "ix_booking_blocked_ends_at", "booking", ["ends_at"], postgresql_where=sa.text("status = 'blocked'")
    )
    op.add_column("message", sa.Column("again", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.drop_index("uq_message_change", "message")
    op.create_index(
        "uq_message_change", "message", ["change_id", "audience"], unique=True, postgresql_where=sa.text("NOT again")
    )
    op.execute(HISTORY)
    op.execute(MESSAGES)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = 0")
    op.execute("DELETE FROM booking WHERE status = 'blocked'")
    op.execute("DELETE FROM message WHERE again")
    op.execute(MESSAGES_BEFORE)
    op.execute(HISTORY_BEFORE)
    op.drop_index("uq_message_change", "message")
    op.create_index("uq_message_change", "message", ["change_id", "audience"], unique=True)
    op.drop_column("message", "again")
    op.drop_index("ix_booking_blocked_ends_at", "booking")
    _put_index_of_ends("customer_key <> ''")
    _put_fences(LIVE_BEFORE)
    for name in ("series", "blocks_have_no_customer", "blocks_have_no_type"):
        op.drop_constraint(op.f(f"ck_booking_{name}"), "booking")
    _put_checks(STATUSES_BEFORE, "'held', 'expired'")
    op.drop_column("booking_change", "override")
    op.alter_column("booking", "session_type_id", nullable=False)
    op.drop_column("booking", "series_id")
    op.drop_table("block_series")


def _put_checks(statuses: str, without_customer: str) -> None:
    for name, condition in (
        ("status", statuses),
        ("customer_known", f"status IN ({without_customer}) OR {CUSTOMER_KNOWN}"),
    ):
        op.drop_constraint(op.f(f"ck_booking_{name}"), "booking")
        op.create_check_constraint(op.f(f"ck_booking_{name}"), "booking", condition)


def _put_fences(live_rows: str) -> None:
    where = sa.text(live_rows)
    op.drop_constraint("ex_booking_no_overlap", "booking")
    # Not the sorted build of newer versions: searches in its index, and so the check of the rows, are slower.
    op.execute(
        "ALTER TABLE booking ADD CONSTRAINT ex_booking_no_overlap "
        f"EXCLUDE USING gist (expert_id WITH =, busy WITH &&) WITH (buffering = on) WHERE ({live_rows})"
    )
    op.execute("ALTER INDEX ex_booking_no_overlap RESET (buffering)")
    op.drop_index("uq_booking_slot", "booking")
    op.create_index("uq_booking_slot", "booking", ["expert_id", "starts_at"], unique=True, postgresql_where=where)
    op.drop_index("uq_booking_cap_place", "booking")
    op.create_index(
        "uq_booking_cap_place",
        "booking",
        ["session_type_id", "cap_day", "cap_place"],
        unique=True,
        postgresql_where=sa.text(f"cap_place IS NOT NULL AND {live_rows}"),
    )


def _put_index_of_ends(condition: str) -> None:
    op.drop_index("ix_booking_ends_at", "booking")
    op.create_index("ix_booking_ends_at", "booking", ["ends_at"], postgresql_where=sa.text(condition))
