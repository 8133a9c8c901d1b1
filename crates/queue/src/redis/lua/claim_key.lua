-- Claims an idempotency key in a shard where it would have been by a former number of shards. A producer that still
-- uses that number then finds that the key has moved.
--
-- KEYS[1]  idempotency key
-- ARGV[1]  how long it is kept, ms
-- Returns  the id of the job that was enqueued under the key, or an empty text
local known = redis.call('GET', KEYS[1])
if known and known ~= '' and known ~= 'moved' then
  return known
end
redis.call('SET', KEYS[1], 'moved', 'PX', ARGV[1])
return ''
