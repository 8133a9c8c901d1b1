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
-- Returns  {1 if suspects were skipped, else 0; a list of {entry id, delivery count, fields}; Redis' time,
--          Unix ms}
-- Uses     clock, whole
--
-- Redis measures idle time by its wall clock. After the clock has jumped ahead, all leases look expired: the
-- script takes nothing, and the caller waits for a lease, in which all live workers renew theirs. After the
-- clock was set back, entries delivered before are not idle until that time comes again: the script restarts
-- the leases of workers that were seen in the future. An entry is compared with the lease of the consumer
-- that holds it. That includes the caller: its heartbeat renews what is in flight, so an entry that is idle
-- for a whole lease was delivered in a reply that was lost. No worker has started that job, so taking it is
-- no further delivery. The script stops after 4 MB of entries, so that the reply arrives in time.
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
      if count > 2 and suspects == 0 then
        passed = 1
      else
        local entry = redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'RETRYCOUNT', count)[1]
        if entry then
          taken[#taken + 1] = {id, count, entry[2]}
          for _, part in ipairs(entry[2]) do
            bytes = bytes + #part
          end
          suspects = suspects - (count > 2 and 1 or 0)
        else
          -- Deleted while it was pending. Redis 7 has removed it from the list already.
          redis.call('XACK', KEYS[1], group, id)
        end
      end
    end
    if #taken >= limit or bytes > 4194304 then
      return {passed, taken, now}
    end
  end
until #page < 100
return {passed, taken, now}
