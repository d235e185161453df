-- KEYS: 4 client, 5 ids, 6 uses. ARGV: 4 the revision it was made from, 5 value, 6 id, 7 new revision, 8… its secrets.
local held = revision(redis.call('GET', KEYS[4]))
local used = redis.call('HKEYS', KEYS[6])
redis.call('ZSCORE', KEYS[5], ARGV[6])
if not held then return redis.error_reply('JETONDAMAGED the record of a client cannot be read') end
if held ~= ARGV[4] then return 'conflict' end
redis.call('SET', KEYS[4], ARGV[5])
redis.call('ZADD', KEYS[5], 0, ARGV[6])
local kept = {}
for i = 8, #ARGV do kept[ARGV[i]] = true end
for _, secret in ipairs(used) do
  if not kept[secret] then redis.call('HDEL', KEYS[6], secret) end
end
return finish(ARGV[7], 'c', ARGV[6])
