-- Publishes messages on a channel, in their order, if this server may be written to.
--
-- KEYS 1 sibling of the channel; it never exists
-- ARGV 1 channel, 2... payloads
-- returns how many connections have received the last one
--
-- One transition: PUBLISH has no key and is no write, so a server confirms it that does not
-- own the slot, is a replica, or has lost its replicas. DEL is a write of a key of the slot.
-- Such a server refuses it, and the messages with it. There is nothing to delete, so nothing
-- is stored, replicated or in need of memory.
redis.call('DEL', KEYS[1])
local receivers = 0
for i = 2, #ARGV do
  receivers = redis.call('PUBLISH', ARGV[1], ARGV[i])
end
return receivers
