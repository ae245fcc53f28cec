-- Gives a lease back after a load that stored nothing, so that the next load need not wait.
--
-- KEYS 1 lease
-- ARGV 1 token of this load
-- returns 1 if the lease was still this load's, 0 otherwise
--
-- One transition: another load's lease must not be deleted.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
