-- Changes one field, if it has the text that the change begins with.
--
-- ARGV 8 field
--      9 text that it must have
--      10 '1' if it may also be missing
--      11 text that it gets
-- status 'done', 'absent', 'conflict', 'refused', with HGETALL
return {once(function()
  if not alive() then return 'absent' end
  local held = redis.call('HGET', key, ARGV[8])
  if held ~= ARGV[9] and (held or ARGV[10] ~= '1') then return 'conflict' end
  redis.call('HSET', key, ARGV[8], ARGV[11])
  slide()
  return 'done'
end), now, redis.call('HGETALL', key)}
