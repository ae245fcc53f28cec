-- What every script of this package begins with: whether it may run, and the session.
--
-- KEYS 1 session, a hash
--      2 record of this operation, a string; none for what may run twice
-- ARGV the seven that are named below, then the script's own
-- returns {status, the server's time in milliseconds} and, where the script says so, the session as HGETALL returns it,
--         but with integers for the times that the script wrote
--
-- Every script is one transition: no other program may write, and the session may not expire, between the look at the
-- session and the change. A change of an expired session would leave a hash of a few fields without a TTL.
local key, record = KEYS[1], KEYS[2]
local ttl       = ARGV[1]           -- in milliseconds
local lifetime  = ARGV[2]           -- in milliseconds, '0' for no limit
local touch     = ARGV[3]           -- the field that holds the last activity, '' for none
local notBefore = tonumber(ARGV[4]) -- the server's time in milliseconds before which this operation must not run
local notAfter  = tonumber(ARGV[5]) -- the server's time in milliseconds after which it must not run
local recordTTL = ARGV[6]           -- how long to keep its record, in milliseconds
local resent    = ARGV[7]           -- '1' in the copy that is sent after the reply to the first was lost
local own       = 8                 -- where the script's own arguments begin

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The status without which nothing is applied: the operation was done before, or this copy arrives outside its time. The
-- record of the copy that was done may be gone by then.
local before
if record and redis.call('EXISTS', record) == 1 then
  before = 'done'
elseif now < notBefore or now > notAfter then
  before = 'refused'
end

-- The session is read once. What a script writes is written here too.
local hash = redis.call('HGETALL', key)
local at = {}           -- where in hash the text of each field is
local deadline, touched -- the times in the fields _until and touch, nil for none

-- A time of at most 15 digits, which a Lua number holds exactly; nil for any other text.
local function millis(text)
  return text and #text <= 15 and string.find(text, '^%d+$') and tonumber(text) or nil
end

if not before then
  for i = 1, #hash, 2 do
    at[hash[i]] = i + 1
  end
  deadline, touched = millis(hash[at._until]), millis(hash[at[touch]])
  if deadline and deadline <= now then -- some program kept the session beyond its MaxLifetime
    redis.call('DEL', key)
    hash, at, deadline, touched = {}, {}, nil, nil
  end
end

-- Adds to fields, for HSET, the stamps of this activity, which never go backwards, and notes all of them in hash. It
-- returns how many of them the session did not have.
local function stamp(fields)
  if lifetime ~= '0' then deadline = deadline or now + lifetime end
  if deadline then
    fields[#fields+1], fields[#fields+2] = '_until', deadline
  end
  if touch ~= '' then
    fields[#fields+1], fields[#fields+2] = touch, math.max(touched or 0, now)
  end
  local added = 0
  for i = 1, #fields, 2 do
    local place = at[fields[i]]
    if not place then
      added, place = added + 1, #hash + 2
      hash[place-1], at[fields[i]] = fields[i], place
    end
    hash[place] = fields[i+1]
  end
  return added
end

-- Gives the session its TTL anew, but never beyond its MaxLifetime.
local function extend()
  redis.call('PEXPIRE', key, deadline and math.min(ttl, deadline - now) or ttl)
end

-- Writes fields and the stamps, removes others, and extends the session. A server that is out of memory refuses all of it.
local function write(fields, removed)
  stamp(fields)
  if fields[1] then redis.call('HSET', key, unpack(fields)) end
  if removed and removed[1] then
    redis.call('HDEL', key, unpack(removed))
    hash = redis.call('HGETALL', key)
  end
  extend()
end

-- Keeps a record of what was done. It is also kept of what a second copy was answered, since the first copy may still be
-- on its way. It returns status.
local function recorded(status)
  if record and not before and (status == 'done' or resent == '1') then
    redis.call('SET', record, '1', 'PX', recordTTL)
  end
  return status
end
