-- Hosts, cut out by a pattern, with the longest referring addresses.
SELECT regexp_replace(referer, '^https?://(?:www\.)?([^/]+)/.*$', '\1') AS host, avg(length(referer)) AS mean, count(*) AS views, min(referer)
FROM hits
WHERE referer <> ''
GROUP BY regexp_replace(referer, '^https?://(?:www\.)?([^/]+)/.*$', '\1')
HAVING count(*) > {MANY}
ORDER BY mean DESC, host
LIMIT 25;
