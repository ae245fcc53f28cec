-- Reads a part of a channel's history.
--
-- KEYS 1 history: a stream, 2 position of the newest message
-- ARGV 1 position, or '' for none, 2 how many entries at most
-- returns the position of the newest message, or ''; whether the stream has ARGV 1, 1 or 0;
--   if so, the entries from there on, with that one; if not, those from the oldest on
--
-- One transition: the entries, and whether the position is one of them, are of one moment.
local newest = redis.call('GET', KEYS[2]) or ''
if ARGV[1] ~= '' then
  local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
  if entries[1] and entries[1][1] == ARGV[1] then
    return {newest, 1, entries}
  end
end
return {newest, 0, redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[2])}
