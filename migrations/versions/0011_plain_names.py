"""Rename the actor `house` to `system`, and moving a booking to rescheduling it.

Why: the code, the API and the database use one term for each thing. The old names are in columns, in stored values, and
in the functions that queue emails and copy terms. Renaming a column changes only PostgreSQL's catalogue. A trigger
makes `booking_change` append-only; it is disabled for this one UPDATE. Processes of the previous version do not work
with this schema: stop them before you migrate.

Revision ID: 0011
Revises: 0010
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PUT_MESSAGES = """
CREATE OR REPLACE FUNCTION put_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO message (kind, audience, booking_id, change_id, status, starts_at, ends_at, sequence)
  SELECT told.kind, audience, b.id, w.id, b.status, b.starts_at, b.ends_at, b.sequence
    FROM written w JOIN booking b ON b.id = w.booking_id
   CROSS JOIN LATERAL (SELECT CASE
           WHEN w.to_status IS DISTINCT FROM w.from_status THEN CASE w.to_status
             WHEN 'pending' THEN 'received' WHEN 'confirmed' THEN 'confirmed' WHEN 'declined' THEN 'declined'
             WHEN 'cancelled' THEN 'cancelled'
             WHEN 'expired' THEN CASE w.from_status WHEN 'pending' THEN 'expired' END END
           WHEN w.to_status IN ('pending', 'confirmed') AND w.from_starts_at <> w.to_starts_at THEN '{kind}' END
         ) told (kind)
   CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
   WHERE told.kind IS NOT NULL AND w.actor <> 'database'
     AND current_setting('expert_booking.silent', true) IS DISTINCT FROM 'on'
   ORDER BY w.id, audience;
  RETURN NULL;
END $$
"""
COPY_TERMS = """
CREATE OR REPLACE FUNCTION copy_session_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT title, cancel_notice_minutes, reschedule_notice_minutes, max_reschedules
    INTO NEW.title, NEW.cancel_notice_minutes, NEW.reschedule_notice_minutes, NEW.max_reschedules
    FROM session_type WHERE id = NEW.session_type_id;
  RETURN NEW;
END $$
"""
COPY_TERMS_BEFORE = """
CREATE OR REPLACE FUNCTION copy_session_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT title, cancel_notice_minutes, move_notice_minutes, most_moves
    INTO NEW.title, NEW.cancel_notice_minutes, NEW.reschedule_notice_minutes, NEW.max_reschedules
    FROM session_type WHERE id = NEW.session_type_id;
  RETURN NEW;
END $$
"""
_ACTORS = "actor IN ('customer', 'expert', 'admin', '{system}', 'database')"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.alter_column("booking", "moves", new_column_name="reschedules")
    op.alter_column("session_type", "move_notice_minutes", new_column_name="reschedule_notice_minutes")
    op.alter_column("session_type", "most_moves", new_column_name="max_reschedules")
    op.execute(COPY_TERMS)
    _rename_values({"house": "system"}, {"moved": "rescheduled"})


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _rename_values({"system": "house"}, {"rescheduled": "moved"})
    op.alter_column("session_type", "max_reschedules", new_column_name="most_moves")
    op.alter_column("session_type", "reschedule_notice_minutes", new_column_name="move_notice_minutes")
    op.alter_column("booking", "reschedules", new_column_name="moves")
    op.execute(COPY_TERMS_BEFORE)


def _rename_values(actors: dict[str, str], kinds: dict[str, str]) -> None:
    op.drop_constraint(op.f("ck_booking_change_actor"), "booking_change", type_="check")
    op.execute("ALTER TABLE booking_change DISABLE TRIGGER USER")
    op.execute("ALTER TABLE booking DISABLE TRIGGER USER")
    for old, new in actors.items():
        op.execute(f"UPDATE booking_change SET actor = '{new}' WHERE actor = '{old}'")  # noqa: S608 - only our own names
        op.execute(f"UPDATE booking SET changed_by = '{new}' WHERE changed_by = '{old}'")  # noqa: S608
        op.create_check_constraint(op.f("ck_booking_change_actor"), "booking_change", _ACTORS.replace("{system}", new))
    op.execute("ALTER TABLE booking ENABLE TRIGGER USER")
    op.execute("ALTER TABLE booking_change ENABLE TRIGGER USER")
    for old, new in kinds.items():
        op.execute(f"UPDATE message SET kind = '{new}' WHERE kind = '{old}'")  # noqa: S608
        op.execute(PUT_MESSAGES.replace("{kind}", new))
