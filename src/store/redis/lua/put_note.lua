-- KEYS: 4 notes. ARGV: 4 name, 5 held, 6 text; each of the last two is '-' for none, or '+' and the text.
local held = redis.call('HGET', KEYS[4], ARGV[4])
if (held and '+' .. held or '-') ~= ARGV[5] then return 'conflict' end
if ARGV[6] == '-' then
  redis.call('HDEL', KEYS[4], ARGV[4])
else
  redis.call('HSET', KEYS[4], ARGV[4], string.sub(ARGV[6], 2))
end
redis.call('SET', KEYS[3], 'noted', 'PX', 10000)
return 'noted'
