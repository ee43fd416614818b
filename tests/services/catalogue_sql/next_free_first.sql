-- All experts, those who are free first on top: the first page of 20.
--
-- expert_next has each expert's next free time, for any length of session (minutes = 0) and for each length. A row
-- whose time has passed counts as none until it is recomputed. Experts without a free time come last, in section 1.

-- If at most 1,000 experts match, all of them are read and sorted.
WITH found AS MATERIALIZED (
  SELECT id, (k0 = 'epoch')::int AS section, k0, k1
    FROM (SELECT e.id,
                 coalesce((SELECT n.free_at FROM expert_next n
                            WHERE n.expert_id = e.id AND n.minutes = 0 AND n.free_at >= %(now)s),
                          timestamptz 'epoch') AS k0,
                 e.id AS k1, 0 AS tier
            FROM expert e
           WHERE e.active AND e.listed
           LIMIT 1001) f
),
counted AS (SELECT count(*) AS n FROM found),
page AS (
  (SELECT * FROM found
    WHERE (SELECT n FROM counted) <= 1000
    ORDER BY section ASC, k0 ASC, k1 ASC LIMIT 21)
  -- If more match, the index of free times is walked until the page is full.
  UNION ALL
  (SELECT e.id, 0 AS section, n.free_at AS k0, n.expert_id AS k1
     FROM (SELECT * FROM expert_next WHERE minutes = 0 AND free_at >= %(now)s) n
     JOIN expert e ON e.id = n.expert_id
    WHERE (SELECT n FROM counted) > 1000 AND e.active AND e.listed
    ORDER BY k0 ASC, k1 ASC LIMIT 21)
  -- Then come the experts without a free time.
  UNION ALL
  (SELECT e.id, 1 AS section, timestamptz 'epoch' AS k0, e.id AS k1
     FROM expert e
    WHERE (SELECT n FROM counted) > 1000 AND e.active AND e.listed
      AND CASE WHEN coalesce((SELECT n.free_at FROM expert_next n
                               WHERE n.expert_id = e.id AND n.minutes = 0 AND n.free_at >= %(now)s),
                             timestamptz 'epoch') = 'epoch'
          THEN true ELSE false END
    ORDER BY k0 ASC, k1 ASC LIMIT 21)
  -- One more than the page holds, to know whether there is a next page.
  LIMIT 21 OFFSET 0
)
SELECT counted.n AS total, page.*,
       e.slug, e.name, e.category, e.experience_years, e.rating, e.rating_count, e.headline, e.languages, e.time_zone, e.photo
  FROM counted
  LEFT JOIN page ON true
  LEFT JOIN expert e ON e.id = page.id
 ORDER BY section ASC, k0 ASC, k1 ASC
