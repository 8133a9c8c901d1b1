-- What scripts share. A script names the parts that it needs in a line `-- Uses` of its header. They are put
-- before it, in the order in which it names them, so that a script pays for no function that it does not call.

---- clock
-- Redis' time, Unix ms.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

---- whole
-- A whole number as Redis reads it. Lua writes a large one with an exponent.
local function whole(number)
  return string.format('%.0f', number)
end

---- oldest
-- The id of the oldest entry between two ids; nil without one. XREVRANGE looks at every entry of the stream where none is at or
-- before the id that it begins with.
local function oldest(stream, from, to)
  local entry = redis.call('XRANGE', stream, from, to, 'COUNT', 1)[1]
  return entry and entry[1]
end

---- fence
-- Why a consumer may not settle a delivery of an entry: l it has another delivery by now, g it is not pending;
-- or nil if it may.
local function refused(stream, group, consumer, id, count)
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  if not row then
    return 'g'
  end
  if row[2] ~= consumer or row[4] ~= tonumber(count) then
    return 'l'
  end
end

---- probe
-- Changes nothing. Redis allows both over maxmemory, and then allows the script's later writes too. A missing
-- right shows before anything is moved.
local function probe_stream(stream, group)
  redis.call('XACK', stream, group, '0-0')
  redis.call('XDEL', stream, '0-0')
end

---- stream
-- Removes entries from the stream. It deletes before it acknowledges: a recreated group would deliver an
-- acknowledged entry that still exists.
local function leave_stream(stream, group, ...)
  redis.call('XDEL', stream, ...)
  redis.call('XACK', stream, group, ...)
end

---- waiting
-- As `probe_stream`, for a waiting job. `set` is the schedule, or the set of a flow.
local function probe_waiting(waiting, set)
  redis.call('HDEL', waiting, '')
  redis.call('ZREM', set, '')
end

-- Removes a waiting job.
local function leave_waiting(waiting, set, job_id)
  redis.call('HDEL', waiting, job_id)
  redis.call('ZREM', set, job_id)
end

-- The fields of a waiting job; nil if no script can have written them.
local function fields_of(packed)
  local ok, fields = pcall(cmsgpack.unpack, packed)
  if not ok or type(fields) ~= 'table' or #fields < 2 or #fields % 2 == 1 or #fields > 1100 then
    return nil
  end
  for _, part in ipairs(fields) do
    if type(part) ~= 'string' then
      return nil
    end
  end
  return fields
end

---- trust
-- The fields of an entry, without the mark and, if one of our scripts did not write the entry, without those that begin
-- with `_`: a producer may write any. Also returns whether one did.
local function trusted(fields, mark)
  local named = {}
  for i = 1, #fields, 2 do
    named[fields[i]] = named[fields[i]] or fields[i + 1]
  end
  -- A replay gets its job id only from Redis.
  local job_id = named._job_id or named._replay_of
  local is_ours = mark and mark ~= '' and job_id and named._mark == redis.sha1hex(mark .. job_id) or false
  local kept = {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 1) ~= '_' or is_ours and fields[i] ~= '_mark' then
      kept[#kept + 1] = fields[i]
      kept[#kept + 1] = fields[i + 1]
    end
  end
  return kept, is_ours
end

---- line
-- The line of an order key: its jobs in the order in which they were enqueued. The sorted set `order` has the places of all lines, with
-- the same score, so that they are sorted by their bytes. A place begins with the line, 16 hex digits of the SHA-1 of the
-- key. Then the two numbers of an id, each after a letter for its length: the id with which the job was enqueued, or the
-- one whose place a replay has taken. If that is not the job's id, the job's id follows after a blank.
--
-- The first place of a line has the turn. The set also has, as a text that begins with `!`, the last entry that was looked at.
local function place_of(key, job_id, position)
  local millis, sequence = string.match(position or job_id, '^(%d+)%-(%d+)')
  local numbers, id = '@', ''
  if millis and #millis <= 20 and #sequence <= 20 then
    numbers = string.char(64 + #millis) .. millis .. string.char(64 + #sequence) .. sequence
    id = millis .. '-' .. sequence
  end
  return string.sub(redis.sha1hex(key), 1, 16) .. numbers .. (id == job_id and '' or ' ' .. job_id)
end

-- The id of the job that has a place.
local function job_in(place)
  local millis, sequence = string.match(place, '^%u(%d+)%u(%d+)$', 17)
  return millis and millis .. '-' .. sequence or string.match(place, ' (.*)$') or ''
end

-- The place of an entry, and its fields without the mark; nil if its job has no valid order key.
local function place_of_entry(id, fields, mark)
  local key, has_own = nil, false
  for i = 1, #fields, 2 do
    key = key or fields[i] == 'order' and fields[i + 1] or nil
    has_own = has_own or string.sub(fields[i], 1, 1) == '_'
  end
  if not key or #key < 1 or #key > 256 then
    return nil
  end
  local named, kept = {}, fields
  if has_own then
    kept = trusted(fields, mark)
    for i = 1, #kept, 2 do
      named[kept[i]] = named[kept[i]] or kept[i + 1]
    end
  end
  return place_of(key, named._job_id or id, named._place), kept
end

-- The first place of the line of this place.
local function first_in_line(order, place)
  local line = string.sub(place, 1, 16)
  return redis.call('ZRANGEBYLEX', order, '[' .. line, '(' .. line .. '~', 'LIMIT', 0, 1)[1]
end

-- Moves the first job of the line of this place to the stream, if it waits for its turn. Returns its place.
local function call_first(jobs, order, order_waiting, place)
  for _ = 1, 100 do
    local first = first_in_line(order, place)
    local packed = first and redis.call('HGET', order_waiting, job_in(first))
    if not packed then
      return nil
    end
    local fields = fields_of(packed)
    if fields then
      redis.call('XADD', jobs, '*', unpack(fields))
      redis.call('HDEL', order_waiting, job_in(first))
      return first
    end
    -- It must not stop its line. The sweeper rejects it.
    redis.call('ZREM', order, first)
  end
end

-- Ends the places of jobs that have ended, and lets the next jobs of their lines have their turns. No error here may be one of the
-- script, since the jobs are settled: what is left undone, the sweeper does.
local function leave_lines(jobs, order, order_waiting, places)
  pcall(function()
    if #places == 0 then
      return
    end
    redis.call('ZREM', order, unpack(places))
    -- Nearly always, no job of the shard waits for its turn.
    local waiting = redis.call('HLEN', order_waiting)
    for i = 1, waiting > 0 and #places or 0 do
      call_first(jobs, order, order_waiting, places[i])
    end
  end)
end

---- again
-- The fields of a job that gets another entry, with its job id, the time of its enqueue and the mark. `fields` are those of the entry
-- `id`, of which only what is trusted is left.
local function fields_again(id, fields, job_id, mark, now)
  local again, enqueued_at = {}, nil
  local replaced = {_job_id = true, _enqueued_at = true, _admitted = true, _line_since = true}
  for i = 1, #fields, 2 do
    if fields[i] == '_enqueued_at' then
      enqueued_at = fields[i + 1]
    elseif not replaced[fields[i]] then
      again[#again + 1] = fields[i]
      again[#again + 1] = fields[i + 1]
    end
  end
  if not enqueued_at then
    -- The entry's id contains the time of the enqueue, unless a producer chose the id.
    local at = tonumber(string.match(id, '^%d+'))
    enqueued_at = whole((at > now or at < now - 86400000) and now or at)
  end
  for _, text in ipairs({'_job_id', job_id, '_enqueued_at', enqueued_at, '_line_since', whole(now), '_mark',
    redis.sha1hex(mark .. job_id)}) do
    again[#again + 1] = text
  end
  return again
end

---- letter
-- The fields of an entry that its dead letter has: the producer's, and those of the worker's that outlive it. Returns
-- nil if they are more than a script can carry.
local function letter_of(id, fields)
  if #fields > 1024 then
    return nil
  end
  local kept = {_enqueued_at = true, _attempt = true, _traceparent = true, _history = true, _replay_of = true, _callback_of = true,
    _place = true}
  local letter, enqueued_at = {}, string.match(id, '^%d+')
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if string.sub(name, 1, 1) ~= '_' or kept[name] then
      letter[#letter + 1] = name
      letter[#letter + 1] = value
      enqueued_at = name ~= '_enqueued_at' and enqueued_at or nil
    end
  end
  if enqueued_at then
    letter[#letter + 1] = '_enqueued_at'
    letter[#letter + 1] = enqueued_at
  end
  return letter
end

---- callback
-- Enqueues the callback of a job that ends. It is called when the rest of the script can fail no more. `text` is a JSON list of
-- the callback's fields, name and value, beginning with `_job_id`; nil for none. `mark` is that of the shard, or nil if the
-- fields contain theirs.
local function call_back(jobs, text, mark)
  if not text then
    return
  end
  local fields = cjson.decode(text)
  if mark then
    fields[#fields + 1] = '_mark'
    fields[#fields + 1] = redis.sha1hex(mark .. fields[2])
  end
  redis.call('XADD', jobs, '*', unpack(fields))
end

---- dead
-- Stores the result of a job, enqueues its callback, and adds an entry to the dead letters or to the rejected entries. The
-- result first: if Redis refuses it, a repeated call must not add another dead letter. Then deletes the oldest entries, at most 100 in
-- a call: those beyond `count`, those beyond `bytes` in all, and those that are older than `age` ms.
--
-- KEYS[key…] are the stream, `sizes` and the result. ARGV[arg…] are `count`, `bytes`, `age`, how long the result is
-- kept, or 0 for no result, and the result. `callback` is nil, or a list of what `call_back` gets.
--
-- `new_letter.id` is then the entry's id.
--
-- `sizes` has the number and the bytes of the entries as of the last call, and how many were deleted before their
-- age. Others may have deleted some since: the average counts. The entry exists by then, so errors are ignored.
local new_letter = {}
local function add_dead(key, arg, fields, now, callback)
  local stream, sizes, result = unpack(KEYS, key, key + 2)
  local count, bytes, age, ttl, text = unpack(ARGV, arg, arg + 4)
  if ttl ~= '0' then
    redis.call('SET', result, text, 'PX', ttl)
  end
  if callback then
    -- It changes nothing. What prevents the dead letter shows before: a repeated call must not enqueue another callback.
    redis.call('XDEL', stream, '0-0')
    call_back(unpack(callback))
  end
  fields[#fields + 1] = '_dead_at'
  fields[#fields + 1] = whole(now)
  new_letter.id = redis.call('XADD', stream, '*', unpack(fields))
  -- Whole blocks of old entries at once.
  redis.pcall('XTRIM', stream, 'MINID', '~', whole(math.max(now - age, 0)))
  local size, kind = 0, string.match(stream, '[^:]+$')
  for _, part in ipairs(fields) do
    size = size + #part
  end
  local known, entries = redis.pcall('HMGET', sizes, kind, kind .. '_bytes'), redis.pcall('XLEN', stream)
  if type(entries) ~= 'number' then
    return
  end
  local before = tonumber(known[1] or '') or 0
  local average = before > 0 and (tonumber(known[2] or '') or 0) / before or size
  local held, early = average * (entries - 1) + size, 0
  for _ = 1, 100 do
    local oldest = redis.pcall('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    local is_old = oldest and tonumber(string.match(oldest[1], '^%d+')) < now - age
    local is_over = entries > 1 and (entries > tonumber(count) or held > tonumber(bytes))
    if not oldest or not (is_old or is_over) or redis.pcall('XDEL', stream, oldest[1]) ~= 1 then
      break
    end
    entries, early = entries - 1, early + (is_old and 0 or 1)
    for _, part in ipairs(oldest[2]) do
      held = held - #part
    end
  end
  redis.pcall('HSET', sizes, kind, entries, kind .. '_bytes', whole(math.max(held, 0)))
  if early > 0 then
    redis.pcall('HINCRBY', sizes, kind .. '_deleted', early)
  end
end

---- unreadable
-- The record of a waiting job that cannot be read, for the log.
local function unreadable_record(job_id)
  return cjson.encode({job_id, 0, 'malformed'}) .. '\n'
end

-- Rejects a waiting job that cannot be read. Returns false if Redis refuses it.
local function reject_unreadable(rejected, job_id, packed, now)
  local added = redis.pcall('XADD', rejected, 'MAXLEN', '~', 10000, '*', '_job_id', job_id, '_reason', 'malformed',
    '_error', 'the waiting job with this id cannot be read', '_raw', packed, '_dead_at', whole(now))
  return type(added) ~= 'table' or not added.err
end

---- log
-- Writes records of jobs that have ended to the delivery log, in one entry. `log` is a list: the keys of the log and of
-- `sizes`, how long a record is kept, ms, how many jobs and how many bytes are kept at most, and the records, a line
-- each. Returns why Redis refuses it, or nil. Nothing here may be an error: the jobs are settled.
--
-- An entry has the sums of all jobs and bytes up to it, so that two entries show how much is between them, also if
-- somebody deletes others. `sizes` has the last sums, and those of an entry that was once the oldest: while the difference is
-- within the bounds, the log is, and no entry is read. Else the oldest are deleted, at most 20 in a call. Old entries
-- are deleted in whole blocks of about 100, and without new records the whole log expires.
local function write_log(log, count)
  local key, sizes, age, jobs_max, bytes_max, records = unpack(log)
  local function number(text)
    return tonumber(string.match(text or '', '^%d+$') or '')
  end
  local function sums(command, from, to)
    local found, named = redis.pcall(command, key, from, to, 'COUNT', 1), {}
    local entry = found[1]
    for i = 1, entry and #entry[2] or 0, 2 do
      named[entry[2][i]] = entry[2][i + 1]
    end
    return number(named.jobs) or 0, number(named.bytes) or 0, entry and entry[1]
  end
  -- `log`, or `tail` for what is recorded only while somebody follows it.
  local name = string.match(key, '[^:]+$')
  local known = redis.pcall('HMGET', sizes, name, name .. '_bytes', name .. '_first', name .. '_first_bytes')
  local jobs, bytes = number(known[1]), number(known[2])
  if not jobs or not bytes then
    jobs, bytes = sums('XREVRANGE', '+', '-')
  end
  jobs, bytes = jobs + count, bytes + #records
  local added = redis.pcall('XADD', key, 'MINID', '~', whole(math.max(clock() - age, 0)), 'LIMIT', 1000, '*',
    'records', records, 'jobs', whole(jobs), 'bytes', whole(bytes))
  if type(added) == 'table' then
    return added.err
  end
  redis.pcall('PEXPIRE', key, age)
  redis.pcall('HSET', sizes, name, whole(jobs), name .. '_bytes', whole(bytes))
  local function is_within(first, first_bytes)
    local kept, kept_bytes = jobs - first, bytes - first_bytes
    return kept >= 0 and kept < tonumber(jobs_max) and kept_bytes >= 0 and kept_bytes < tonumber(bytes_max)
  end
  local first, first_bytes = number(known[3]), number(known[4])
  if first and first_bytes and is_within(first, first_bytes) then
    return nil
  end
  for _ = 1, 20 do
    local oldest
    first, first_bytes, oldest = sums('XRANGE', '-', '+')
    if oldest == added or is_within(first, first_bytes) or redis.pcall('XDEL', key, oldest) ~= 1 then
      break
    end
  end
  redis.pcall('HSET', sizes, name .. '_first', whole(first), name .. '_first_bytes', whole(first_bytes))
end

---- find
-- What the fields that a page of a search has read may cost: 2 to 4 ms of Redis. A byte costs 1, and a field 256.
local PAGE_COST = 1500000

-- Returns a function of fields that finds out whether one of them contains a text, upper and lower case alike. From the argument
-- `first` on, ARGV has pairs of a field's name and a text in lower case. The function returns also what reading the fields has cost.
-- The caller judges what is found, so a URL that may be another spelling of what is sought is found, too.
local function finder(first)
  local texts = {}
  for i = first, #ARGV, 2 do
    texts[ARGV[i]] = texts[ARGV[i]] or {}
    table.insert(texts[ARGV[i]], ARGV[i + 1])
  end
  local function has(name, value)
    local lower = string.lower(value)
    for _, text in ipairs(texts[name]) do
      if string.find(lower, text, 1, true) then
        return true
      end
    end
    return name == 'url' and string.find(value, '[%c%%\128-\255]') ~= nil
  end
  return function(fields)
    local found, cost = false, 128 * #fields
    for i = 1, #fields, 2 do
      local name, value = fields[i], fields[i + 1]
      cost = cost + #value
      found = found or texts[name] and has(name, value)
    end
    return found, cost
  end
end

---- control
-- A field of the hash `control` begins with its end, Unix ms, or 0 for none, and the time at which it was set. Returns
-- both; false if it has ended, nil if it has another form.
local function lasting(value, now)
  local ends, since = string.match(value or '', '^(%d+) ?(%d*)')
  ends = tonumber(ends or '')
  if ends and ends > 0 and ends <= now then
    return false
  end
  return ends, tonumber(since or '') or 0
end

-- The fields of the hash `control` that have not ended, each with its end. Removes the others.
local function read_control(key, now)
  local flat, lasts, ended = redis.call('HGETALL', key), {}, {}
  for i = 1, #flat, 2 do
    local ends = lasting(flat[i + 1], now)
    if ends then
      lasts[#lasts + 1] = flat[i]
      lasts[#lasts + 1] = whole(ends)
    elseif ends == false and #ended < 1000 then
      ended[#ended + 1] = flat[i]
    end
  end
  if #ended > 0 then
    -- A server that refuses writes must not hide what is set.
    redis.pcall('HDEL', key, unpack(ended))
  end
  return lasts
end

---- count
-- Counts jobs by minute and by hour: 0 succeeded, 1 retry, 2 dead, 3 cancelled. `stats` is a string of 32-bit numbers, four for
-- each slot: the minute of the last count; then a ring of a day of minutes, then one of 14 days of hours, with a number for each
-- outcome. The first count of a minute clears what the rings still have from a day, or 14 days, before. If the clock was set
-- back, it clears what was counted after the new time. No error here may be one of the script: the jobs are settled.
local function count_jobs(stats, outcome, count)
  local time = redis.pcall('TIME')
  if time.err then
    return
  end
  local minute = math.floor(time[1] / 60)
  local hour = math.floor(minute / 60)
  local in_minute = 128 * (1 + minute % 1440) + 32 * outcome
  local in_hour = 128 * (1441 + hour % 336) + 32 * outcome
  local counted = redis.pcall('BITFIELD', stats, 'INCRBY', 'u32', in_minute, count, 'INCRBY', 'u32', in_hour, count,
    'GET', 'u32', 0)
  local last = counted[3]
  if counted.err or last == minute then
    return
  end
  -- The slots after `from` up to `to` of the ring that begins at `base`.
  local function clear(base, slots, from, to)
    local left = math.min(to - from, slots)
    local slot = (to - left + 1) % slots
    while left > 0 do
      local length = math.min(left, slots - slot)
      redis.pcall('SETRANGE', stats, 16 * (base + slot), string.rep('\0', 16 * length))
      left, slot = left - length, 0
    end
  end
  local last_hour = math.floor(last / 60)
  clear(1, 1440, math.min(last, minute), math.max(last, minute))
  clear(1441, 336, math.min(last_hour, hour), math.max(last_hour, hour))
  if minute > last then
    redis.pcall('BITFIELD', stats, 'SET', 'u32', in_minute, count)
  end
  if hour > last_hour then
    redis.pcall('BITFIELD', stats, 'SET', 'u32', in_hour, count)
  end
  redis.pcall('BITFIELD', stats, 'SET', 'u32', 0, minute)
  redis.pcall('PEXPIRE', stats, 1296000000)
end

---- settled
-- Ends jobs. `outcome` and `stats` are those of `count_jobs`, or nil if the caller counts the jobs. `leave` removes them from
-- `place`, by `leave_stream` or `leave_waiting`, with the arguments that follow; it may return how many jobs these were. Every end of a
-- job is here, after everything that must exist by then: whatever is to be recorded of it belongs here.
--
-- Counts the jobs. `log` is nil, or what `write_log` gets with the records of `count` jobs. Returns why Redis refuses these, or nil.
local function settled(outcome, stats, log, count, leave, place, ...)
  -- Changes nothing, since the place exists. Redis refuses it over maxmemory, where the log must not grow; after the
  -- first write of a script, it allows everything.
  local refused = log and redis.pcall('SET', place, '', 'NX')
  count = leave(place, ...) or count
  if outcome then
    count_jobs(stats, outcome, count)
  end
  if log and count > 0 then
    return refused and refused.err or write_log(log, count)
  end
end
