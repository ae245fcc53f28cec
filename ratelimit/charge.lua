-- Charges each of several costs to every policy of an id if all of them allow that cost, else to none, in their order.
--
-- KEYS one for each policy: a counter, or a hash from a bucket's number to its count
-- ARGV three for each policy:
--      'fixed', limit, window in milliseconds
--      'sliding', limit, a tenth of its window in microseconds
--      then the costs, or one '0' to charge nothing and decide about one more
-- returns {repaired keys, then for each cost: allowed (1 or 0), and for each policy: remaining,
--          microseconds until it allows (0 if it does), until it is reset}
-- or an error WRONGTYPE if a key holds something else
--
-- Atomic, because all policies are looked at before any is charged, and another charge in
-- between could take what was left.
-- Send it once, because each run charges.
local function ttl(window) -- of a counter: Redis keeps a key for a millisecond more
  return math.max(window - 1, 1)
end
local function is_count(text) -- INCRBY and HINCRBY write such a number, and a float holds that many digits exactly
  return type(text) == 'string' and #text <= 15 and (text == '0' or string.match(text, '^-?[1-9]%d*$'))
end
local repaired, now = 0, nil
local limits, spans, used, reset = {}, {}, {}, {}
local fresh = {} -- whether a counter is not there yet
local current, counts = {}, {} -- of sliding windows: the number of the current bucket, and counts by age, which is 0 for it

for i, key in ipairs(KEYS) do
  local kind, span = ARGV[3*i-2], tonumber(ARGV[3*i])
  limits[i], spans[i] = tonumber(ARGV[3*i-1]), span
  if kind == 'fixed' then
    local text = redis.pcall('GET', key)
    if not text then
      used[i], reset[i], fresh[i] = 0, 0, true
    elseif is_count(text) then
      used[i] = tonumber(text)
      local left = redis.call('PTTL', key)
      if left < 0 or left > span then
        -- Its writer ended between INCR and EXPIRE, its window was longer, or the clock stepped back.
        left, repaired = ttl(span), repaired + 1
        redis.call('PEXPIRE', key, left)
      end
      reset[i] = (left + 1) * 1000
    else
      return redis.error_reply('WRONGTYPE not a count')
    end
  else
    if not now then
      local time = redis.call('TIME')
      now = time[1] * 1000000 + time[2]
    end
    current[i] = math.floor(now / span)
    local fields = redis.pcall('HGETALL', key)
    if fields.err then
      return redis.error_reply('WRONGTYPE not a hash of counts')
    end
    used[i], counts[i] = 0, {}
    local youngest = nil
    for f = 1, #fields, 2 do
      local bucket, count = tonumber(fields[f]), tonumber(fields[f+1])
      if not (is_count(fields[f]) and is_count(fields[f+1]) and count >= 0) then
        return redis.error_reply('WRONGTYPE not a hash of counts')
      end
      local age = current[i] - bucket
      if age < 0 then
        -- The clock stepped back. A count of a bucket that is still to come counts from now on.
        redis.call('HDEL', key, fields[f])
        redis.call('HINCRBY', key, current[i], fields[f+1])
        redis.call('PEXPIRE', key, math.ceil(11 * span / 1000))
        age, repaired = 0, repaired + 1
      end
      if age > 10 then
        redis.call('HDEL', key, fields[f])
      else
        used[i] = used[i] + count
        counts[i][age] = (counts[i][age] or 0) + count
        youngest = math.min(age, youngest or age)
      end
    end
    reset[i] = youngest and (current[i] - youngest + 11) * span - now or 0 -- a bucket counts until its age is 11
  end
end

-- Microseconds until policy i, which denies a cost now, allows it.
local function retry(i, cost)
  if not current[i] then return reset[i] end
  local excess = used[i] + cost - limits[i]
  for age = 10, 0, -1 do
    excess = excess - (counts[i][age] or 0)
    if excess <= 0 then return (current[i] - age + 11) * spans[i] - now end
  end
  return 0
end

local charged, reply = 0, {repaired}
for a = 3 * #KEYS + 1, #ARGV do
  local cost = tonumber(ARGV[a])
  local want, allowed = math.max(cost, 1), 1
  for i = 1, #KEYS do
    if used[i] + want > limits[i] then allowed = 0 end
  end
  if allowed == 1 and cost > 0 then
    charged = charged + cost
    for i = 1, #KEYS do
      used[i] = used[i] + cost
      if current[i] then
        counts[i][0] = (counts[i][0] or 0) + cost
        reset[i] = (current[i] + 11) * spans[i] - now
      elseif fresh[i] then
        reset[i] = (ttl(spans[i]) + 1) * 1000
      end
    end
  end
  reply[#reply+1] = allowed
  for i = 1, #KEYS do
    reply[#reply+1] = math.max(math.min(limits[i] - used[i], limits[i]), 0) -- another program may have counted below 0
    reply[#reply+1] = allowed == 0 and used[i] + want > limits[i] and retry(i, want) or 0
    reply[#reply+1] = reset[i]
  end
end

if charged > 0 then
  for i, key in ipairs(KEYS) do
    if current[i] then
      redis.call('HINCRBY', key, current[i], charged)
      redis.call('PEXPIRE', key, math.ceil(11 * spans[i] / 1000))
    elseif fresh[i] then
      redis.call('SET', key, charged, 'PX', ttl(spans[i]))
    else
      redis.call('INCRBY', key, charged)
    end
  end
end
return reply
