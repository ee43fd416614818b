-- Calendar programs accept a new time or a cancellation only with a higher sequence number.
CREATE FUNCTION count_booking_sequence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.sequence := OLD.sequence + 1;
  RETURN NEW;
END $$
