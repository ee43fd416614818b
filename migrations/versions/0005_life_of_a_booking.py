"""Holds, deadlines, terms, what has happened to each booking, and answers that are given again.

Why: a chosen slot is held while its form is filled in; requests that nobody answers expire; customers may cancel and
move within the terms of the session type; every change is written down by the database itself, where nothing edits it;
and a request that is sent twice is answered twice and done once. The new columns cost nothing by themselves; a check
and five small partial indexes read the bookings once each, and for as long as that takes nobody books (2 s for a
million on a quiet machine). Bookings that are there already have no history before this.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

LIVE_ROWS = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"
FUNCTIONS = (
    f"""
CREATE FUNCTION write_booking_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO booking_change (booking_id, expert_id, actor, token_id, to_status, to_starts_at, reason)
    SELECT id, expert_id, changed_by, changed_with, status, starts_at, change_reason FROM changed;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO booking_change
           (booking_id, expert_id, actor, token_id, from_status, to_status, from_starts_at, to_starts_at, reason, freed)
    SELECT n.id, o.expert_id, CASE WHEN told THEN n.changed_by ELSE 'database' END,
           CASE WHEN told THEN n.changed_with END, o.status, n.status, o.starts_at, n.starts_at,
           CASE WHEN told THEN n.change_reason ELSE '' END,
           CASE WHEN o.{LIVE_ROWS} AND NOT (n.{LIVE_ROWS} AND n.expert_id = o.expert_id AND n.busy @> o.busy)
                THEN o.busy END
      FROM changed_before o JOIN changed n USING (id) CROSS JOIN LATERAL (SELECT n.version > o.version) AS by_us (told)
     WHERE (o.status, o.starts_at, o.busy, o.expert_id) <> (n.status, n.starts_at, n.busy, n.expert_id);
  ELSE
    INSERT INTO booking_change (booking_id, expert_id, actor, from_status, from_starts_at, freed)
    SELECT id, expert_id, 'database', status, starts_at, CASE WHEN {LIVE_ROWS} THEN busy END
      FROM changed WHERE status <> 'expired' OR email IS NOT NULL;
  END IF;
  RETURN NULL;
END $$
""",  # noqa: S608 - names of ours
    """
CREATE FUNCTION tell_slots_freed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('expert_booking_freed',
                    json_build_object('expert', expert_id, 'since', lower(freed), 'until', upper(freed))::text)
     FROM written WHERE freed IS NOT NULL;
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what has happened is not changed afterwards';
END $$
""",
)
TRIGGERS = (
    "CREATE TRIGGER booking_history_insert AFTER INSERT ON booking REFERENCING NEW TABLE AS changed "
    "FOR EACH STATEMENT EXECUTE FUNCTION write_booking_history()",
    "CREATE TRIGGER booking_history_update AFTER UPDATE ON booking "
    "REFERENCING OLD TABLE AS changed_before NEW TABLE AS changed "
    "FOR EACH STATEMENT EXECUTE FUNCTION write_booking_history()",
    "CREATE TRIGGER booking_history_delete AFTER DELETE ON booking REFERENCING OLD TABLE AS changed "
    "FOR EACH STATEMENT EXECUTE FUNCTION write_booking_history()",
    "CREATE TRIGGER booking_change_freed AFTER INSERT ON booking_change REFERENCING NEW TABLE AS written "
    "FOR EACH STATEMENT EXECUTE FUNCTION tell_slots_freed()",
    "CREATE TRIGGER booking_change_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON booking_change "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history()",
)


def upgrade() -> None:
    terms: tuple[sa.Column[Any], ...] = (
        sa.Column("confirmation", sa.Text(), server_default="by_expert", nullable=False),
        sa.Column("answer_minutes", sa.Integer(), server_default="2880", nullable=False),
        sa.Column("cancel_notice_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("move_notice_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("most_moves", sa.SmallInteger()),
    )
    for column in terms:
        op.add_column("session_type", column)
    op.create_check_constraint(
        op.f("ck_session_type_confirmation"),
        "session_type",
        "confirmation IN ('at_once', 'by_expert') AND answer_minutes >= 1",
    )
    op.create_check_constraint(
        op.f("ck_session_type_terms"),
        "session_type",
        "cancel_notice_minutes >= 0 AND move_notice_minutes >= 0 AND most_moves >= 0",
    )
    new: tuple[sa.Column[Any], ...] = (
        sa.Column("held_at", sa.DateTime(timezone=True)),
        sa.Column("hold_origin", sa.LargeBinary()),
        sa.Column("hold_keeper", sa.Uuid()),
        sa.Column("answer_by", sa.DateTime(timezone=True)),
        sa.Column("moves", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("changed_by", sa.Text(), server_default="database", nullable=False),
        sa.Column("changed_with", sa.Uuid()),
        sa.Column("change_reason", sa.Text(), server_default="", nullable=False),
    )
    for column in new:
        op.add_column("booking", column)
    held = sa.text("status = 'held'")
    op.create_index(
        "uq_booking_visitor_hold",
        "booking",
        ["visitor"],
        unique=True,
        postgresql_where=sa.text("status = 'held' AND visitor IS NOT NULL"),
    )
    op.create_index("ix_booking_hold_origin", "booking", ["hold_origin"], postgresql_where=held)
    op.create_index("ix_booking_hold_until", "booking", ["hold_until"], postgresql_where=held)
    op.create_index(
        "ix_booking_answer_by",
        "booking",
        [sa.text("coalesce(answer_by, starts_at)")],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_booking_never_booked",
        "booking",
        ["updated_at"],
        postgresql_where=sa.text("status = 'expired' AND email IS NULL"),
    )
    _create_tables()
    for statement in (*FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for event in ("insert", "update", "delete"):
        op.execute(f"DROP TRIGGER booking_history_{event} ON booking")
    op.drop_table("kept_answer")
    op.drop_table("booking_change")
    for function in ("write_booking_history", "tell_slots_freed", "refuse_to_change_history"):
        op.execute(f"DROP FUNCTION {function}()")
    for index in ("never_booked", "answer_by", "hold_until", "hold_origin"):
        op.drop_index(f"ix_booking_{index}", table_name="booking")
    op.drop_index("uq_booking_visitor_hold", table_name="booking")
    for column in (
        "change_reason",
        "changed_with",
        "changed_by",
        "moves",
        "answer_by",
        "hold_keeper",
        "hold_origin",
        "held_at",
    ):
        op.drop_column("booking", column)
    for check in ("terms", "confirmation"):
        op.drop_constraint(f"ck_session_type_{check}", "session_type")
    for column in ("most_moves", "move_notice_minutes", "cancel_notice_minutes", "answer_minutes", "confirmation"):
        op.drop_column("session_type", column)


def _create_tables() -> None:
    op.create_table(
        "booking_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("token_id", sa.Uuid()),
        sa.Column("from_status", sa.Text()),
        sa.Column("to_status", sa.Text()),
        sa.Column("from_starts_at", sa.DateTime(timezone=True)),
        sa.Column("to_starts_at", sa.DateTime(timezone=True)),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("freed", postgresql.TSTZRANGE()),
        sa.CheckConstraint(
            "actor IN ('customer', 'expert', 'admin', 'house', 'database')", name=op.f("ck_booking_change_actor")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_booking_change")),
    )
    op.create_index("ix_booking_change_booking_id_id", "booking_change", ["booking_id", "id"])
    op.create_table(
        "kept_answer",
        sa.Column("caller", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger()),
        sa.Column("headers", postgresql.JSONB()),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_kept_answer")),
    )
    op.create_index("ix_kept_answer_created_at", "kept_answer", ["created_at"])
