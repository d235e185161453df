-- KEYS: 1 token, 2 the bucket's list. ARGV: 1 value, 2 how long in milliseconds, 3 member, 4 prefix of the names.
-- Two at a time, entries of the list go whose tokens have gone by themselves.
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, 1)) do
  if redis.call('EXISTS', ARGV[4] .. string.sub(member, 9)) == 0 then redis.call('ZREM', KEYS[2], member) end
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  -- A write as well, so that waiting for replicas waits for the one that put it there.
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('ZADD', KEYS[2], 0, ARGV[3])
