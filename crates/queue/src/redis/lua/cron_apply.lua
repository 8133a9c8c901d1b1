-- Sets and removes definitions of periodic jobs: all of them, or none.
--
-- KEYS[1]  cron
-- KEYS[2]  cron_due
-- ARGV[1]  how many definitions a queue may have
-- ARGV[2]  how many bytes all of them may have
-- ARGV[3]  how many definitions are removed
-- ARGV[4…] the names of those
-- ARGV[…]  for each that is set: its name; the SHA-1 of the definition that it replaces, or empty for none; the
--          definition; its next tick, Unix ms, or empty to keep the tick that is next
-- Returns  {letter, number}: o done, and how many were removed; c another caller has changed a definition, and how many were;
--          f there would be too many, and how many; b they would have too many bytes, and how many
--
-- A definition that is paused stays paused. It is written last: until then no worker uses what belongs to it.
local first = 4 + tonumber(ARGV[3])
local sizes, changed = {}, 0
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 2) == 'd:' then
    sizes[string.sub(field, 3)] = #redis.call('HGET', KEYS[1], field)
  end
end
for i = first, #ARGV, 4 do
  local known = redis.call('HGET', KEYS[1], 'd:' .. ARGV[i])
  changed = changed + ((known and redis.sha1hex(known) or '') ~= ARGV[i + 1] and 1 or 0)
  sizes[ARGV[i]] = #ARGV[i + 2]
end
if changed > 0 then
  return {'c', changed}
end
for i = 4, first - 1 do
  sizes[ARGV[i]] = nil
end
local count, bytes = 0, 0
for _, size in pairs(sizes) do
  count, bytes = count + 1, bytes + size
end
if first <= #ARGV and (count > tonumber(ARGV[1]) or bytes > tonumber(ARGV[2])) then
  return count > tonumber(ARGV[1]) and {'f', count} or {'b', bytes}
end
-- A missing right, or a key of a wrong type, shows before anything is changed.
redis.call('ZADD', KEYS[2], 'XX', 0, '')
redis.call('ZREM', KEYS[2], '')
redis.call('HDEL', KEYS[1], '')
local function clear(name)
  for _, kind in ipairs({'n:', 'j:', 'p:', 'made:', 'skipped:', 'missed:'}) do
    redis.call('HDEL', KEYS[1], kind .. name)
  end
end
for i = first, #ARGV, 4 do
  local name, next = ARGV[i], ARGV[i + 3]
  if redis.call('HEXISTS', KEYS[1], 'd:' .. name) == 0 then
    clear(name)
  end
  if next == '' then
    next = redis.call('HGET', KEYS[1], 'n:' .. name) or ''
  end
  -- Also if a worker has found the old definition due: it no longer makes that tick.
  if next ~= '' and redis.call('HEXISTS', KEYS[1], 'p:' .. name) == 0 then
    redis.call('HSET', KEYS[1], 'n:' .. name, next)
    redis.call('ZADD', KEYS[2], next, name)
  end
  redis.call('HSET', KEYS[1], 'd:' .. name, ARGV[i + 2])
end
local removed = 0
for i = 4, first - 1 do
  removed = removed + redis.call('HDEL', KEYS[1], 'd:' .. ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  clear(ARGV[i])
end
return {'o', removed}
