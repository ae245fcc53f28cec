-- Answers a miss: with the value if there is one by now, else with the lease to load it.
--
-- KEYS 1 value, 2 lease
-- ARGV 1 token of this load, which ends in ':' and the lease TTL
--      2 lease TTL in milliseconds
--      3 SHA-1 of the value that this load means to replace, or '' for none
-- returns {'value', value}   there is one by now
--         {'absent'}         it is remembered that there is none
--         {'held'}           another load has the lease
--         {'owned', pttl}    the lease is this load's; pttl of the value that it replaces, or -2
--
-- One transition: no other load may store a value between the look at the value and the acquisition of the lease.
-- Send it once: a second copy that arrives late, after a Delete removed the lease, would acquire the lease again.
local value = redis.call('GET', KEYS[1])
if value and (ARGV[3] == '' or redis.sha1hex(value) ~= ARGV[3]) then
  return {'value', value}
end
local lease = redis.call('GET', KEYS[2])
-- If the server's clock was set back, the lease of a load that ended long ago has a longer PTTL than it was given. It
-- must not block others for the time of the step, so it does not count.
local ttl = lease and string.match(lease, ':(%d+)$')
if ttl and redis.call('PTTL', KEYS[2]) > tonumber(ttl) then
  lease = nil
end
local absent = lease and string.sub(lease, 1, 1) == '-'
if absent and not value then
  return {'absent'}
end
if lease and not absent then
  return {'held'}
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {'owned', redis.call('PTTL', KEYS[1])}
