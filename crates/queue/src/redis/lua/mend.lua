-- Finds jobs that wait and stand neither in the schedule nor in the set of a flow that is looked after, since
-- somebody meddled with the keys: they are due now.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled
-- KEYS[3]  flows
-- KEYS[4…] the sets of the flows that the caller knows
-- ARGV[1]  at most how many jobs are looked at, any
-- ARGV[2…] the flows that the caller knows
-- Returns  {how many jobs are astray at least, how many of them are due now, the flows that hold jobs back}
--
-- Where the caller does not know all flows, nothing is done and 0 are astray. A job of a flow that is not looked
-- after comes to its flow again, which then is, and so the others of the flow are found, too.
local astray, known, flows = redis.call('HLEN', KEYS[1]) - redis.call('ZCARD', KEYS[2]), {}, {}
if astray <= 0 then
  return {0, 0, {}}
end
for i = 2, #ARGV do
  known[ARGV[i]] = true
  astray = astray - redis.call('ZCARD', KEYS[i + 2])
end
local complete = true
for _, flow in ipairs(redis.call('ZRANGE', KEYS[3], 0, 999)) do
  if #flow == 16 and string.match(flow, '^[0-9a-f]+$') then
    flows[#flows + 1] = flow
    complete = complete and known[flow]
  end
end
if not complete or astray <= 0 or redis.call('ZCARD', KEYS[3]) > 1000 then
  return {0, 0, flows}
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
-- It changes nothing and is allowed over maxmemory, after which no further write of the script is refused for it.
redis.call('HDEL', KEYS[1], '')
local found = 0
for _, ticket in ipairs(redis.call('HRANDFIELD', KEYS[1], ARGV[1])) do
  local stands = redis.call('ZSCORE', KEYS[2], ticket)
  for i = 4, #KEYS do
    stands = stands or redis.call('ZSCORE', KEYS[i], ticket)
  end
  if not stands then
    redis.call('ZADD', KEYS[2], now, ticket)
    found = found + 1
  end
end
return {astray, found, flows}
