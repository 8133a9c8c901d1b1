-- Counts the jobs of a queue at one instant. No content of a job leaves Redis.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled
-- KEYS[4]  dead
-- KEYS[5]  workers
-- KEYS[6]  flows
-- KEYS[7…] the sets of the flows that the caller knows
-- ARGV[1]  group
-- ARGV[2]  the number of scheduled job ids to check for a missing job
-- Returns  a JSON object; an empty list is written {}; `faults` lists the errors of counts that failed
local time = redis.call('TIME')
local told = {now = time[1] * 1000 + math.floor(time[2] / 1000), faults = {}, consumers = {}, workers = {}}

local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    told.faults[#told.faults + 1] = reply.err
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

local function survey_stream()
  local stream = ask('XINFO', 'STREAM', KEYS[1])
  if not stream then
    return
  end
  stream = named(stream)
  told.entries, told.last_id = stream.length, stream['last-generated-id']
  for _, group in ipairs(ask('XINFO', 'GROUPS', KEYS[1]) or {}) do
    group = named(group)
    if group.name == ARGV[1] then
      told.pending, told.delivered_id = group.pending, group['last-delivered-id']
      for _, consumer in ipairs(ask('XINFO', 'CONSUMERS', KEYS[1], ARGV[1]) or {}) do
        consumer = named(consumer)
        told.consumers[#told.consumers + 1] =
          {name = consumer.name, pending = consumer.pending, idle_ms = consumer.idle}
      end
    end
  end
  -- The range is an error after the greatest possible id: nothing can follow it.
  local from = told.delivered_id and '(' .. told.delivered_id or '-'
  local first = redis.pcall('XRANGE', KEYS[1], from, '+', 'COUNT', 1)
  told.first_ready_id = not first.err and first[1] and first[1][1] or nil
end

if redis.call('EXISTS', KEYS[1]) == 1 then
  survey_stream()
end
told.waiting = ask('HLEN', KEYS[2])
told.scheduled = ask('ZCARD', KEYS[3])
told.dead = ask('XLEN', KEYS[4])
-- A caller that finds a flow here whose set it did not give calls again.
told.flows, told.held = ask('ZRANGE', KEYS[6], 0, 999), {}
for i = 7, #KEYS do
  told.held[i - 6] = ask('ZCARD', KEYS[i])
end
local records = ask('HGETALL', KEYS[5]) or {}
for i = 1, #records, 2 do
  told.workers[#told.workers + 1] = {name = records[i], record = records[i + 1]}
end
told.without_job = 0
if ARGV[2] ~= '0' then
  for _, job_id in ipairs(ask('ZRANGE', KEYS[3], 0, ARGV[2] - 1) or {}) do
    if ask('HEXISTS', KEYS[2], job_id) == 0 then
      told.without_job = told.without_job + 1
    end
  end
end
return cjson.encode(told)
