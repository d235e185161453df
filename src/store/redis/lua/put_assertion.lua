-- KEYS: 4 used assertions. ARGV: 4 digest, 5 end.
if redis.call('ZADD', KEYS[4], 'NX', ARGV[5], ARGV[4]) == 0 then return 'conflict' end
redis.call('SET', KEYS[3], 'used', 'PX', 10000)
return 'used'
