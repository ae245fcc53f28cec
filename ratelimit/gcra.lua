-- Charges each of several costs to a GCRA bucket if it has room for that cost, in their order. The algorithm and the stored
-- timestamp, when the bucket will be full again, are those of redis_rate, so that both may share a key.
--
-- KEYS 1 timestamp, in seconds since the beginning of 2017
-- ARGV 1 burst; 2 seconds between two tokens; then the costs, or one '0' to charge nothing and decide about one more
-- returns {repaired keys, then for each cost: allowed (1 or 0), remaining, microseconds until it is allowed (0 if it is),
--          until the bucket is full}
-- or an error WRONGTYPE if the key holds something else
--
-- Atomic, because another charge between the look and this one could take what was left.
-- Send it once, because each run charges.
local burst, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] - 1483228800 + time[2] / 1000000
local full = interval * burst -- seconds that the empty bucket takes to fill
local text = redis.call('GET', KEYS[1])
local tat, changed, repaired = now, false, 0
if text then
  local stored = tonumber(text)
  if not stored or not (math.abs(stored - now) < 3162240000) then -- a hundred years: no clock steps so far
    return redis.error_reply('WRONGTYPE not a timestamp')
  end
  tat = math.max(stored, now)
  if tat > now + full + 0.000001 then -- no charge brings it there: the clock stepped back
    tat, changed, repaired = now + full, true, 1
  end
end

local function micros(seconds) -- never too few
  return math.ceil(seconds * 1000000)
end

local reply = {repaired}
for i = 3, #ARGV do
  local cost = tonumber(ARGV[i])
  local after = tat + interval * math.max(cost, 1)
  local room = now - (after - full) -- seconds, below 0 if the cost does not fit
  if room >= 0 and cost > 0 then
    tat, changed = after, true
  end
  reply[#reply+1] = room >= 0 and 1 or 0
  reply[#reply+1] = math.max(math.floor((now - (tat - full)) / interval), 0)
  reply[#reply+1] = room < 0 and micros(-room) or 0
  reply[#reply+1] = micros(tat - now)
end

if changed and tat > now then
  redis.call('SET', KEYS[1], tat, 'EX', math.ceil(tat - now))
end
return reply
