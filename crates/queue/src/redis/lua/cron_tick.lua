-- Makes the jobs of ticks, unless another worker has made them, and sets the next tick.
--
-- KEYS[1]  jobs
-- KEYS[2]  cron
-- KEYS[3]  cron_due
-- KEYS[4]  the result of the definition's last job, to remove it; missing to keep it
-- ARGV[1]  name
-- ARGV[2]  the SHA-1 of the definition
-- ARGV[3]  the tick that was due, Unix ms, or empty for none
-- ARGV[4]  the id of the definition's last job, or empty
-- ARGV[5]  the next tick, Unix ms, or empty for none
-- ARGV[6]  how many ticks make no job, since they were missed
-- ARGV[7]  how many make none, since the last job has not ended
-- ARGV[8…] for each job: the number of arguments of its fields; the fields, name and value
-- Returns  {letter, ids…}: o done, and the ids of the jobs; c another worker was first, or somebody has changed the
--          definition
-- Uses     clock, whole
--
-- The jobs first: Redis refuses them over maxmemory, as every enqueue, and then the tick stays due. A missing right, or a
-- key of a wrong type, shows before. A definition without a next tick is looked at again after a day.
local name = ARGV[1]
local own = redis.call('HMGET', KEYS[2], 'd:' .. name, 'n:' .. name, 'j:' .. name, 'p:' .. name, 'made:' .. name,
  'missed:' .. name, 'skipped:' .. name)
if not own[1] or own[4] or redis.sha1hex(own[1]) ~= ARGV[2] or (own[2] or '') ~= ARGV[3] or (own[3] or '') ~= ARGV[4] then
  return {'c'}
end
redis.call('ZADD', KEYS[3], 'XX', 0, '')
redis.call('HSET', KEYS[2], 'j:' .. name, ARGV[4])
local reply, at = {'o'}, 8
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  reply[#reply + 1] = redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, last))
  at = last + 1
end
local function sum(known, more)
  return whole((tonumber(known or '') or 0) + more)
end
-- Without a next tick, it is empty.
redis.call('HSET', KEYS[2], 'n:' .. name, ARGV[5], 'j:' .. name, #reply > 1 and reply[#reply] or ARGV[4],
  'made:' .. name, sum(own[5], #reply - 1), 'missed:' .. name, sum(own[6], ARGV[6]), 'skipped:' .. name, sum(own[7], ARGV[7]))
redis.call('ZADD', KEYS[3], ARGV[5] ~= '' and ARGV[5] or whole(clock() + 86400000), name)
if KEYS[4] then
  redis.pcall('PEXPIRE', KEYS[4], 1)
end
return reply
