-- Adds new words of the catalogue to search_word. Inserts in alphabetical order, so that two writers of the same words
-- cannot deadlock.
CREATE FUNCTION learn_search_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO search_word (word)
  SELECT DISTINCT word FROM changed, unnest(tsvector_to_array(terms)) AS term (word)
   WHERE length(word) >= 3 AND position(' ' IN word) = 0
     AND NOT EXISTS (SELECT FROM search_word known WHERE known.word = term.word)
   ORDER BY word
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$
