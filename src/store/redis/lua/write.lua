-- Stands before every script that writes. KEYS: 1 epoch, 2 feed, 3 what this write did. ARGV: 1 epoch, 2 chance,
-- 3 channel. Nothing is undone when a script fails half way, so all that can fail comes before the first write.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('JETONGONE the store was emptied or replaced')
end
-- The same write, asked again since its answer was lost.
local done = redis.call('GET', KEYS[3])
if done then
  -- A write as well, so that waiting for replicas waits for what was written before it.
  redis.call('PEXPIRE', KEYS[3], 10000)
  return done
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if not last then return redis.error_reply('JETONGONE the change feed is gone') end
local position = string.format('%.0f', tonumber(string.match(last[1], '^%d+')) + 1)

-- Puts an entry into the feed, calls whoever listens, and remembers the result.
local function finish(result, ...)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 100000, position .. '-' .. ARGV[2], ...)
  redis.call('PUBLISH', ARGV[3], position)
  redis.call('SET', KEYS[3], result, 'PX', 10000)
  return result
end

-- The revision of a record, '0' when there is none, nil for something else.
local function revision(value)
  if not value then return '0' end
  return string.match(value, '^%d+ (%d+) ')
end
