-- What scripts share. A script names the parts that it needs in a line `-- Uses` of its header. They are put
-- before it, in this order, so that a script pays for no function that it does not call.

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

---- dead
-- Adds a dead letter, and deletes the oldest ones: about those beyond `count`, and those older than `age` ms.
local function add_dead_letter(dead, fields, now, count, age)
  fields[#fields + 1] = '_dead_at'
  fields[#fields + 1] = whole(now)
  redis.call('XADD', dead, 'MAXLEN', '~', count, '*', unpack(fields))
  -- Its errors are ignored: the dead letter exists.
  redis.pcall('XTRIM', dead, 'MINID', '~', whole(math.max(now - age, 0)))
end

---- unreadable
-- Adds the dead letter of a waiting job that cannot be read. Returns false if Redis refuses it.
local function add_unreadable(dead, job_id, packed, now)
  local added = redis.pcall('XADD', dead, 'MAXLEN', '~', 100000, '*', '_job_id', job_id, '_reason', 'malformed',
    '_error', 'the waiting job with this id cannot be read', '_raw', packed, '_dead_at', whole(now))
  return type(added) ~= 'table' or not added.err
end

---- settled
-- Ends jobs: `done`, `dead` or `cancelled`. `leave` removes them from their place, `leave_stream` or
-- `leave_waiting`, with the arguments that follow. Every end of a job is here, after everything that must
-- exist by then: whatever is to be recorded of it belongs here.
local function settled(_outcome, leave, ...)
  leave(...)
end
