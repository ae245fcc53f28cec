-- Charges n to every policy of an id if all of them allow it, else to none.
--
-- KEYS one for each policy: a counter, or a hash from a bucket's number to its count
-- ARGV 1 n, or '0' to charge nothing and decide about one more
--      then three for each policy:
--      'fixed', limit, window in milliseconds
--      'sliding', limit, a tenth of its window in microseconds
-- returns {allowed (1 or 0), repaired keys,
--          then for each policy: remaining, microseconds until it allows (0 if it does), until it is reset}
-- or an error WRONGTYPE if a key holds something else
--
-- Atomic, because all policies are looked at before any is charged, and another charge in
-- between could take what was left.
-- Send it once, because each run charges.
local n = tonumber(ARGV[1])
local function ttl(window) -- of a counter: Redis keeps a key for a millisecond more
  return math.max(window - 1, 1)
end
local function is_count(text) -- INCRBY and HINCRBY write such a number, and a float holds that many digits exactly
  return type(text) == 'string' and #text <= 15 and (text == '0' or string.match(text, '^-?[1-9]%d*$'))
end
local want = math.max(n, 1)
local allowed, repaired, now = 1, 0, nil
local used, retry, reset, current = {}, {}, {}, {}

for i, key in ipairs(KEYS) do
  local kind, limit, span = ARGV[3*i-1], tonumber(ARGV[3*i]), tonumber(ARGV[3*i+1])
  retry[i] = 0
  if kind == 'fixed' then
    local text = redis.pcall('GET', key)
    if not text then
      used[i], reset[i] = 0, 0
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
    if used[i] + want > limit then
      retry[i], allowed = reset[i], 0
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
    local counts, youngest = {}, nil -- by age: 0 is the current bucket's
    used[i] = 0
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
        counts[age] = (counts[age] or 0) + count
        youngest = math.min(age, youngest or age)
      end
    end
    -- A bucket counts until its age is 11.
    local function left(age)
      return (current[i] - age + 11) * span - now
    end
    reset[i] = youngest and left(youngest) or 0
    if used[i] + want > limit then
      allowed = 0
      local excess = used[i] + want - limit
      for age = 10, 0, -1 do
        excess = excess - (counts[age] or 0)
        if excess <= 0 then
          retry[i] = left(age)
          break
        end
      end
    end
  end
end

if n > 0 and allowed == 1 then
  for i, key in ipairs(KEYS) do
    local span = tonumber(ARGV[3*i+1])
    if current[i] then
      redis.call('HINCRBY', key, current[i], ARGV[1])
      redis.call('PEXPIRE', key, math.ceil(11 * span / 1000))
      reset[i] = (current[i] + 11) * span - now
    elseif reset[i] == 0 then
      redis.call('SET', key, ARGV[1], 'PX', ttl(span))
      reset[i] = (ttl(span) + 1) * 1000
    else
      redis.call('INCRBY', key, ARGV[1])
    end
    used[i] = used[i] + n
  end
end

local reply = {allowed, repaired}
for i = 1, #KEYS do
  local limit = tonumber(ARGV[3*i])
  reply[#reply+1] = math.max(math.min(limit - used[i], limit), 0) -- another program may have counted below 0
  reply[#reply+1] = retry[i]
  reply[#reply+1] = reset[i]
end
return reply
