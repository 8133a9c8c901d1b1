-- Counts succeeded jobs of earlier calls that settled them and did not count them.
--
-- KEYS[1]  stats
-- ARGV[1]  how many
-- Returns  OK
-- Uses     count
count_jobs(KEYS[1], 0, ARGV[1])
return 'OK'
