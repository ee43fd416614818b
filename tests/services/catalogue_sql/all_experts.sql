-- All experts, best rated first: the first page of 20.

-- If at most 1,000 experts match, all of them are read and sorted.
WITH found AS MATERIALIZED (
  SELECT id, tier AS section, k0, k1, k2
    FROM (SELECT e.id, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2, 0 AS tier
            FROM expert e
           WHERE e.active AND e.listed
           LIMIT 1001) f
),
counted AS (SELECT count(*) AS n FROM found),
page AS (
  (SELECT * FROM found
    WHERE (SELECT n FROM counted) <= 1000
    ORDER BY section ASC, k0 DESC, k1 DESC, k2 DESC LIMIT 21)
  -- If more match, the index of the sort order is walked until the page is full.
  UNION ALL
  (SELECT e.id, 0 AS section, e.rating_key AS k0, e.rating_count AS k1, e.id AS k2
     FROM expert e
    WHERE (SELECT n FROM counted) > 1000 AND e.active AND e.listed
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
