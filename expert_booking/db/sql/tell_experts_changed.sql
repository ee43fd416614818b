-- Announces each expert whose profile, calendar or bookings a statement has changed.
-- Queues the expert for the worker that computes next free times, and notifies every listening process. Runs once per
-- expert, however many rows the statement changed. The payload is the expert's id and nothing else.
CREATE FUNCTION tell_experts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  ids uuid[];
BEGIN
  IF TG_TABLE_NAME = 'expert' THEN
    ids := ARRAY(SELECT id FROM changed);
  ELSIF TG_OP = 'UPDATE' THEN
    ids := ARRAY(SELECT expert_id FROM changed UNION SELECT expert_id FROM changed_before);
  ELSE
    ids := ARRAY(SELECT DISTINCT expert_id FROM changed);
  END IF;
  IF ids <> '{}' THEN
    INSERT INTO expert_changed (expert_id) SELECT unnest(ids);
    PERFORM pg_notify('{EVENT_CHANNEL}', told::text) FROM unnest(ids) AS told;
  END IF;
  RETURN NULL;
END $$
