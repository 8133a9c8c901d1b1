-- Enqueues many jobs, each once for its idempotency key: all of them, or none where Redis refuses.
--
-- KEYS[1]  jobs
-- KEYS[2…] the idempotency keys of the jobs that have one, in order
-- ARGV     for each job: how long its key is kept, ms, or 0 for no key; how often the number of shards had changed when the
--          caller claimed the key in all other shards where it may be; the number of arguments of its fields; the fields,
--          name and value
-- Returns  for each job, letter and text: o enqueued, and its job id; k the key is known, and the first job's id; m the
--          number of shards has changed since, and the key belongs elsewhere
--
-- Redis refuses it over maxmemory, as every enqueue.
local results, first = {}, nil
local at, key = 1, 1
-- Refuse before the first write what Redis or Lua's stack would refuse in the middle.
while at <= #ARGV do
  local ttl, count = ARGV[at], tonumber(ARGV[at + 2])
  if count < 2 or count % 2 == 1 or count > 4096 then
    return redis.error_reply('ERR a job has no fields, or too many')
  end
  if ttl ~= '0' then
    key = key + 1
    local known = redis.call('GET', KEYS[key]) or ''
    local moved = string.match(known, '^moved (%d+)$')
    if moved and tonumber(moved) > tonumber(ARGV[at + 1]) then
      results[KEYS[key]] = {'m', ''}
    elseif known ~= '' and not moved then
      results[KEYS[key]] = {'k', known}
    else
      -- Those who claimed it earlier have ended, or find the key claimed where they are.
      first = first or {KEYS[key], ttl}
    end
  end
  at = at + count + 3
end
if first then
  -- No job id yet, which counts as no key: a missing right shows before the first job is enqueued.
  redis.call('SET', first[1], '', 'PX', first[2])
end
local reply = {}
at, key = 1, 1
while at <= #ARGV do
  local ttl, last = ARGV[at], at + tonumber(ARGV[at + 2]) + 2
  local result
  if ttl ~= '0' then
    key = key + 1
    result = results[KEYS[key]]
  end
  if not result then
    result = {'o', redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 3, last))}
    if ttl ~= '0' then
      redis.call('SET', KEYS[key], result[2], 'PX', ttl)
      -- The same key again, in this call.
      results[KEYS[key]] = {'k', result[2]}
    end
  end
  reply[#reply + 1] = result[1]
  reply[#reply + 1] = result[2]
  at = last + 1
end
return reply
