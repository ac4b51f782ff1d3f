-- Any ten users and phrases.
-- Which rows is open: only their number is compared.
SELECT user_id, search_phrase, count(*)
FROM hits
GROUP BY user_id, search_phrase
LIMIT 10;
