-- Searches waiting jobs for texts in their fields. Nothing of a job leaves Redis but its id.
--
-- KEYS[1]  waiting
-- ARGV[1]  the cursor, `0` at first
-- ARGV[2]  about how many jobs to read
-- ARGV[3…] pairs of a field's name and a text in lower case
-- Returns  {the next cursor, `0` at the end; the number of jobs read; the ids of the jobs found}
-- Uses     waiting, find
local page, is_found, found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2]), finder(3), {}
for i = 1, #page[2], 2 do
  local fields = fields_of(page[2][i + 1])
  if fields and (is_found(fields)) then
    found[#found + 1] = page[2][i]
  end
end
return {page[1], #page[2] / 2, found}
