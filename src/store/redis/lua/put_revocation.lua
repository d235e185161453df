-- KEYS: 4 by end, 5 by position. ARGV: 4 token, 5 end.
redis.call('ZCARD', KEYS[5])
if redis.call('ZSCORE', KEYS[4], ARGV[4]) then
  redis.call('SET', KEYS[3], 'known', 'PX', 10000)
  return 'known'
end
redis.call('ZADD', KEYS[4], ARGV[5], ARGV[4])
redis.call('ZADD', KEYS[5], position, ARGV[4])
return finish('revoked', 'r', ARGV[4], 'e', ARGV[5])
