-- The commonest titles of one site in a month.
SELECT title, count(*) AS views
FROM hits
WHERE counter_id = 62
  AND event_date BETWEEN DATE '2013-07-02' AND DATE '2013-07-31'
  AND dont_count = 0 AND is_refresh = 0 AND title <> ''
GROUP BY title
ORDER BY views DESC, title
LIMIT 10;
