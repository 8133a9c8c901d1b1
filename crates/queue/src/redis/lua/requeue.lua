-- Makes orphaned jobs due: waiting jobs that neither the schedule nor the set of their flow contains. Lists
-- flows again that hold jobs and that nobody checks.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled
-- KEYS[3]  flows
-- KEYS[4…] sets of flows
-- ARGV     for each job, its id, and the number of its flow's set, from 1, or 0 if it names no flow
-- Returns  {the number of jobs that are due now; the number of flows that are listed again}
-- Uses     clock, whole
--
-- A job that is due reaches its flow again.
local due, listed, now = 0, 0, whole(clock())
-- As it changes nothing, Redis allows it over maxmemory, and then allows the script's later writes too.
redis.call('HDEL', KEYS[1], '')
for i = 1, #ARGV, 2 do
  local job_id, set = ARGV[i], KEYS[3 + ARGV[i + 1]]
  local waits = redis.call('HEXISTS', KEYS[1], job_id) == 1 and not redis.call('ZSCORE', KEYS[2], job_id)
  if waits and ARGV[i + 1] ~= '0' and redis.call('ZSCORE', set, job_id) then
    -- The last part of the set's key names the flow.
    listed = listed + redis.call('ZADD', KEYS[3], 'NX', now, string.match(set, '[^:]+$'))
  elseif waits then
    redis.call('ZADD', KEYS[2], now, job_id)
    due = due + 1
  end
end
return {due, listed}
