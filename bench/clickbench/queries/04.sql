-- The mean of a number as large as an id.
SELECT avg(user_id) FROM hits;
