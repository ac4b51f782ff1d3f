-- Sizes of the windows in which one page was seen.
SELECT window_width, window_height, count(*) AS views
FROM hits
WHERE counter_id = 62
  AND event_date BETWEEN DATE '2013-07-02' AND DATE '2013-07-31'
  AND is_refresh = 0 AND dont_count = 0 AND url_hash = -4124009184842896413
GROUP BY window_width, window_height
ORDER BY views DESC, window_width, window_height
LIMIT 10 OFFSET 100;
