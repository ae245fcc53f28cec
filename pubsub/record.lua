-- Publishes messages on a channel, in their order, and keeps them in the channel's history.
--
-- KEYS 1 history: a stream, 2 position of the newest message
-- ARGV 1 channel, 2 channel of the positions, 3 how many messages to keep, 4 for how long in
--      ms, 5 TTL of KEYS 2 in ms, 6 a random number, 7... payloads
-- returns how many connections have received the last one
--
-- A position is the id of an entry: <microseconds>-<random number>. The microseconds only
-- rise from one message to the next. The random number tells two entries apart that two
-- primaries have made at the same microsecond. Each entry names the position before it.
--
-- One transition: what is published is what is kept. XADD is the first command that
-- writes, so a server that must not be written to, does not own the slot, or is out of
-- memory refuses everything. The two PUBLISH of a message follow each other on every
-- connection, so that the first one belongs to the second.
local last = redis.call('GET', KEYS[2])
if not last then
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  last = newest and newest[1] or ''
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local at = now
local before = tonumber(string.match(last, '^%d+') or 0)
if at <= before then
  at = before + 1
end

local positions = {last}
for i = 7, #ARGV do
  local position = string.format('%.0f-%s', at, ARGV[6])
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], position, 'before', positions[#positions], 'payload', ARGV[i])
  positions[#positions + 1] = position
  at = at + 1
end
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', now - tonumber(ARGV[4]) * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], positions[#positions], 'PX', ARGV[5])

local receivers = 0
for i = 7, #ARGV do
  local n = i - 5
  redis.call('PUBLISH', ARGV[2], string.format('%s %s %d', positions[n], positions[n - 1], #ARGV[i]))
  receivers = redis.call('PUBLISH', ARGV[1], ARGV[i])
end
return receivers
