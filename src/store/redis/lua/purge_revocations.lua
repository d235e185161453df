-- KEYS: 1 by end, 2 by position. ARGV: 1 the end before which they go, 2 how many at the most.
redis.call('ZCARD', KEYS[2])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, token in ipairs(gone) do
  redis.call('ZREM', KEYS[1], token)
  redis.call('ZREM', KEYS[2], token)
end
return #gone
