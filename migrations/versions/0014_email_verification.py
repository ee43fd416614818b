"""Add the confirmation of a customer's email address as a term of session types.

Why: an expert may want to be asked only by customers who can read the emails sent to them. A booking that waits for
this is pending and has `verify_by`; `answer_minutes` is what its session type said about the answer, because terms do
not change after booking. `verified_at` tells new addresses from known ones, and `wrong_codes` limits guessing.

The new columns are empty or have a constant default, which changes only PostgreSQL's catalogue. The index of pending
bookings by deadline is built again and the new CHECK is verified, which reads all bookings (0.5 s for a million) and
blocks new ones in the meantime. Downgrading first ends the bookings that wait for confirmation, because the previous
version would show them to the expert.

Revision ID: 0014
Revises: 0013
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LIVE_ROWS = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"
WRITE_HISTORY = f"""
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
           CASE WHEN o.{LIVE_ROWS} AND NOT (n.{LIVE_ROWS} AND n.expert_id = o.expert_id AND n.busy @> o.busy)
                THEN o.busy END
      FROM changed_before o JOIN changed n USING (id)
     CROSS JOIN LATERAL (SELECT n.version > o.version, o.status <> 'held' AND o.email IS NOT NULL) AS by_us
           (told, was_booked)
     WHERE (o.status, o.starts_at, o.busy, o.expert_id, o.verify_by IS NULL)
        <> (n.status, n.starts_at, n.busy, n.expert_id, n.verify_by IS NULL)
       AND (was_booked OR n.status <> 'held' AND n.email IS NOT NULL);
    PERFORM tell_slot_freed(o.expert_id, o.busy) FROM changed_before o JOIN changed n USING (id)
     WHERE o.status = 'held' AND (n.status = 'held' OR n.email IS NULL)
       AND NOT (n.{LIVE_ROWS} AND n.expert_id = o.expert_id AND n.busy @> o.busy);
  ELSE
    INSERT INTO booking_change (booking_id, expert_id, actor, from_status, from_starts_at, freed)
    SELECT id, expert_id, 'database', status, starts_at, CASE WHEN {LIVE_ROWS} THEN busy END
      FROM changed WHERE status <> 'held' AND email IS NOT NULL;
    PERFORM tell_slot_freed(expert_id, busy) FROM changed WHERE status = 'held';
  END IF;
  RETURN NULL;
END $$
"""  # noqa: S608 - only our own names
WRITE_HISTORY_BEFORE = WRITE_HISTORY.replace(
    """(o.status, o.starts_at, o.busy, o.expert_id, o.verify_by IS NULL)
        <> (n.status, n.starts_at, n.busy, n.expert_id, n.verify_by IS NULL)
""",
    """(o.status, o.starts_at, o.busy, o.expert_id) <> (n.status, n.starts_at, n.busy, n.expert_id)
""",
)
PUT_MESSAGES = """
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
PUT_MESSAGES_BEFORE = """
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
           WHEN w.to_status IN ('pending', 'confirmed') AND w.from_starts_at <> w.to_starts_at THEN 'rescheduled' END
         ) told (kind)
   CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
   WHERE told.kind IS NOT NULL AND w.actor <> 'database'
     AND current_setting('expert_booking.silent', true) IS DISTINCT FROM 'on'
   ORDER BY w.id, audience;
  RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE session_type ADD COLUMN email_verification text NOT NULL DEFAULT 'never', ADD CONSTRAINT"
        " ck_session_type_email_verification CHECK (email_verification IN ('never', 'new_addresses', 'always'))"
    )
    op.execute(
        "ALTER TABLE booking ADD COLUMN verify_by timestamptz, ADD COLUMN answer_minutes integer,"
        " ADD COLUMN verified_at timestamptz, ADD COLUMN wrong_codes smallint NOT NULL DEFAULT '0',"
        " ADD CONSTRAINT ck_booking_verified_first"
        " CHECK (verify_by IS NULL OR status IN ('pending', 'cancelled', 'declined', 'expired'))"
    )
    op.execute("DROP INDEX ix_booking_answer_by")
    op.execute(
        "CREATE INDEX ix_booking_pending_until ON booking (coalesce(verify_by, answer_by, starts_at))"
        " WHERE status = 'pending'"
    )
    op.execute(WRITE_HISTORY)
    op.execute(PUT_MESSAGES)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "UPDATE booking SET status = 'expired', updated_at = now(), version = version + 1, changed_by = 'system',"
        " changed_with = NULL, change_reason = 'email address not confirmed in time'"
        " WHERE status = 'pending' AND verify_by IS NOT NULL"
    )
    op.execute("DELETE FROM message WHERE kind = 'verification'")
    op.execute(WRITE_HISTORY_BEFORE)
    op.execute(PUT_MESSAGES_BEFORE)
    op.execute("DROP INDEX ix_booking_pending_until")
    op.execute(
        "ALTER TABLE booking DROP CONSTRAINT ck_booking_verified_first, DROP COLUMN verify_by,"
        " DROP COLUMN answer_minutes, DROP COLUMN verified_at, DROP COLUMN wrong_codes"
    )
    op.execute("CREATE INDEX ix_booking_answer_by ON booking (coalesce(answer_by, starts_at)) WHERE status = 'pending'")
    op.execute("ALTER TABLE session_type DROP COLUMN email_verification")
