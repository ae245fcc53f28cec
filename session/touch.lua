-- Stamps the activity of a session and gives it its TTL anew. It needs no record: touching twice is touching once, a
-- little later. It is the most frequent change, so it does what session.lua does without that one's tables and functions,
-- in two thirds of the time.
--
-- KEYS 1 session, a hash
-- ARGV the seven of session.lua
-- returns {status, the server's time in milliseconds, the session as HGETALL returns it, but with integers for the times
--         that the script wrote}
-- status 'done', 'absent', 'refused'
--
-- One transition: the session may not expire between the look and the stamps, which would leave a hash without a TTL.
local key, touch = KEYS[1], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hash = redis.call('HGETALL', key)
if now < tonumber(ARGV[4]) or now > tonumber(ARGV[5]) then
  return {'refused', now, hash}
end

local stampedAt, untilAt -- where in hash these fields are
for i = 1, #hash, 2 do
  if hash[i] == touch then
    stampedAt = i + 1
  elseif hash[i] == '_until' then
    untilAt = i + 1
  end
end

-- A time of at most 15 digits, which a Lua number holds exactly; nil for any other text.
local function millis(text)
  return text and #text <= 15 and string.find(text, '^%d+$') and tonumber(text) or nil
end

local deadline = millis(hash[untilAt])
if deadline and deadline <= now then -- some program kept the session beyond its MaxLifetime
  redis.call('DEL', key)
  hash = {}
end
if not hash[1] then
  return {'absent', now, hash}
end
if ARGV[2] ~= '0' then
  deadline = deadline or now + ARGV[2]
end

-- The TTL is first: a server that is out of memory still grants it, and then the rest.
redis.call('PEXPIRE', key, deadline and math.min(ARGV[1], deadline - now) or ARGV[1])
if deadline and not (untilAt and hash[untilAt] == string.format('%.0f', deadline)) then
  untilAt = untilAt or #hash + 2
  hash[untilAt-1], hash[untilAt] = '_until', deadline
  if redis.call('EXISTS', key) == 0 then
    return {'done', now, {}}
  end
  redis.call('HSET', key, '_until', deadline)
end
if touch ~= '' then
  local stamp = math.max(millis(hash[stampedAt]) or 0, now)
  -- If a server stood still meanwhile, even the new TTL may be over, and the server removes the session (up to Redis 7.0):
  -- nothing must be written then. That the field is new, although it was read, shows it afterwards.
  if not stampedAt and redis.call('EXISTS', key) == 0 then
    return {'done', now, {}}
  end
  if redis.call('HSET', key, touch, stamp) == 1 and stampedAt then
    redis.call('DEL', key)
    return {'done', now, {}}
  end
  stampedAt = stampedAt or #hash + 2
  hash[stampedAt-1], hash[stampedAt] = touch, stamp
end
return {'done', now, hash}
