-- Claims idempotency keys in a shard where they would have been by a former number of shards. A producer that still
-- uses that number then finds that the keys have moved.
--
-- KEYS     idempotency keys
-- ARGV[1]  how often the number of shards has changed, as the caller knows it
-- ARGV[2…] how long each is kept, ms
-- Returns  for each, the id of the job that was enqueued under the key, or an empty text
local job_ids, changes = {}, tonumber(ARGV[1])
for index, key in ipairs(KEYS) do
  local known = redis.call('GET', key) or ''
  local moved = string.match(known, '^moved (%d+)$')
  if known ~= '' and not moved then
    job_ids[index] = known
  else
    -- The latest change counts: a producer that knows only earlier ones must not enqueue here.
    redis.call('SET', key, 'moved ' .. math.max(changes, tonumber(moved or '0')), 'PX', ARGV[index + 1])
    job_ids[index] = ''
  end
end
return job_ids
