-- Queues the emails about each change in the history. Changes made by hand (actor "database") send none. While the
-- customer's address is not confirmed (verify_by), there is one email, which asks the customer to confirm it. A booking
-- made by hand may have no address. A host may make a change without any email (`expert_booking.silent`).
CREATE FUNCTION put_messages() RETURNS trigger LANGUAGE plpgsql AS $$
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
