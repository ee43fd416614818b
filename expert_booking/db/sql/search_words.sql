-- The distinct words of a text, folded, with signs split off as words of their own.
CREATE FUNCTION search_words(said text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
  SELECT DISTINCT "left"(word, 60) FROM regexp_split_to_table(
    regexp_replace(regexp_replace(search_folded(said), '(?<=[[:alnum:]])''(?=[[:alnum:]])', '', 'g'),
                   '([^[:alnum:][:space:]])', ' \1 ', 'g'), '[[:space:]]+') AS word
  WHERE word <> '')
