-- Copies the terms of the session type into a new booking or hold, for writers that leave them out (imports, psql and
-- processes of the previous version). The product itself provides them, so the trigger costs it nothing. Only the product
-- asks for the confirmation of email addresses.
CREATE FUNCTION copy_session_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT title, cancel_notice_minutes, reschedule_notice_minutes, max_reschedules, price_amount, price_currency,
         payment_note
    INTO NEW.title, NEW.cancel_notice_minutes, NEW.reschedule_notice_minutes, NEW.max_reschedules, NEW.price_amount,
         NEW.price_currency, NEW.payment_note
    FROM session_type WHERE id = NEW.session_type_id;
  RETURN NEW;
END $$
