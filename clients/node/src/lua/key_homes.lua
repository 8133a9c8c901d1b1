-- Redis' time, Unix ms.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Reads where an idempotency key may be: by the present number of shards, and by former ones while keys from then may
-- live.
--
-- KEYS[1]  meta
-- ARGV[1]  how long the caller keeps its key, ms
-- Returns  a list: how often the number of shards has changed; and numbers of shards, the present one first
-- Uses     clock
--
-- Producers use one lifetime for all keys, as a rule. 30 days cover most changes of it.
local found = redis.call('HMGET', KEYS[1], 'shards', 'homes', 'changes')
local homes, now = {tonumber(found[3] or '0'), tonumber(found[1] or '1')}, clock()
for shards, ended in string.gmatch(found[2] or '', '(%d+):(%d+)') do
  if now < ended + math.max(tonumber(ARGV[1]), 2592000000) then
    homes[#homes + 1] = tonumber(shards)
  end
end
return homes
