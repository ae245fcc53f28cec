-- What every script of this package begins with: whether it may run, whether there is a session, and how that one is
-- kept.
--
-- KEYS 1 session, a hash
--      2 record of this operation, a string; none for what may run twice
-- ARGV the seven that are named below, then the script's own
-- returns {status, the server's time in milliseconds} and, where the script says so, what HGETALL returns
--
-- Every script is one transition: no other program may write, and the session may not expire, between the look at the
-- session and the change. A change of an expired session would leave a hash of a few fields without a TTL.
local key, record = KEYS[1], KEYS[2]
local ttl       = tonumber(ARGV[1]) -- in milliseconds
local lifetime  = tonumber(ARGV[2]) -- in milliseconds, 0 for no limit
local touch     = ARGV[3]           -- the field that holds the last activity, '' for none
local notBefore = tonumber(ARGV[4]) -- the server's time in milliseconds before which this operation must not run
local notAfter  = tonumber(ARGV[5]) -- the server's time in milliseconds after which it must not run
local recordTTL = ARGV[6]           -- how long to keep its record, in milliseconds
local resent    = ARGV[7]           -- '1' in the copy that is sent after the reply to the first was lost
local own       = 8                 -- where the script's own arguments begin

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline, touched

-- Calls apply unless this operation was done before. A copy that arrives outside its time is refused, because the record
-- of the copy that was done may be gone by then. A record is kept of what was done. It is also kept of what a second copy
-- was answered, since the first copy may still be on its way.
local function once(apply)
  if record and redis.call('EXISTS', record) == 1 then return 'done' end
  if now < notBefore or now > notAfter then return 'refused' end
  local status = apply()
  if record and (status == 'done' or resent == '1') then
    redis.call('SET', record, '1', 'PX', recordTTL)
  end
  return status
end

-- A time of at most 15 digits, which a Lua number holds exactly; nil for any other text.
local function millis(text)
  return text and #text <= 15 and string.find(text, '^%d+$') and tonumber(text) or nil
end

-- Whether there is a session. One that some program kept beyond its MaxLifetime is removed.
local function alive()
  local held = redis.call('HMGET', key, '_until', touch)
  deadline, touched = millis(held[1]), millis(held[2])
  if deadline and deadline <= now then
    redis.call('DEL', key)
    deadline, touched = nil, nil
  end
  return redis.call('EXISTS', key) == 1
end

-- Gives the session its TTL anew, but never beyond its MaxLifetime, and stamps its activity, never backwards. The TTL
-- comes first: a server that is out of memory still grants it, and then the rest. If a server stood still meanwhile, even
-- the new TTL may be over, and the server removes the session (up to Redis 7.0): nothing more must be written then.
local function slide()
  if lifetime > 0 then deadline = deadline or now + lifetime end
  redis.call('PEXPIRE', key, deadline and math.min(ttl, deadline - now) or ttl)
  if redis.call('EXISTS', key) == 0 then return end
  if deadline then redis.call('HSET', key, '_until', deadline) end
  if touch ~= '' then redis.call('HSET', key, touch, math.max(touched or 0, now)) end
end
