-- All columns of the first views of addresses with a word.
SELECT *
FROM hits
WHERE url LIKE '%google%'
ORDER BY event_time, watch_id
LIMIT 10;
