-- Changes one field, if it has the text that the transition begins with.
--
-- status 'done', 'absent', 'conflict', 'refused', with HGETALL
local field      = ARGV[own]
local from       = ARGV[own + 1] -- the text that the field must have
local mayBeUnset = ARGV[own + 2] -- '1' if the field may also be missing
local to         = ARGV[own + 3] -- the text that it gets
return {once(function()
  if not alive() then return 'absent' end
  local held = redis.call('HGET', key, field)
  if held ~= from and (held or mayBeUnset ~= '1') then return 'conflict' end
  redis.call('HSET', key, field, to)
  slide()
  return 'done'
end), now, redis.call('HGETALL', key)}
