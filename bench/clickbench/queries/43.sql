-- Views of one site by the minute.
SELECT date_trunc('minute', event_time) AS minute, count(*) AS views
FROM hits
WHERE counter_id = 62
  AND event_date BETWEEN DATE '2013-07-14' AND DATE '2013-07-15'
  AND is_refresh = 0 AND dont_count = 0
GROUP BY date_trunc('minute', event_time)
ORDER BY minute
LIMIT 10 OFFSET 1000;
