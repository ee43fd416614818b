-- Decides whether one more booking would pass a limit (0: none). `exceeded` is NULL if not; otherwise it is the limit:
-- 'network', 'expert' or 'all'. `counted` is how many upcoming bookings count, `oldest` the booking of the network that
-- has to be an hour old first. The statement that inserts the booking calls this before it inserts, so whatever is
-- refused writes nothing.
-- Exact in a race: bookings of one network, and of one customer, pass one after another, because the locks last until
-- the transaction ends, and each query of a volatile function sees everything that was committed before the query.
-- Without deadlocks: the network is always locked before the customer, and both before any row of `booking`.
CREATE FUNCTION check_booking_limits(
  from_network bytea, from_browser bytea, of_customer text, is_proven boolean, with_expert uuid, now_at timestamptz,
  since timestamptz, per_network int, per_expert int, per_customer int,
  OUT exceeded text, OUT counted int, OUT oldest timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
  in_all int;
BEGIN
  PERFORM CASE WHEN per_network > 0 THEN
            pg_advisory_xact_lock(hashtextextended('bookings from ' || encode(from_network, 'hex'), 0)) END,
          CASE WHEN per_expert > 0 OR per_customer > 0 THEN
            pg_advisory_xact_lock(hashtextextended('bookings of ' || of_customer, 0)) END;
  SELECT (SELECT n.booked_at FROM network_booking n WHERE n.origin = from_network AND n.booked_at > since
           ORDER BY n.booked_at DESC OFFSET greatest(per_network, 1) - 1 LIMIT 1),
         count(*) FILTER (WHERE b.expert_id = with_expert), count(*)
    INTO oldest, counted, in_all
    FROM booking b
   WHERE b.customer_key = of_customer AND b.starts_at > now_at AND b.status IN ('pending', 'confirmed')
     AND (is_proven OR b.visitor = from_browser OR EXISTS (
           SELECT FROM network_booking n WHERE n.booking_id = b.id AND n.origin = from_network));
  IF per_network > 0 AND oldest IS NOT NULL THEN
    exceeded := 'network';
  ELSIF per_expert > 0 AND counted >= per_expert THEN
    exceeded := 'expert';
  ELSIF per_customer > 0 AND in_all >= per_customer THEN
    exceeded := 'all';
    counted := in_all;
  END IF;
END $$
