-- KEYS: 1 the bucket's list. ARGV: 1 the end before which they go, 2 how many at the most, 3 prefix of the names.
local gone = redis.call('ZRANGEBYLEX', KEYS[1], '-', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(gone) do
  redis.call('DEL', ARGV[3] .. string.sub(member, 9))
  redis.call('ZREM', KEYS[1], member)
end
return #gone
