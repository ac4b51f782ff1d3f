-- Groups of about one row each, of all.
SELECT watch_id, client_ip, count(*) AS views, sum(is_refresh), avg(resolution_width)
FROM hits
GROUP BY watch_id, client_ip
ORDER BY views DESC, watch_id, client_ip
LIMIT 10;
