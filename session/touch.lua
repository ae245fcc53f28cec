-- Stamps the activity of a session and gives it its TTL anew. It needs no record: touching twice is touching once, a
-- little later.
--
-- status 'done', 'absent', 'refused', with HGETALL
return {once(function()
  if not alive() then return 'absent' end
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
  return 'done'
end), now, session()}
