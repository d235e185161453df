-- Token requests for wrk, by Basic, from many clients.
--
--   JETON_SECRET   the secret that all clients of loadtest/seed.rs share
--   JETON_CLIENTS  how many of them to use (default 1000)
--   JETON_ORDER    "random" (default), or "each": one after the other, to bring them into memory
--   JETON_FIRST    which one "each" begins with (default 0)
--
-- Only the ids differ, and an id of 12 characters fills 16 of base64 exactly, so a header is put together from
-- ready parts: the generator must not be what is measured. Answers other than 200 are counted and told at the end.

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for at = 1, #text, 3 do
    local a, b, c = text:byte(at, at + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 0, 3 do
      local digit = math.floor(bits / 64 ^ (3 - place)) % 64 + 1
      out[#out + 1] = alphabet:sub(digit, digit)
    end
    if not b then out[#out - 1], out[#out] = "=", "=" elseif not c then out[#out] = "=" end
  end
  return table.concat(out)
end

local clients = tonumber(os.getenv("JETON_CLIENTS") or "1000")
local each = os.getenv("JETON_ORDER") == "each"
local groups = {}
local opening, closing
local next_client = tonumber(os.getenv("JETON_FIRST") or "0")

function init(args)
  for number = 0, 999 do groups[number] = base64(string.format("%03d", number)) end
  local body = "grant_type=client_credentials"
  opening = "POST /oauth2/token HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nAuthorization: Basic " .. base64("c-0")
  closing = base64(":" .. os.getenv("JETON_SECRET"))
    .. "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
  math.randomseed(os.time())
end

function request()
  local number
  if each then
    number = next_client % clients
    next_client = next_client + 1
  else
    number = math.random(0, clients - 1)
  end
  local low, middle, high = number % 1000, math.floor(number / 1e3) % 1000, math.floor(number / 1e6) % 1000
  return opening .. groups[high] .. groups[middle] .. groups[low] .. closing
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "\nRESULT {\"requests\":%d,\"micros\":%d,\"refused\":%d,\"broken\":%d,\"p50\":%d,\"p99\":%d}\n",
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
