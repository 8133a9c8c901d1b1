-- Returns the definitions whose tick is due, and lets no other worker look at them for a while.
--
-- KEYS[1]  cron
-- KEYS[2]  cron_due
-- ARGV[1]  for how long, ms
-- ARGV[2]  how many at most
-- ARGV[3]  1 to look for definitions without a time that are not paused either, else 0
-- Returns  {Redis' time, Unix ms; when the next tick is due, Unix ms, or 0 for none; a list of each name, its
--          definition, its tick, Unix ms, or empty for none, and the id of its last job, or empty}
-- Uses     clock, whole
--
-- A worker that dies then delays the tick by that time.
local now = clock()
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', whole(now), 'LIMIT', 0, ARGV[2])
if ARGV[3] == '1' then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local name = string.match(field, '^d:(.*)')
    if name and #due < tonumber(ARGV[2]) and not redis.call('ZSCORE', KEYS[2], name)
      and redis.call('HEXISTS', KEYS[1], 'p:' .. name) == 0 then
      due[#due + 1] = name
    end
  end
end
local found = {}
for _, name in ipairs(due) do
  local own = redis.call('HMGET', KEYS[1], 'd:' .. name, 'n:' .. name, 'j:' .. name)
  if own[1] then
    redis.call('ZADD', KEYS[2], whole(now + ARGV[1]), name)
    for _, part in ipairs({name, own[1], own[2] or '', own[3] or ''}) do
      found[#found + 1] = part
    end
  else
    redis.call('ZREM', KEYS[2], name)
  end
end
local next = tonumber(redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or '0')
-- A score that is no usable time is never due.
if next ~= next or next < 0 or next > 1e15 then
  next = 0
end
return {now, next, found}
