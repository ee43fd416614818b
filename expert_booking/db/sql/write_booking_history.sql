-- Writes what happened to each booking, no matter which program changed it, and the time that the change freed: a booking
-- that was live no longer is, or occupies another time. A hold has no history, because visitors can start any number of
-- them; the history begins when the hold becomes a booking. The time that an ended hold frees is announced all the same.
-- Blocks concern no customer and have no history either. That the customer has confirmed the email address is a change,
-- too, even if the booking stays pending.
CREATE FUNCTION write_booking_history() RETURNS trigger LANGUAGE plpgsql AS $$
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
           CASE WHEN told THEN set_aside ELSE '{}' END,
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
