-- Regions with most views, and four figures of each.
SELECT region_id, sum(adv_engine_id), count(*) AS views, avg(resolution_width), count(DISTINCT user_id)
FROM hits
GROUP BY region_id
ORDER BY views DESC, region_id
LIMIT 10;
