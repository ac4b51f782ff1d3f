-- Sites with the longest addresses.
SELECT counter_id, avg(length(url)) AS mean, count(*) AS views
FROM hits
WHERE url <> ''
GROUP BY counter_id
HAVING count(*) > {MANY}
ORDER BY mean DESC, counter_id
LIMIT 25;
