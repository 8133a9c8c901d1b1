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
local function is_readable(fields)
  if type(fields) ~= 'table' or #fields < 2 or #fields % 2 == 1 or #fields > 1100 then
    return false
  end
  for _, part in ipairs(fields) do
    if type(part) ~= 'string' then
      return false
    end
  end
  return true
end

local moved = 0
if #due > 0 then
  -- All change nothing and are allowed over maxmemory, after which no further write of the script is refused
  -- for it; and a right that is missing shows before a job stands in two places.
  redis.call('ZREM', KEYS[3], '')
  redis.call('HDEL', KEYS[2], '')
end
for _, ticket in ipairs(due) do
  local packed = redis.call('HGET', KEYS[2], ticket)
  local ok, fields = true, nil
  if packed then
    ok, fields = pcall(cmsgpack.unpack, packed)
  end
  if not packed then
    redis.call('ZREM', KEYS[3], ticket)
  elseif ok and is_readable(fields) then
    redis.call('XADD', KEYS[1], '*', unpack(fields))
    redis.call('HDEL', KEYS[2], ticket)
    redis.call('ZREM', KEYS[3], ticket)
    moved = moved + 1
  else
    local buried = redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', 100000, '*', '_ticket', ticket,
      '_reason', 'malformed', '_error', 'what waited under this ticket cannot be read', '_raw', packed,
      '_dead_at', string.format('%.0f', now))
    if type(buried) == 'table' and buried.err then
      -- It must not stand in front of the others: it is tried again in a minute.
      redis.call('ZADD', KEYS[3], string.format('%.0f', now + 60000), ticket)
    else
      redis.call('HDEL', KEYS[2], ticket)
      redis.call('ZREM', KEYS[3], ticket)
    end
  end
end
local next = tonumber(redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2] or '0')
-- A member that somebody put at the end of all time is due at none.
if next ~= next or next < 0 or next > 1e15 then
  next = 0
end
return {moved, next, now, redis.call('XLEN', KEYS[1])}
