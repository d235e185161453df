-- KEYS: 4 client, 5 ids, 6 uses, 7 recent. ARGV: 4 the revision it has, 5 id.
local held = redis.call('GET', KEYS[4])
redis.call('HLEN', KEYS[6])
redis.call('ZSCORE', KEYS[5], ARGV[5])
redis.call('ZSCORE', KEYS[7], ARGV[5])
if not held or revision(held) ~= ARGV[4] then return 'conflict' end
redis.call('DEL', KEYS[4], KEYS[6])
redis.call('ZREM', KEYS[5], ARGV[5])
redis.call('ZREM', KEYS[7], ARGV[5])
return finish('removed', 'c', ARGV[5])
