-- Renews a worker's leases, and records its heartbeat.
--
-- KEYS[1]  jobs
-- KEYS[2]  workers
-- ARGV[1]  group
-- ARGV[2]  consumer
-- ARGV[3]  the worker's record, a JSON object to which the script adds `seen`
-- ARGV[4]  an upper bound of the entries that the consumer holds
-- ARGV[5…] entry id, delivery count; in ascending order of id; at most 1000 pairs
-- Returns  {Redis' time in Unix ms; a text with a letter for each pair: o extended, l lost}
-- Uses     clock
local now = clock()
local letters, mine = {}, {}
if #ARGV > 4 then
  local held = {}
  for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[5], ARGV[#ARGV - 1], ARGV[4], ARGV[2])) do
    held[row[1]] = row[4]
  end
  for i = 5, #ARGV, 2 do
    if held[ARGV[i]] == tonumber(ARGV[i + 1]) then
      letters[#letters + 1] = 'o'
      mine[#mine + 1] = ARGV[i]
    else
      letters[#letters + 1] = 'l'
    end
  end
  if #mine > 0 then
    mine[#mine + 1] = 'JUSTID'
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(mine))
  end
end
if #mine == 0 then
  -- It changes nothing. Redis allows it over maxmemory, and then allows the heartbeat too. Without the
  -- heartbeat, the other workers would not know this worker's lease.
  redis.pcall('XACK', KEYS[1], ARGV[1], '0-0')
end
-- The leases matter more than the heartbeat.
local record = cjson.decode(ARGV[3])
record.seen = now
redis.pcall('HSET', KEYS[2], ARGV[2], cjson.encode(record))
return {now, table.concat(letters)}
