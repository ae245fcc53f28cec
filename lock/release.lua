-- Gives back a lock that a request may have taken although its reply was lost.
--
-- KEYS 1 lock
-- ARGV 1 value of that request: its token and its TTL
-- returns 1 if it had taken the lock, 0 otherwise
--
-- One transition: another holder's lock must not be deleted.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
