-- The terms by which an expert is found. A plain term is a word of the texts. A letter and a space, which no word
-- contains, mark a word of the name (n), the category as a whole (c) and a language (l).
CREATE FUNCTION search_terms(name text, category text, headline text, bio text, languages text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(
  search_words(name || ' ' || category || ' ' || headline || ' ' || bio)
  || ARRAY(SELECT 'n ' || word FROM unnest(search_words(name)) AS word)
  || ('c ' || "left"(category, 200))
  || ARRAY(SELECT 'l ' || language FROM unnest(languages) AS language))
