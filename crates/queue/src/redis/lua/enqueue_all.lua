-- Enqueues many jobs: all of them, or none where Redis refuses.
--
-- KEYS[1]  jobs
-- ARGV     for each job, the number of arguments of its fields, then the fields, name and value
-- Returns  the job ids, in order
--
-- Redis refuses it over maxmemory, as every enqueue.
local at = 1
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  -- Refuse before the first XADD what XADD or Lua's stack would refuse in the middle.
  if count < 2 or count % 2 == 1 or count > 4096 then
    return redis.error_reply('ERR a job has no fields, or too many')
  end
  at = at + count + 1
end
local job_ids = {}
at = 1
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  job_ids[#job_ids + 1] = redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, last))
  at = last + 1
end
return job_ids
