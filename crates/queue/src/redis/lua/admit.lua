-- Moves the first jobs that a flow held back to the stream, and says when to look after the rest.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  the set of the flow
-- KEYS[4]  dead
-- KEYS[5]  flows
-- ARGV[1]  the flow, as the last part of KEYS[3] names it
-- ARGV[2]  at most how many; none is a number too
-- ARGV[3]  `_admitted`: what the jobs carry, so that they need not ask again
-- ARGV[4]  after how long the flow is looked after again, ms
-- ARGV[5]  jobs that were enqueued before this time go besides, at most 100, and carry `old`: they may be too
--          old to wait any longer. Unix ms, or 0 for none
-- Returns  {how many were moved, how many the flow still holds, Redis' time, Unix ms}
--
-- No more are moved once those that were hold 4 MB, so that Redis is not held up.
-- A member without a job is dropped; a job that cannot be read is buried with its bytes, or where that is refused
-- goes behind the others.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
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

-- They change nothing and are allowed over maxmemory, after which no further write of the script is refused for
-- it; and a right that is missing shows before a job stands in two places.
redis.call('ZREM', KEYS[3], '')
redis.call('HDEL', KEYS[2], '')

local bytes = 0
local function move(tickets, mark)
  local moved = 0
  for _, ticket in ipairs(tickets) do
    if bytes > 4194304 then
      break
    end
    local packed = redis.call('HGET', KEYS[2], ticket)
    local ok, fields = pcall(cmsgpack.unpack, packed or '')
    local stays = false
    if packed and ok and is_readable(fields) then
      fields[#fields + 1] = '_admitted'
      fields[#fields + 1] = mark
      redis.call('XADD', KEYS[1], '*', unpack(fields))
      moved, bytes = moved + 1, bytes + #packed
    elseif packed then
      local buried = redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', 100000, '*', '_ticket', ticket,
        '_reason', 'malformed', '_error', 'what waited under this ticket cannot be read', '_raw', packed,
        '_dead_at', string.format('%.0f', now))
      stays = type(buried) == 'table' and buried.err
    end
    if stays then
      redis.call('ZADD', KEYS[3], string.format('%.0f', now), ticket)
    else
      redis.call('HDEL', KEYS[2], ticket)
      redis.call('ZREM', KEYS[3], ticket)
    end
  end
  return moved
end

local moved = 0
if ARGV[5] ~= '0' then
  moved = move(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[5], 'LIMIT', 0, 100), 'old')
end
if ARGV[2] ~= '0' then
  moved = moved + move(redis.call('ZRANGE', KEYS[3], 0, ARGV[2] - 1), ARGV[3])
end
local left = redis.call('ZCARD', KEYS[3])
-- The jobs are moved: what is wrong with this key keeps their number from nobody.
if left == 0 then
  redis.pcall('ZREM', KEYS[5], ARGV[1])
else
  redis.pcall('ZADD', KEYS[5], string.format('%.0f', now + ARGV[4]), ARGV[1])
end
return {moved, left, now}
