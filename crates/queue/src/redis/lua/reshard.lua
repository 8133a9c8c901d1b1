-- Sets a queue's number of shards. Workers also read the former shards until these are empty.
--
-- KEYS[1]  meta
-- ARGV[1]  the new number, 1 to 64
-- Returns  {the number of shards; the number that are read}
-- Uses     clock, whole
--
-- `homes` has up to eight former numbers, each with the time at which it ended: idempotency keys are also in the
-- shards that these select. `changes` is how often the number has changed: producers that know an earlier one enqueue no key
-- that others have claimed since.
local now = tonumber(redis.call('HGET', KEYS[1], 'shards') or '1')
local before = tonumber(redis.call('HGET', KEYS[1], 'shards_before') or '1')
local read = math.max(now, before, tonumber(ARGV[1]))
local changes, homes = tonumber(redis.call('HGET', KEYS[1], 'changes') or '0'), {}
if now ~= tonumber(ARGV[1]) then
  changes, homes[1] = changes + 1, now .. ':' .. whole(clock())
  for shards, ended in string.gmatch(redis.call('HGET', KEYS[1], 'homes') or '', '(%d+):(%d+)') do
    if tonumber(shards) ~= now and #homes < 8 then
      homes[#homes + 1] = shards .. ':' .. ended
    end
  end
  redis.call('HSET', KEYS[1], 'homes', table.concat(homes, ' '))
end
redis.call('HSET', KEYS[1], 'shards_before', read, 'shards', ARGV[1], 'changes', changes)
return {tonumber(ARGV[1]), read}
