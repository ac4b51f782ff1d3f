-- How many addresses have a word.
SELECT count(*) FROM hits WHERE url LIKE '%google%';
