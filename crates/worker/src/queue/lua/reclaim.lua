-- Takes over jobs whose worker has let its lease run out.
--
-- KEYS[1]  jobs
-- KEYS[2]  workers
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  the lease to measure a consumer against of which none is known, ms
-- ARGV[4]  at most how many
-- Returns  a list of {entry id, delivery count, fields}
--
-- Each entry is measured against the lease of the consumer that holds it; own entries are left alone.
local group, consumer, limit = ARGV[1], ARGV[2], tonumber(ARGV[4])
local leases, shortest = {}, tonumber(ARGV[3])
local records = redis.call('HGETALL', KEYS[2])
for i = 1, #records, 2 do
  local ok, record = pcall(cjson.decode, records[i + 1])
  local lease = ok and type(record) == 'table' and tonumber(record.lease_ms)
  if lease then
    leases[records[i]] = lease
    shortest = math.min(shortest, lease)
  end
end
local taken, start = {}, '-'
repeat
  local page = redis.call('XPENDING', KEYS[1], group, 'IDLE', string.format('%.0f', shortest), start, '+', 100)
  for _, row in ipairs(page) do
    local id, holder, idle = row[1], row[2], row[3]
    start = '(' .. id
    if holder ~= consumer and idle >= (leases[holder] or tonumber(ARGV[3])) then
      local entry = redis.call('XCLAIM', KEYS[1], group, consumer, 0, id)[1]
      if entry then
        taken[#taken + 1] = {id, row[4] + 1, entry[2]}
      else
        -- Deleted while it was pending; Redis 7 has taken it off the list already.
        redis.call('XACK', KEYS[1], group, id)
      end
    end
    if #taken >= limit then
      return taken
    end
  end
until #page < 100
return taken
