-- KEYS: 1 epoch, 2 first day. ARGV: 1 epoch, 2 day.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('JETONGONE the store was emptied or replaced')
end
local held = redis.call('GET', KEYS[2])
if not held or tonumber(held) > tonumber(ARGV[2]) then redis.call('SET', KEYS[2], ARGV[2]) end
return 'noted'
