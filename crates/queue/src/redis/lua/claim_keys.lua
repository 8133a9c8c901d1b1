-- Claims idempotency keys in a shard where they would have been by a former number of shards. A producer that still
-- uses that number then finds that the keys have moved.
--
-- KEYS     idempotency keys
-- ARGV     how long each is kept, ms
-- Returns  for each, the id of the job that was enqueued under the key, or an empty text
local job_ids = {}
for index, key in ipairs(KEYS) do
  local known = redis.call('GET', key)
  if known and known ~= '' and known ~= 'moved' then
    job_ids[index] = known
  else
    redis.call('SET', key, 'moved', 'PX', ARGV[index])
    job_ids[index] = ''
  end
end
return job_ids
