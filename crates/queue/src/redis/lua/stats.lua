-- Counts the jobs of a shard, for the one worker that reports the queue stats for all.
--
-- KEYS[1]  jobs
-- KEYS[2]  waiting
-- KEYS[3]  scheduled
-- KEYS[4]  dead
-- KEYS[5]  workers
-- KEYS[6]  sizes
-- KEYS[7]  order_waiting
-- KEYS[8]  order_stopped
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  1 to count only if this worker is the one, else 0
-- Returns  an empty list if it is not; else {Redis' time, Unix ms; the numbers of jobs that are ready,
--          running, scheduled, held, dead; the id of the first ready job, or the time of its enqueue as an
--          id if a producer chose a time in the future, or an empty text; the numbers of dead letters and of rejected entries that were deleted before their age;
--          the number of dead letters that stop their lines}
-- Uses     clock
--
-- The worker with the smallest name reports, among those that are alive and measure. The script writes
-- nothing: it works where Redis refuses writes, and leaves nothing behind. For a moment, two workers may
-- report when one starts or stops.
local now = clock()
if ARGV[3] == '1' then
  local records = redis.pcall('HGETALL', KEYS[5])
  for i = 1, #records, 2 do
    local ok, record = pcall(cjson.decode, records[i + 1])
    if records[i] < ARGV[2] and ok and type(record) == 'table' and record.measures == true then
      local seen, lease = tonumber(record.seen), tonumber(record.lease_ms)
      if seen and lease and now - seen <= lease then
        return {}
      end
    end
  end
end

local function number(reply)
  return type(reply) == 'number' and reply or 0
end

local entries, pending, delivered = number(redis.pcall('XLEN', KEYS[1])), 0, nil
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
for _, group in ipairs(groups.err and {} or groups) do
  local named = {}
  for i = 1, #group, 2 do
    named[group[i]] = group[i + 1]
  end
  if named.name == ARGV[1] then
    pending, delivered = named.pending, named['last-delivered-id']
  end
end
-- Redis still counts entries as pending that were deleted while they were pending.
local ready, first = math.max(entries - pending, 0), ''
if ready > 0 then
  local reply = redis.pcall('XRANGE', KEYS[1], delivered and '(' .. delivered or '-', '+', 'COUNT', 1)
  local entry = not reply.err and reply[1]
  first = entry and entry[1] or ''
  local fields = entry and tonumber(string.match(first, '^%d+')) > now + 60000 and entry[2] or {}
  for i = 1, #fields, 2 do
    if fields[i] == '_enqueued_at' and string.find(fields[i + 1], '^%d+$') then
      first = fields[i + 1] .. '-0'
    end
  end
end
local scheduled = number(redis.pcall('ZCARD', KEYS[3]))
local held = math.max(number(redis.pcall('HLEN', KEYS[2])) - scheduled, 0)
  + (KEYS[7] and number(redis.pcall('HLEN', KEYS[7])) or 0)
local deleted = redis.pcall('HMGET', KEYS[6], 'dead_deleted', 'rejected_deleted')
return {now, ready, pending, scheduled, held, number(redis.pcall('XLEN', KEYS[4])), first,
  tonumber(deleted[1] or '') or 0, tonumber(deleted[2] or '') or 0, number(redis.pcall('HLEN', KEYS[8]))}
