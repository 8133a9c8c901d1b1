-- Reads waiting jobs with their values truncated.
--
-- KEYS[1]  waiting
-- KEYS[2]  scheduled, or the set of a flow: the order, and the scores that are returned
-- ARGV[1]  `due`: in the order of KEYS[2]; `scan`: as HSCAN finds them; `job_id`: the one job of an id
-- ARGV[2]  the number of jobs to skip; the cursor, `0` at first; the job id
-- ARGV[3]  the number of jobs at most, roughly so for `scan`
-- ARGV[4]  the number of bytes of each value at most
-- Returns  {the next cursor, `0` at the end; a list of {job id, score or '', fields}}
--
-- The fields are empty for a job id without a job, or with a job that cannot be read.
local job_ids, cursor, most = {}, '0', tonumber(ARGV[4])
if ARGV[1] == 'due' then
  job_ids = redis.call('ZRANGE', KEYS[2], ARGV[2], ARGV[2] + ARGV[3] - 1)
elseif ARGV[1] == 'scan' then
  local page = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
  cursor = page[1]
  for i = 1, #page[2], 2 do
    job_ids[#job_ids + 1] = page[2][i]
  end
elseif redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then
  job_ids = {ARGV[2]}
end
local rows = {}
for _, job_id in ipairs(job_ids) do
  local packed = redis.call('HGET', KEYS[1], job_id)
  local ok, fields = pcall(cmsgpack.unpack, packed or '')
  if not ok or type(fields) ~= 'table' or #fields % 2 ~= 0 then
    fields = {}
  end
  local shown = {}
  for i = 1, #fields, 2 do
    if fields[i] ~= '_mark' then
      shown[#shown + 1] = tostring(fields[i])
      shown[#shown + 1] = string.sub(tostring(fields[i + 1]), 1, most)
    end
  end
  rows[#rows + 1] = {job_id, redis.call('ZSCORE', KEYS[2], job_id) or '', shown}
end
return {cursor, rows}
