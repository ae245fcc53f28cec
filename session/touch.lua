-- Stamps the activity of a session and gives it its TTL anew. It needs no record: touching twice is touching once, a
-- little later.
--
-- status 'done', 'absent', 'refused', with HGETALL
return {once(function()
  if not alive() then return 'absent' end
  slide()
  return 'done'
end), now, redis.call('HGETALL', key)}
