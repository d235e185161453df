-- Which store this is; makes it when nothing of one is there. KEYS: 1 epoch, 2 feed, 3 first day of uses, then what
-- only a store has. ARGV: 1 the epoch of a new store, 2 the day.
local held = redis.call('GET', KEYS[1])
if held then return held end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return redis.error_reply('JETONGONE a part of the store is gone')
  end
end
redis.call('SET', KEYS[3], ARGV[2])
redis.call('XADD', KEYS[2], '1-1', 'e', ARGV[1])
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
