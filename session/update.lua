-- Changes some fields, if the fields that the change was made from still have the texts that were read.
--
-- ARGV own  how many fields were read, then for each: field, '1' or '0' whether it was there, text
--      then how many fields are set, then for each: field, text
--      then the fields to remove
-- status 'done', 'absent', 'conflict', 'refused', with the session
local next = own
local function argument()
  next = next + 1
  return ARGV[next - 1]
end

local status = before
if not status and not hash[1] then
  status = 'absent'
elseif not status then
  for _ = 1, tonumber(argument()) do
    local field, present, text = argument(), argument() == '1', argument()
    if hash[at[field]] ~= (present and text or nil) then status = 'conflict' end
  end
end
if not status then
  local changes = {}
  for i = 1, 2 * tonumber(argument()) do
    changes[i] = argument()
  end
  write(changes, {unpack(ARGV, next)})
  status = 'done'
end
return {recorded(status), now, hash}
