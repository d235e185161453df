-- KEYS: 1 epoch, 2 recent, then client and uses for each use. ARGV: 1 epoch, 2 how many recent ones are kept, then id,
-- secret and day for each use. What its client no longer has is passed over.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('JETONGONE the store was emptied or replaced')
end
for i = 3, #KEYS, 2 do
  local at = (i - 3) / 2 * 3 + 3
  local id, secret, day = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  -- Every server notes the first use that it sees on a day: what is noted already costs no more than this look.
  if tonumber(redis.call('HGET', KEYS[i + 1], secret) or '-1') < day then
    local value = redis.call('GET', KEYS[i])
    local is_record, client = pcall(cjson.decode, value and string.match(value, '^%d+ %d+ %S+ (.*)$') or '{}')
    for _, held in ipairs(is_record and type(client) == 'table' and client.secrets or {}) do
      if held.id == secret then
        redis.call('HSET', KEYS[i + 1], secret, day)
        redis.call('ZADD', KEYS[2], 'GT', day, id)
      end
    end
  end
end
local beyond = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[2])
if beyond > 0 then redis.call('ZREMRANGEBYRANK', KEYS[2], 0, beyond - 1) end
return 'noted'
