-- Enqueues jobs without idempotency keys: all of them, or none where Redis refuses. A producer may send the next call of a series
-- before it has the answer to this one: no job is enqueued behind one that Redis has refused.
--
-- KEYS[1]  jobs
-- KEYS[2]  series; missing for a call without others
-- ARGV[1]  how many calls of the series are before this one
-- ARGV[2]  how long Redis remembers how many calls of the series it has enqueued, ms
-- ARGV[3…] for each job: the number of arguments of its fields; the fields, name and value
-- Returns  the job ids; or an error BEHIND if the call before this one is not known to have enqueued its jobs
--
-- Redis refuses it over maxmemory, as every enqueue.
local series = KEYS[2]
if series and ARGV[1] ~= '0' and redis.call('GET', series) ~= ARGV[1] then
  return redis.error_reply('BEHIND the call before this one is not known to have enqueued its jobs')
end
-- Refuse before the first write what Redis or Lua's stack would refuse in the middle.
local at = 3
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  if count < 2 or count % 2 == 1 or count > 4096 then
    return redis.error_reply('ERR a job has no fields, or too many')
  end
  at = at + count + 1
end
if series then
  -- Changes nothing: a missing right shows before the first job is enqueued.
  redis.call('SET', series, ARGV[1], 'PX', ARGV[2])
end
local ids = {}
at = 3
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  ids[#ids + 1] = redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, last))
  at = last + 1
end
if series then
  redis.call('SET', series, ARGV[1] + 1, 'PX', ARGV[2])
end
return ids
