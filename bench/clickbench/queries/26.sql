-- The first search phrases by their letters.
SELECT search_phrase
FROM hits
WHERE search_phrase <> ''
ORDER BY search_phrase
LIMIT 10;
