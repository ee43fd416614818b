-- Announces the times that new rows of the history have freed.
CREATE FUNCTION tell_slots_freed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM tell_slot_freed(expert_id, freed) FROM written WHERE freed IS NOT NULL;
  RETURN NULL;
END $$
