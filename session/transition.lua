-- Changes one field, if it has the text that the transition begins with.
--
-- status 'done', 'absent', 'conflict', 'refused', with HGETALL
local field      = ARGV[own]
local from       = ARGV[own + 1] -- the text that the field must have
local mayBeUnset = ARGV[own + 2] -- '1' if the field may also be missing
local to         = ARGV[own + 3] -- the text that it gets
return {once(function()
  if not alive() then return 'absent' end
  local held = hash[at[field]]
  if held ~= from and (held or mayBeUnset ~= '1') then return 'conflict' end
  write({field, to})
  return 'done'
end), now, session()}
