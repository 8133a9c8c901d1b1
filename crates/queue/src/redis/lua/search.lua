-- Searches the entries of a stream for texts in their fields. Nothing of an entry leaves Redis but its id.
--
-- KEYS[1]  the stream
-- ARGV[1]  `first`: ascending; `last`: descending
-- ARGV[2]  the id behind which to begin, or '' for the first, or the last
-- ARGV[3]  how many entries to read at most
-- ARGV[4…] pairs of a field's name and a text in lower case
-- Returns  {the id behind which to go on, or '' at the end; the number of entries read; the ids of the entries found}
-- Uses     find, oldest
--
-- Reads up to 32 entries at once, fewer where they are large, until they cost more than a page may.
local is_last, behind, most = ARGV[1] == 'last', ARGV[2], tonumber(ARGV[3])
local is_found, read, cost, found, count = finder(4), 0, 0, {}, 4
local final = is_last and oldest(KEYS[1], '-', behind == '' and '+' or '(' .. behind)
if is_last and not final then
  return {'', read, found}
end
while read < most and cost < PAGE_COST do
  local from = behind == '' and (is_last and '+' or '-') or '(' .. behind
  count = math.min(count, most - read)
  local page
  if is_last then
    page = redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', count)
  else
    page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', count)
  end
  for _, entry in ipairs(page) do
    local is_one, own_cost = is_found(entry[2])
    cost = cost + own_cost
    if is_one then
      found[#found + 1] = entry[1]
    end
  end
  read = read + #page
  if #page < count or page[#page][1] == final then
    return {'', read, found}
  end
  behind = page[#page][1]
  count = math.max(1, math.min(32, math.floor(65536 * read / math.max(cost, 1))))
end
return {behind, read, found}
