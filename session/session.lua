-- What every script of this package begins with: whether it may act, whether there is a session, and how that lives on.
--
-- KEYS 1 session, a hash
--      2 record of this operation, a string; none for what may run twice
-- ARGV 1 TTL in milliseconds
--      2 MaxLifetime in milliseconds, or '0' for none
--      3 field that holds the last activity, or '' for none
--      4 the server's time in milliseconds before which this operation must not run
--      5 the server's time in milliseconds after which it must not run
--      6 how long to keep its record, in milliseconds
--      7 '1' in the copy that is sent after the reply to the first was lost
--      8 and so on: the script's own
-- returns {status, the server's time in milliseconds} and, where the script says so, what HGETALL returns
--
-- Every script is one transition: between the look at the session and the change nobody may write, nor the session
-- expire. A change that came back from the dead would be a hash with a few fields and no TTL.
local key, record = KEYS[1], KEYS[2]
local ttl, lifetime, touch = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline, touched

-- Runs apply unless this operation has been done. A copy that comes outside its time is refused, because the record of
-- the copy that was done may be gone by then. The record is kept of what was done, and of what a second copy was
-- answered: the first may still be on its way.
local function once(apply)
  if record and redis.call('EXISTS', record) == 1 then return 'done' end
  if now < tonumber(ARGV[4]) or now > tonumber(ARGV[5]) then return 'refused' end
  local status = apply()
  if record and (status == 'done' or ARGV[7] == '1') then
    redis.call('SET', record, '1', 'PX', ARGV[6])
  end
  return status
end

-- A time of at most 15 digits, which a Lua number holds exactly; nil for any other text.
local function millis(text)
  return text and #text <= 15 and string.find(text, '^%d+$') and tonumber(text) or nil
end

-- Whether there is a session. One that somebody kept beyond its MaxLifetime is removed.
local function alive()
  local held = redis.call('HMGET', key, '_until', touch)
  deadline, touched = millis(held[1]), millis(held[2])
  if deadline and deadline <= now then
    redis.call('DEL', key)
    deadline, touched = nil, nil
  end
  return redis.call('EXISTS', key) == 1
end

-- Gives the session its TTL anew, but never beyond its MaxLifetime, and notes its activity, never backwards. The TTL
-- comes first: a server that is out of memory still grants it, and then the rest. A server that stood still meanwhile
-- may find even the new TTL over, and removes the session (up to Redis 7.0): nothing more must be written then.
local function slide()
  if lifetime > 0 then deadline = deadline or now + lifetime end
  redis.call('PEXPIRE', key, deadline and math.min(ttl, deadline - now) or ttl)
  if redis.call('EXISTS', key) == 0 then return end
  if deadline then redis.call('HSET', key, '_until', deadline) end
  if touch ~= '' then redis.call('HSET', key, touch, math.max(touched or 0, now)) end
end
