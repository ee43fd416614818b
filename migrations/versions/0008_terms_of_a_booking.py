"""Store the terms in each booking, keep no history of holds, and count the holds of each network.

Why: a booking keeps the title and the terms it was made with, even if its session type changes. Visitors can start any
number of holds, so holds that never became bookings must leave nothing behind. And the holds that a network has started
in the last minute are counted.

The site can stay up. The new columns are added empty, which locks the table only for an instant, and a trigger fills
them for new rows from any writer. Existing rows are then filled expert by expert, each in its own transaction, which
locks only this expert's bookings (about a minute for a million bookings on two cores; open pages of each expert reload
once). Then the columns become NOT NULL, which reads all bookings once (0.5 s for a million) and blocks new ones in the
meantime. The history of holds that never became bookings is deleted in batches of 50,000 rows; bookings wait for one
batch. If the migration stops halfway (a lock is not available within 3 seconds, the connection is lost), run it again:
it continues.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"

LIVE_ROWS = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"
COLUMNS = {
    "title": "text",
    "cancel_notice_minutes": "integer",
    "reschedule_notice_minutes": "integer",
    "max_reschedules": "smallint",
}
TERMS_FUNCTION = """
CREATE OR REPLACE FUNCTION copy_session_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT title, cancel_notice_minutes, move_notice_minutes, most_moves
    INTO NEW.title, NEW.cancel_notice_minutes, NEW.reschedule_notice_minutes, NEW.max_reschedules
    FROM session_type WHERE id = NEW.session_type_id;
  RETURN NEW;
END $$
"""
TERMS_TRIGGER = (
    "CREATE OR REPLACE TRIGGER booking_terms BEFORE INSERT ON booking FOR EACH ROW WHEN (NEW.title IS NULL) "
    "EXECUTE FUNCTION copy_session_terms()"
)
HISTORY_FUNCTIONS = (
    """
CREATE OR REPLACE FUNCTION tell_slot_freed(expert_id uuid, freed tstzrange) RETURNS void LANGUAGE sql AS $$
SELECT pg_notify('expert_booking_freed',
                 json_build_object('expert', expert_id, 'since', lower(freed), 'until', upper(freed))::text)
$$
""",
    f"""
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
     WHERE (o.status, o.starts_at, o.busy, o.expert_id) <> (n.status, n.starts_at, n.busy, n.expert_id)
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
""",  # noqa: S608 - only our own names
    """
CREATE OR REPLACE FUNCTION tell_slots_freed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM tell_slot_freed(expert_id, freed) FROM written WHERE freed IS NOT NULL;
  RETURN NULL;
END $$
""",
)
HISTORY_FUNCTIONS_BEFORE = (
    f"""
CREATE OR REPLACE FUNCTION write_booking_history() RETURNS trigger LANGUAGE plpgsql AS $$
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
""",  # noqa: S608 - only our own names
    """
CREATE OR REPLACE FUNCTION tell_slots_freed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('expert_booking_freed',
                    json_build_object('expert', expert_id, 'since', lower(freed), 'until', upper(freed))::text)
     FROM written WHERE freed IS NOT NULL;
  RETURN NULL;
END $$
""",
)
FILL = """
UPDATE booking AS b
   SET title = s.title, cancel_notice_minutes = s.cancel_notice_minutes,
       reschedule_notice_minutes = s.move_notice_minutes, max_reschedules = s.most_moves
  FROM session_type AS s
 WHERE s.id = b.session_type_id AND b.title IS NULL
"""
# A row of the history that only a hold leaves behind, and the rows of bookings that were only ever holds.
OF_A_HOLD = """
    coalesce({0}.from_status, 'held') = 'held'
    AND ({0}.to_status = 'held' OR {0}.from_status = 'held' AND coalesce({0}.to_status, 'expired') = 'expired')
"""
FORGET_HOLDS = f"""
DO $$ BEGIN
  ALTER TABLE booking_change DISABLE TRIGGER booking_change_stays;
  DELETE FROM booking_change AS c
   WHERE c.id > {{0}} AND c.id <= {{1}} AND ({OF_A_HOLD.format("c")})
     AND NOT EXISTS (SELECT FROM booking_change AS other
                      WHERE other.booking_id = c.booking_id AND ({OF_A_HOLD.format("other")}) IS NOT TRUE);
  ALTER TABLE booking_change ENABLE TRIGGER booking_change_stays;
END $$
"""  # noqa: S608 - only our own text
AT_ONCE = 50_000


def upgrade() -> None:
    # IF NOT EXISTS and OR REPLACE, because this may run again after it stopped halfway.
    for name, kind in COLUMNS.items():
        op.execute(f"ALTER TABLE booking ADD COLUMN IF NOT EXISTS {name} {kind}")
    for statement in (TERMS_FUNCTION, TERMS_TRIGGER, *HISTORY_FUNCTIONS):
        op.execute(statement)
    if context.is_offline_mode():
        op.execute(FILL)
        op.execute(FORGET_HOLDS.format(0, 2**63 - 1))
    else:
        with op.get_context().autocommit_block():
            _fill(op.get_bind())
    op.create_table(
        "network_hold",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_hold")),
    )
    op.create_index("ix_network_hold_origin_held_at", "network_hold", ["origin", "held_at"])
    op.execute(
        "ALTER TABLE booking ALTER title SET NOT NULL, ALTER cancel_notice_minutes SET NOT NULL,"
        " ALTER reschedule_notice_minutes SET NOT NULL, ADD CONSTRAINT ck_booking_terms CHECK"
        " (cancel_notice_minutes >= 0 AND reschedule_notice_minutes >= 0 AND max_reschedules >= 0)"
    )


def downgrade() -> None:
    for statement in HISTORY_FUNCTIONS_BEFORE:
        op.execute(statement)
    op.execute("DROP FUNCTION tell_slot_freed(uuid, tstzrange)")
    op.execute("DROP TRIGGER booking_terms ON booking")
    op.execute("DROP FUNCTION copy_session_terms()")
    for name in reversed(COLUMNS):
        op.drop_column("booking", name)
    op.drop_table("network_hold")


def _fill(connection: sa.Connection) -> None:
    """Fill the terms of existing bookings, and delete the history of mere holds. Each statement is a transaction."""
    one_expert = sa.text(f"{FILL} AND b.expert_id = :expert")
    for expert in connection.scalars(sa.text("SELECT id FROM expert ORDER BY id")).all():
        connection.execute(one_expert, {"expert": expert})
    newest: int = connection.scalar(sa.text("SELECT coalesce(max(id), 0) FROM booking_change")) or 0
    for first in range(0, newest, AT_ONCE):
        connection.exec_driver_sql(FORGET_HOLDS.format(first, first + AT_ONCE))
