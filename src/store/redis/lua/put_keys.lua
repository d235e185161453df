-- KEYS: 4 keys. ARGV: 4 the revision they were made from, 5 value, 6 new revision.
local held = revision(redis.call('GET', KEYS[4]))
if not held then return redis.error_reply('JETONDAMAGED the record of the signing keys cannot be read') end
if held ~= ARGV[4] then return 'conflict' end
redis.call('SET', KEYS[4], ARGV[5])
return finish(ARGV[6], 'k', '')
