-- Experts for "tax" in the category Law, rated 4.5 or better, by relevance: the first page of 20.
--
-- `terms` has each expert's words, names (n …), categories (c …) and languages (l …), so that one index answers for all.
-- The tiers: all words in the name; all words anywhere and one in the name; all words anywhere.

-- If at most 1,000 experts match, all of them are read and sorted.
WITH found AS MATERIALIZED (
  SELECT id, tier AS section, k0, k1, k2
    FROM (SELECT e.id, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2,
                 CASE WHEN e.terms @@ CAST('''n tax'':* & (''c Law'')' AS tsquery)
                      THEN 0
                      WHEN e.terms @@ CAST('(''tax'':* | ''n tax'':*) & ((''n tax'':*)) & (''c Law'')' AS tsquery)
                      THEN 1
                      ELSE 2 END AS tier
            FROM expert e
           WHERE e.active AND e.listed
             AND e.terms @@ CAST('((''tax'':* | ''n tax'':*)) & (''c Law'')' AS tsquery)
             AND e.rating_key >= 4.5
           LIMIT 1001) f
),
counted AS (SELECT count(*) AS n FROM found),
-- If more match, tier by tier: those with at most 1,000 matches are read and sorted, as here.
section0 AS MATERIALIZED (
  SELECT e.id, 0 AS section, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2
    FROM expert e
   WHERE e.active AND e.listed
     AND e.terms @@ CAST('((''tax'':* | ''n tax'':*)) & (''c Law'')' AS tsquery)
     AND e.rating_key >= 4.5
     AND e.terms @@ CAST('''n tax'':* & (''c Law'')' AS tsquery)
   LIMIT 1001
),
section1 AS MATERIALIZED (
  SELECT e.id, 1 AS section, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2
    FROM expert e
   WHERE e.active AND e.listed
     AND e.terms @@ CAST('((''tax'':* | ''n tax'':*)) & (''c Law'')' AS tsquery)
     AND e.rating_key >= 4.5
     AND NOT e.terms @@ CAST('''n tax'':* & (''c Law'')' AS tsquery)
     AND e.terms @@ CAST('(''tax'':* | ''n tax'':*) & ((''n tax'':*)) & (''c Law'')' AS tsquery)
   LIMIT 1001
),
section2 AS MATERIALIZED (
  SELECT e.id, 2 AS section, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2
    FROM expert e
   WHERE e.active AND e.listed
     AND e.terms @@ CAST('((''tax'':* | ''n tax'':*)) & (''c Law'')' AS tsquery)
     AND e.rating_key >= 4.5
     AND NOT e.terms @@ CAST('''n tax'':* & (''c Law'')' AS tsquery)
     AND NOT e.terms @@ CAST('(''tax'':* | ''n tax'':*) & ((''n tax'':*)) & (''c Law'')' AS tsquery)
     AND e.terms @@ CAST('(''tax'':* | ''n tax'':*) & (''c Law'')' AS tsquery)
   LIMIT 1001
),
page AS (
  (SELECT * FROM found
    WHERE (SELECT n FROM counted) <= 1000
    ORDER BY section ASC, k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  UNION ALL
  (SELECT * FROM section0
    WHERE (SELECT n FROM counted) > 1000 AND (SELECT count(*) FROM section0) <= 1000
    ORDER BY k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  -- For a tier with more matches, the index of the sort order is walked until the page is full. The planner does not
  -- look into a CASE, so it cannot choose another index.
  UNION ALL
  (SELECT e.id, 0 AS section, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2
     FROM expert e
    WHERE (SELECT n FROM counted) > 1000 AND (SELECT count(*) FROM section0) > 1000
      AND e.active AND e.listed
      AND CASE WHEN e.terms @@ CAST('((''tax'':* | ''n tax'':*)) & (''c Law'')' AS tsquery)
                AND e.rating_key >= 4.5
                AND e.terms @@ CAST('''n tax'':* & (''c Law'')' AS tsquery)
          THEN true ELSE false END
    ORDER BY k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  UNION ALL
  (SELECT * FROM section1
    WHERE (SELECT n FROM counted) > 1000 AND (SELECT count(*) FROM section1) <= 1000
    ORDER BY k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  UNION ALL
  (SELECT e.id, 1 AS section, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2
     FROM expert e
    WHERE (SELECT n FROM counted) > 1000 AND (SELECT count(*) FROM section1) > 1000
      AND e.active AND e.listed
      AND CASE WHEN e.terms @@ CAST('((''tax'':* | ''n tax'':*)) & (''c Law'')' AS tsquery)
                AND e.rating_key >= 4.5
                AND NOT e.terms @@ CAST('''n tax'':* & (''c Law'')' AS tsquery)
                AND e.terms @@ CAST('(''tax'':* | ''n tax'':*) & ((''n tax'':*)) & (''c Law'')' AS tsquery)
          THEN true ELSE false END
    ORDER BY k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  UNION ALL
  (SELECT * FROM section2
    WHERE (SELECT n FROM counted) > 1000 AND (SELECT count(*) FROM section2) <= 1000
    ORDER BY k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  UNION ALL
  (SELECT e.id, 2 AS section, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2
     FROM expert e
    WHERE (SELECT n FROM counted) > 1000 AND (SELECT count(*) FROM section2) > 1000
      AND e.active AND e.listed
      AND CASE WHEN e.terms @@ CAST('((''tax'':* | ''n tax'':*)) & (''c Law'')' AS tsquery)
                AND e.rating_key >= 4.5
                AND NOT e.terms @@ CAST('''n tax'':* & (''c Law'')' AS tsquery)
                AND NOT e.terms @@ CAST('(''tax'':* | ''n tax'':*) & ((''n tax'':*)) & (''c Law'')' AS tsquery)
                AND e.terms @@ CAST('(''tax'':* | ''n tax'':*) & (''c Law'')' AS tsquery)
          THEN true ELSE false END
    ORDER BY k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  -- One more than the page holds, to know whether there is a next page.
  LIMIT 21 OFFSET 0
)
SELECT counted.n AS total, page.*,
       e.slug, e.name, e.category, e.experience_years, e.rating, e.rating_count, e.headline, e.languages, e.time_zone, e.photo
  FROM counted
  LEFT JOIN page ON true
  LEFT JOIN expert e ON e.id = page.id
 ORDER BY section ASC, k0 DESC, k1 DESC, k2 DESC
