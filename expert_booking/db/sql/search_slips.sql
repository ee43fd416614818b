-- A word, and the word without each one of its letters. Two words that share one of these differ by one or two typing
-- errors.
CREATE FUNCTION search_slips(word text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(SELECT word UNION SELECT overlay(word PLACING '' FROM place FOR 1)
               FROM generate_series(1, length(word)) AS place)
