-- Announces that a time became free. The payload has the expert's id and the range, buffers included.
CREATE FUNCTION tell_slot_freed(expert_id uuid, freed tstzrange) RETURNS void LANGUAGE sql AS $$
SELECT pg_notify('{FREED_CHANNEL}',
                 json_build_object('expert', expert_id, 'since', lower(freed), 'until', upper(freed))::text)
$$
