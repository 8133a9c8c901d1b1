-- Takes over jobs whose lease has expired, and removes workers that are long dead.
--
-- KEYS[1]  jobs
-- KEYS[2]  workers
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  the lease of a consumer that has not reported its own, ms
-- ARGV[4]  the number of jobs to take over at most
-- ARGV[5]  the number of suspects among them at most: jobs that are delivered for the third time or more
-- ARGV[6]  1 if a delivery to the caller itself counts too, else 0
-- ARGV[7]  Redis' time as the caller expects it, Unix ms
-- ARGV[8]  the tolerance of ARGV[7], ms
-- ARGV[9]  the number of bytes of a job's own fields at most
-- ARGV[10] the number of deliveries of a job at most
-- Returns  {1 if suspects were skipped, else 0; a list of {entry id, delivery count, fields, 0, or the bytes of
--          the job's own fields if only the small ones are returned}; Redis' time, Unix ms}
-- Uses     clock, whole
--
-- Redis measures idle time by its wall clock. After the clock has jumped ahead, all leases look expired: the
-- script takes nothing, and the caller waits for a lease, in which all live workers renew theirs. After the
-- clock was set back, entries delivered before are not idle until that time comes again: the script restarts
-- the leases of workers that were seen in the future. An entry is compared with the lease of the consumer
-- that holds it. That includes the caller: its heartbeat renews what is in flight, so an entry that is idle
-- for a whole lease was delivered in a reply that was lost. No worker has started that job, so taking it is
-- no further delivery. The script stops after 4 MB of entries, so that the reply arrives in time.
--
-- An entry that is too large or was delivered too often may have killed its workers: it is returned without its
-- large fields, and is not a suspect, since the caller only dead-letters it.
local group, consumer, limit, suspects = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local now = clock()
if math.abs(now - ARGV[7]) > tonumber(ARGV[8]) then
  return {0, {}, now}
end
-- It changes nothing. Redis allows it over maxmemory, and then allows the script's later writes too.
redis.call('XACK', KEYS[1], group, '0-0')

-- Restarts the leases of a consumer, and updates its record.
local function restart_leases(holder, record)
  local from = '-'
  repeat
    local page = redis.call('XPENDING', KEYS[1], group, from, '+', 100, holder)
    for _, row in ipairs(page) do
      from = '(' .. row[1]
      redis.call('XCLAIM', KEYS[1], group, holder, 0, row[1], 'JUSTID')
    end
  until #page < 100
  record.seen = now
  redis.pcall('HSET', KEYS[2], holder, cjson.encode(record))
end

-- The bytes of the producer's fields, and of all.
local function sizes_of(fields)
  local own, all = 0, 0
  for i = 1, #fields, 2 do
    local size = #fields[i] + #fields[i + 1]
    own = own + (string.sub(fields[i], 1, 1) == '_' and 0 or size)
    all = all + size
  end
  return own, all
end

-- The fields up to 128 KiB, without the body and without any of more than 64 KiB: what names the job. The field
-- `on_failure` comes first.
local function small_fields(fields)
  local kept, left = {}, 131072
  local function keep(is_first)
    for i = 1, #fields, 2 do
      local size = #fields[i] + #fields[i + 1]
      if (fields[i] == 'on_failure') == is_first and fields[i] ~= 'body' and size <= math.min(left, 65536) then
        kept[#kept + 1] = fields[i]
        kept[#kept + 1] = fields[i + 1]
        left = left - size
      end
    end
  end
  keep(true)
  keep(false)
  return kept
end

local leases, shortest = {}, tonumber(ARGV[3])
-- A key of a wrong type counts as if no worker had reported its lease.
local records = redis.pcall('HGETALL', KEYS[2])
for i = 1, #records, 2 do
  local ok, record = pcall(cjson.decode, records[i + 1])
  local lease = ok and type(record) == 'table' and tonumber(record.lease_ms)
  if lease then
    leases[records[i]] = lease
    shortest = math.min(shortest, lease)
    local seen = tonumber(record.seen) or now
    if seen > now + lease then
      restart_leases(records[i], record)
    elseif records[i] ~= consumer and now - seen > 10 * lease
      and #redis.call('XPENDING', KEYS[1], group, '-', '+', 1, records[i]) == 0 then
      -- An error here must not prevent the takeover of jobs.
      local gone = redis.pcall('XGROUP', 'DELCONSUMER', KEYS[1], group, records[i])
      if type(gone) ~= 'table' then
        redis.pcall('HDEL', KEYS[2], records[i])
      end
    end
  end
end
local taken, passed, bytes, start = {}, 0, 0, '-'
repeat
  local page = redis.call('XPENDING', KEYS[1], group, 'IDLE', whole(shortest), start, '+', 100)
  for _, row in ipairs(page) do
    local id, holder, idle, count = row[1], row[2], row[3], row[4]
    start = '(' .. id
    if holder ~= consumer or ARGV[6] == '1' then
      count = count + 1
    end
    if idle >= (leases[holder] or tonumber(ARGV[3])) then
      local is_poison = count > tonumber(ARGV[10])
      local is_passed = count > 2 and suspects == 0 and not is_poison
      local entry = not is_passed and redis.call('XRANGE', KEYS[1], id, id)[1]
      if is_passed then
        passed = 1
      elseif not entry then
        -- Deleted while it was pending.
        redis.call('XACK', KEYS[1], group, id)
      else
        local own, all = sizes_of(entry[2])
        local is_judged = is_poison or own > tonumber(ARGV[9])
        redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
        taken[#taken + 1] = {id, count, is_judged and small_fields(entry[2]) or entry[2], is_judged and math.max(own, 1) or 0}
        suspects = suspects - (count > 2 and not is_judged and 1 or 0)
        bytes = bytes + all
      end
    end
    if #taken >= limit or bytes > 4194304 then
      return {passed, taken, now}
    end
  end
until #page < 100
return {passed, taken, now}
