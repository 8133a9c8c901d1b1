-- Reads a page of the jobs that wait for their turn, and gives those a place in their line that have none.
--
-- KEYS[1]  jobs
-- KEYS[2]  order
-- KEYS[3]  order_waiting
-- KEYS[4]  rejected
-- ARGV[1]  the cursor, `0` at first
-- ARGV[2]  about how many jobs to read
-- Returns  {the next cursor, `0` at the end; the number of bytes that were read; the number of jobs that had no place}
-- Uses     clock, whole, waiting, trust, line, unreadable
--
-- A job that cannot be read is rejected with its bytes. One without an order key moves to the stream.
local page = redis.call('HSCAN', KEYS[3], ARGV[1], 'COUNT', ARGV[2])
local bytes, mended, has_probed = 0, 0, false
for i = 1, #page[2], 2 do
  local job_id, packed = page[2][i], page[2][i + 1]
  local fields, named = fields_of(packed), {}
  bytes = bytes + #packed
  for at = 1, #(fields or {}), 2 do
    named[fields[at]] = named[fields[at]] or fields[at + 1]
  end
  local place = named.order and place_of(named.order, job_id, named._place)
  if not place or not redis.call('ZSCORE', KEYS[2], place) then
    if not has_probed then
      -- It changes nothing. Redis allows it over maxmemory, and then allows the script's later writes too.
      redis.call('HDEL', KEYS[3], '')
      has_probed = true
    end
    if place then
      redis.call('ZADD', KEYS[2], 0, place)
    elseif fields then
      redis.call('XADD', KEYS[1], '*', unpack(fields))
      redis.call('HDEL', KEYS[3], job_id)
    elseif reject_unreadable(KEYS[4], job_id, packed, clock()) then
      redis.call('HDEL', KEYS[3], job_id)
    end
    mended = mended + 1
  end
end
return {page[1], bytes, mended}
