-- Makes the history append-only. A transaction that erases a customer's data may clear reasons, and nothing else: a
-- trigger calls this for each row, too, in which anything else would change.
CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND TG_LEVEL = 'STATEMENT' AND current_setting('expert_booking.erasing', true) = 'on' THEN
    RETURN NULL;
  END IF;
  RAISE EXCEPTION 'what has happened is not changed afterwards';
END $$
