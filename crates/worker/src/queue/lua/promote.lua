-- Moves jobs that wait back to the stream: those of the schedule that are due, or the first of a flow.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled, or the set of a flow
-- KEYS[4]  dead
-- ARGV[1]  at most how many
-- ARGV[2]  `due`: those whose time has come. `first`: those that have waited longest
-- Returns  {how many were moved; when the next is due, Unix ms, or 0 for none; Redis' time, Unix ms; how many
--          jobs the stream holds}
--
-- A member without a job is dropped; a job that cannot be read is buried with its bytes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local due
if ARGV[2] == 'first' then
  due = redis.call('ZRANGE', KEYS[3], 0, ARGV[1] - 1)
else
  due = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
end
local moved = 0
if #due > 0 then
  -- Allowed over maxmemory, and a script that has written is not refused later.
  redis.call('ZREM', KEYS[3], '')
end
for _, ticket in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], ticket)
  if packed then
    local ok, fields = pcall(cmsgpack.unpack, packed)
    if ok and type(fields) == 'table' and #fields > 1 and #fields % 2 == 0 and #fields <= 1024 then
      redis.call('XADD', KEYS[1], '*', unpack(fields))
      moved = moved + 1
    else
      redis.call('XADD', KEYS[4], 'MAXLEN', '~', 100000, '*', '_ticket', ticket, '_reason', 'malformed',
        '_error', 'what waited under this ticket cannot be read', '_raw', packed,
        '_dead_at', string.format('%.0f', now))
    end
    redis.call('HDEL', KEYS[2], ticket)
  end
  redis.call('ZREM', KEYS[3], ticket)
end
local next = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
return {moved, next and tonumber(next) or 0, now, redis.call('XLEN', KEYS[1])}
