-- Decides whether one more booking would pass a limit (0: none). Returns NULL if not; otherwise the limit and its figures:
-- {"limit": "network", "oldest": …} with the booking of the network that has to be an hour old first (seconds since
-- 1970), or {"limit": "expert" or "all", "counted": …} with how many upcoming bookings count.
-- The statement that inserts the booking calls this before it inserts, so whatever is refused writes nothing.
-- Exact in a race: bookings of one network, and of one customer, pass one after another, because the locks last until
-- the transaction ends, and each query of a volatile function sees everything that was committed before the query.
-- Without deadlocks: the network is always locked before the customer, and both before any row of `booking`.
-- The locks are taken in a condition, which PL/pgSQL evaluates without starting a query; a lock is never NULL.
CREATE FUNCTION check_booking_limits(
  from_network bytea, from_browser bytea, of_customer text, is_proven boolean, with_expert uuid, now_at timestamptz,
  since timestamptz, per_network int, per_expert int, per_customer int
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  oldest timestamptz;
  of_expert int;
  in_all int;
BEGIN
  IF per_network > 0 AND
     pg_advisory_xact_lock(hashtextextended('bookings from ' || encode(from_network, 'hex'), 0)) IS NULL THEN
  END IF;
  IF (per_expert > 0 OR per_customer > 0) AND
     pg_advisory_xact_lock(hashtextextended('bookings of ' || of_customer, 0)) IS NULL THEN
  END IF;
  SELECT (SELECT n.booked_at FROM network_booking n WHERE n.origin = from_network AND n.booked_at > since
           ORDER BY n.booked_at DESC OFFSET greatest(per_network, 1) - 1 LIMIT 1),
         count(*) FILTER (WHERE b.expert_id = with_expert), count(*)
    INTO oldest, of_expert, in_all
    FROM booking b
   WHERE b.customer_key = of_customer AND b.starts_at > now_at AND b.status IN ('pending', 'confirmed')
     AND (is_proven OR b.visitor = from_browser OR EXISTS (
           SELECT FROM network_booking n WHERE n.booking_id = b.id AND n.origin = from_network));
  RETURN CASE WHEN per_network > 0 AND oldest IS NOT NULL
                THEN jsonb_build_object('limit', 'network', 'oldest', extract(epoch FROM oldest))
              WHEN per_expert > 0 AND of_expert >= per_expert
                THEN jsonb_build_object('limit', 'expert', 'counted', of_expert)
              WHEN per_customer > 0 AND in_all >= per_customer
                THEN jsonb_build_object('limit', 'all', 'counted', in_all) END;
END $$
