-- Schedules orphaned jobs for now: waiting jobs that are neither in the schedule nor in the set of a known
-- flow, since somebody changed the keys by hand.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled
-- KEYS[3]  flows
-- KEYS[4…] the sets of the flows that the caller knows
-- ARGV[1]  the number of waiting jobs to check at most, chosen at random
-- ARGV[2…] the flows that the caller knows
-- Returns  {a lower bound of the orphaned jobs, how many of them the script scheduled, the flows that hold
--          jobs}
-- Uses     clock, whole
--
-- Where the caller does not know all flows, the script changes nothing and returns 0 orphaned jobs. A
-- scheduled orphan reaches its flow again. KEYS[3] then lists the flow, so the flow's other jobs are found
-- too.
local orphans, known, flows = redis.call('HLEN', KEYS[1]) - redis.call('ZCARD', KEYS[2]), {}, {}
if orphans <= 0 then
  return {0, 0, {}}
end
for i = 2, #ARGV do
  known[ARGV[i]] = true
  orphans = orphans - redis.call('ZCARD', KEYS[i + 2])
end
local complete = true
for _, flow in ipairs(redis.call('ZRANGE', KEYS[3], 0, 999)) do
  if #flow == 16 and string.match(flow, '^[0-9a-f]+$') then
    flows[#flows + 1] = flow
    complete = complete and known[flow]
  end
end
if not complete or orphans <= 0 or redis.call('ZCARD', KEYS[3]) > 1000 then
  return {0, 0, flows}
end
local now = whole(clock())
-- It changes nothing. Redis allows it over maxmemory, and then allows the script's later writes too.
redis.call('HDEL', KEYS[1], '')
local found = 0
for _, job_id in ipairs(redis.call('HRANDFIELD', KEYS[1], ARGV[1])) do
  local is_known = redis.call('ZSCORE', KEYS[2], job_id)
  for i = 4, #KEYS do
    is_known = is_known or redis.call('ZSCORE', KEYS[i], job_id)
  end
  if not is_known then
    redis.call('ZADD', KEYS[2], now, job_id)
    found = found + 1
  end
end
return {orphans, found, flows}
