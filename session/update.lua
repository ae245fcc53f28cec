-- Changes some fields, if those that the change was made from still have the texts that were read.
--
-- ARGV 8  how many fields were read, then for each: field, '1' or '0' whether it was there, text
--      then how many are set, then for each: field, text
--      then the fields to remove
-- status 'done', 'absent', 'conflict', 'refused', with HGETALL
return {once(function()
  if not alive() then return 'absent' end
  local at = 9
  for _ = 1, tonumber(ARGV[8]) do
    local read = ARGV[at + 1] == '1' and ARGV[at + 2]
    if redis.call('HGET', key, ARGV[at]) ~= read then return 'conflict' end
    at = at + 3
  end
  local sets = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, sets do
    redis.call('HSET', key, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  for i = at, #ARGV do
    redis.call('HDEL', key, ARGV[i])
  end
  slide()
  return 'done'
end), now, redis.call('HGETALL', key)}
