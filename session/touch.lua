-- Stamps the activity of a session and gives it its TTL anew. It needs no record: touching twice is touching once, a
-- little later.
--
-- status 'done', 'absent', 'refused', with the session
local status = before
if not status and not hash[1] then
  status = 'absent'
elseif not status then
  status = 'done'
  local stamps = {}
  local added = stamp(stamps)
  extend() -- first: a server that is out of memory still grants it, and then the rest
  if stamps[1] then
    -- If a server stood still meanwhile, even the new TTL may be over, and the server removes the session (up to Redis
    -- 7.0). A field that is new although it was read shows that: nothing of it must stay.
    if added > 0 and redis.call('EXISTS', key) == 0 or redis.call('HSET', key, unpack(stamps)) > added then
      redis.call('DEL', key)
      hash = {}
    end
  end
end
return {status, now, hash}
