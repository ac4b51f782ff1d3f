-- How many views there are.
SELECT count(*) FROM hits;
