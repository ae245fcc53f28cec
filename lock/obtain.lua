-- Takes a lock that nobody holds. A lock whose holder has ended is shortened, if it would last too long.
--
-- KEYS 1 lock
-- ARGV 1 value: the token of this request, then ':px=' and the TTL
--      2 length of the token
--      3 TTL in milliseconds
-- returns OK if the lock was taken, nil if it is held
--
-- One transition: another lock than the one that was looked at must not be shortened.
-- Send it once: a second copy that arrives late would take the lock again.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[3]) then
  return redis.status_reply('OK')
end
-- If the server's clock was set back, a lock has a longer PTTL than it was given. A holder that goes on renews it, and
-- trusts it for less than its TTL. So a TTL from now on takes nothing from a holder, and the lock of a holder that has
-- ended does not block others for the time of the step.
local held = redis.call('GET', KEYS[1]) or ''
local ttl = #held > 26 and string.match(held, '^[A-Z2-7]+:px=([1-9]%d*)$') -- only what a request like this wrote
if ttl and #ttl <= 15 and redis.call('PTTL', KEYS[1]) > tonumber(ttl) then
  redis.call('PEXPIRE', KEYS[1], ttl)
end
return false
