-- Changes some fields, if the fields that the change was made from still have the texts that were read.
--
-- ARGV own  how many fields were read, then for each: field, '1' or '0' whether it was there, text
--      then how many fields are set, then for each: field, text
--      then the fields to remove
-- status 'done', 'absent', 'conflict', 'refused', with HGETALL
return {once(function()
  if not alive() then return 'absent' end
  local at = own
  local function nextArg()
    at = at + 1
    return ARGV[at - 1]
  end
  for _ = 1, tonumber(nextArg()) do
    local field, present, text = nextArg(), nextArg() == '1', nextArg()
    if redis.call('HGET', key, field) ~= (present and text) then return 'conflict' end
  end
  for _ = 1, tonumber(nextArg()) do
    redis.call('HSET', key, nextArg(), nextArg())
  end
  for i = at, #ARGV do
    redis.call('HDEL', key, ARGV[i])
  end
  slide()
  return 'done'
end), now, redis.call('HGETALL', key)}
