-- Counts the jobs of a queue at one instant. No content of a job leaves Redis.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled
-- KEYS[4]  dead
-- KEYS[5]  workers
-- KEYS[6]  flows
-- KEYS[7]  rejected
-- KEYS[8…] the sets of the flows that the caller knows
-- ARGV[1]  group
-- ARGV[2]  the number of scheduled job ids to check for a missing job, and of lost entries to count, at most
-- Returns  a JSON object; an empty list is written {}; `faults` lists the errors of counts that failed
-- Uses     clock
local counts = {now = clock(), faults = {}, consumers = {}, workers = {}}

local function call(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    counts.faults[#counts.faults + 1] = reply.err
    return nil
  end
  return reply
end

local function named(flat)
  local map = {}
  for i = 1, #flat, 2 do
    map[flat[i]] = flat[i + 1]
  end
  return map
end

-- Counts entries that were delivered and are pending for no consumer. No pending entry is read: only the gaps between
-- the first of them are. Lost entries are read with their bodies, so it stops after 1 MB of these.
local function count_lost(last, limit)
  local lost, bytes, after = 0, 0, '-'
  local function count_until(to)
    while lost < limit and bytes < 1048576 do
      local found = redis.pcall('XRANGE', KEYS[1], after == '-' and '-' or '(' .. after, to, 'COUNT', 1)
      -- A range after the greatest possible id is an error.
      if found.err or not found[1] then
        return
      end
      after, lost = found[1][1], lost + 1
      for _, part in ipairs(found[1][2]) do
        bytes = bytes + #part
      end
    end
  end
  local pending = call('XPENDING', KEYS[1], ARGV[1], '-', last, limit) or {}
  for _, row in ipairs(pending) do
    count_until('(' .. row[1])
    after = row[1]
  end
  if #pending < limit then
    count_until(last)
  end
  return lost
end

local function survey_stream()
  local stream = call('XINFO', 'STREAM', KEYS[1])
  if not stream then
    return
  end
  stream = named(stream)
  counts.entries, counts.last_id = stream.length, stream['last-generated-id']
  for _, group in ipairs(call('XINFO', 'GROUPS', KEYS[1]) or {}) do
    group = named(group)
    if group.name == ARGV[1] then
      counts.pending, counts.delivered_id = group.pending, group['last-delivered-id']
      if ARGV[2] ~= '0' then
        counts.lost = count_lost(counts.delivered_id, tonumber(ARGV[2]))
      end
      for _, consumer in ipairs(call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1]) or {}) do
        consumer = named(consumer)
        counts.consumers[#counts.consumers + 1] =
          {name = consumer.name, pending = consumer.pending, idle_ms = consumer.idle}
      end
    end
  end
  -- The range is an error after the greatest possible id: nothing can follow it.
  local from = counts.delivered_id and '(' .. counts.delivered_id or '-'
  local first = redis.pcall('XRANGE', KEYS[1], from, '+', 'COUNT', 1)
  counts.first_ready_id = not first.err and first[1] and first[1][1] or nil
end

if redis.call('EXISTS', KEYS[1]) == 1 then
  survey_stream()
end
counts.waiting = call('HLEN', KEYS[2])
counts.scheduled = call('ZCARD', KEYS[3])
counts.dead = call('XLEN', KEYS[4])
counts.rejected = call('XLEN', KEYS[7])
-- A caller that finds a flow here whose set it did not give calls again.
counts.flows, counts.held = call('ZRANGE', KEYS[6], 0, 999), {}
for i = 8, #KEYS do
  counts.held[i - 7] = call('ZCARD', KEYS[i])
end
local records = call('HGETALL', KEYS[5]) or {}
for i = 1, #records, 2 do
  counts.workers[#counts.workers + 1] = {name = records[i], record = records[i + 1]}
end
counts.without_job = 0
if ARGV[2] ~= '0' then
  for _, job_id in ipairs(call('ZRANGE', KEYS[3], 0, ARGV[2] - 1) or {}) do
    if call('HEXISTS', KEYS[2], job_id) == 0 then
      counts.without_job = counts.without_job + 1
    end
  end
end
return cjson.encode(counts)
