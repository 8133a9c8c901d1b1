-- Reads a page of the waiting jobs, and returns those that have no due time. Makes jobs due whose time can
-- never come.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled
-- KEYS[3]  mark
-- ARGV[1]  the cursor, `0` at first
-- ARGV[2]  about how many jobs to read
-- ARGV[3]  the number of bytes of each value at most
-- ARGV[4]  the mark that the caller uses
-- Returns  {the next cursor, `0` at the end; a list of {job id, its `flow` or '', its `url` or ''}; the number
--          of bytes that were read; the number of jobs that are due now; the mark of the shard}
-- Uses     clock, whole, waiting
--
-- HSCAN reads the jobs with their bodies: the caller asks for fewer jobs where they are large.
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local rows, bytes, most = {}, 0, tonumber(ARGV[3])
for i = 1, #page[2], 2 do
  local job_id, packed = page[2][i], page[2][i + 1]
  bytes = bytes + #packed
  if not redis.call('ZSCORE', KEYS[2], job_id) then
    local named, fields = {}, fields_of(packed) or {}
    for index = 1, #fields, 2 do
      named[fields[index]] = named[fields[index]] or string.sub(fields[index + 1], 1, most)
    end
    rows[#rows + 1] = {job_id, named.flow or '', named.url or ''}
  end
end
-- The scheduler counts a later time than this as none.
local never = redis.call('ZRANGEBYSCORE', KEYS[2], '(1e15', '+inf', 'LIMIT', 0, 100)
if #never > 0 then
  -- As it changes nothing, Redis allows it over maxmemory, and then allows the script's later writes too.
  redis.call('ZREM', KEYS[2], '')
  local now = whole(clock())
  for _, job_id in ipairs(never) do
    redis.call('ZADD', KEYS[2], now, job_id)
  end
end
-- Somebody may have deleted it. All workers must use the same.
local mark = redis.pcall('GET', KEYS[3])
if not mark then
  redis.pcall('SET', KEYS[3], ARGV[4], 'NX')
end
return {page[1], rows, bytes, #never, type(mark) == 'string' and mark or ARGV[4]}
