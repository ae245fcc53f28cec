-- Gives back the lock of one request, and wakes its waiters.
--
-- KEYS 1 lock
-- ARGV 1 value of that request: its token and its TTL
--      2 channel of the waiters
-- returns 1 if it was given back, 0 if that request does not have it, or the text of why nobody could be woken
--
-- One transition: another holder's lock must not be deleted.
-- Sent twice, the second copy finds nothing.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
local told = redis.pcall('PUBLISH', ARGV[2], '') -- an ACL may refuse the channel, and the lock is given back all the same
return type(told) == 'table' and told.err or 1
