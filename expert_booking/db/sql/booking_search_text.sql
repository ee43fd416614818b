-- What hosts search: the customer's name and address without accents and in lower case, and the digits of the phone.
CREATE FUNCTION booking_search_text(name text, email text, phone text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN search_folded(name || ' ' || coalesce(email, '')) || ' ' || translate(coalesce(phone, ''), '+ ()-/.;=ext', '')
