-- The views of one user.
SELECT user_id FROM hits WHERE user_id = 2290269758308446633;
