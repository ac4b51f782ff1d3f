-- A sum, a count and a mean over all.
SELECT sum(adv_engine_id), count(*), avg(resolution_width) FROM hits;
