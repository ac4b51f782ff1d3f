-- Addresses and days of the views that one page led to.
SELECT url_hash, event_date, count(*) AS views
FROM hits
WHERE counter_id = 62
  AND event_date BETWEEN DATE '2013-07-02' AND DATE '2013-07-31'
  AND is_refresh = 0 AND traffic_source_id IN (-1, 6) AND referer_hash = -4602192135741010458
GROUP BY url_hash, event_date
ORDER BY views DESC, url_hash, event_date
LIMIT 10 OFFSET 100;
