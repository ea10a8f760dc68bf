// What happens to the items of a reliable list on the server. Each step is one script: a process that
// dies between two of them loses nothing.
import { Script } from './script.ts';

/**
 * An item that a consumer holds is a field of a hash, `<take>-<place>:<count>`: the number of the take,
 * its place among the items taken then, and how often it has been delivered. In a list there is no room
 * for a count, so the count of an item that goes back is kept beside it, under the item's digest.
 * In `<take>-<place>-:<count>` the delivery that it was taken for is not counted yet.
 */
const COUNTS = `local function counted(counts, item)
  local digest = redis.sha1hex(item)
  local before = redis.call('HGET', counts, digest)
  if not before then return 1 end
  local count, rest = before:match('^(%d+),?(.*)$')
  if rest == '' then redis.call('HDEL', counts, digest) else redis.call('HSET', counts, digest, rest) end
  return tonumber(count) + 1
end
local function putBack(list, counts, item, count, life)
  redis.call('LPUSH', list, item)
  if count < 1 then return end
  local digest = redis.sha1hex(item)
  local before = redis.call('HGET', counts, digest)
  redis.call('HSET', counts, digest, before and (count .. ',' .. before) or tostring(count))
  redis.call('PEXPIRE', counts, life)
end
local function countIn(token) return tonumber(token:match(':(%d+)$')) end
`;

/** Milliseconds on the server's clock. */
const NOW = `local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/**
 * Keys: list, moved, held, consumers, counts, parked, parked items. Arguments: the number of this take,
 * how many to take. Takes what BLMOVE has moved, what was parked and is due, then from the list. The delivery of an
 * item that came back is counted when it begins. Returns the milliseconds until something parked is due (-1: nothing is parked), then token and item in
 * turn. The consumers do not expire while one holds something.
 */
export const TAKE = new Script(`${COUNTS}${NOW}
local max = tonumber(ARGV[2])
local reply = { -1 }
local taken = 0
local function hold(item, count)
  local isLater = count > 1
  local token = ARGV[1] .. '-' .. taken .. (isLater and '-:' .. count - 1 or ':' .. count)
  redis.call('HSET', KEYS[3], token, item)
  taken = taken + 1
  reply[#reply + 1] = token
  reply[#reply + 1] = item
end
local hasCounts
local function holdNew(item)
  if hasCounts == nil then hasCounts = redis.call('EXISTS', KEYS[5]) == 1 end
  hold(item, hasCounts and counted(KEYS[5], item) or 1)
end
local item = redis.call('LPOP', KEYS[2])
while item do
  holdNew(item)
  item = redis.call('LPOP', KEYS[2])
end
local first = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
if first[2] then
  local time = now()
  while first[2] and tonumber(first[2]) <= time and taken < max do
    redis.call('ZREM', KEYS[6], first[1])
    local parked = redis.call('HGET', KEYS[7], first[1])
    if parked then
      redis.call('HDEL', KEYS[7], first[1])
      hold(parked, countIn(first[1]) + 1)
    end
    first = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
  end
  if first[2] then reply[1] = math.max(0, tonumber(first[2]) - time) end
end
while taken < max do
  item = redis.call('LPOP', KEYS[1])
  if not item then break end
  holdNew(item)
end
if taken > 0 then redis.call('PERSIST', KEYS[4]) end
return reply`);

/** Keys: held. Arguments: a token, and the token with the next count. Counts one more delivery, once however often it is sent; 0 where the item is somebody else's. */
export const COUNT = new Script(`local item = redis.call('HGET', KEYS[1], ARGV[1])
if not item then return redis.call('HGET', KEYS[1], ARGV[2]) and 1 or 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[2], item)
return 1`);

/** Keys: held, parked, parked items. Arguments: token, an id that ends in the deliveries so far, milliseconds. Keeps an item for its next delivery; 0 where it is somebody else's. */
export const PARK = new Script(`${NOW}
local item = redis.call('HGET', KEYS[1], ARGV[1])
if not item then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[2], item)
redis.call('ZADD', KEYS[2], now() + ARGV[3], ARGV[2])
return 1`);

/**
 * Keys: held, ends of pauses. Arguments: token, the item's digest, milliseconds, life. Notes how long an item
 * pauses that stays its consumer's, for whoever gets it if that ends before.
 */
export const NOTE_PAUSE = new Script(`${NOW}
if not redis.call('HGET', KEYS[1], ARGV[1]) then return 0 end
local time, life = now(), tonumber(ARGV[4])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', time - life, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], old)
end
redis.call('ZADD', KEYS[2], time + ARGV[3], ARGV[2])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIRE', KEYS[2], math.max(0, tonumber(last[2]) - time) + life)
return 1`);

/** Keys: list, held, counts, moved. Arguments: life of the counts, then tokens and deliveries so far, in turn, in the order of the list. Gives these items back, and what BLMOVE has moved and nobody has taken. */
export const GIVE_BACK = new Script(`${COUNTS}
local moved = redis.call('RPOP', KEYS[4])
while moved do
  putBack(KEYS[1], KEYS[3], moved, 0, ARGV[1])
  moved = redis.call('RPOP', KEYS[4])
end
for n = #ARGV - 1, 2, -2 do
  local item = redis.call('HGET', KEYS[2], ARGV[n])
  if item then
    redis.call('HDEL', KEYS[2], ARGV[n])
    putBack(KEYS[1], KEYS[3], item, tonumber(ARGV[n + 1]), ARGV[1])
  end
end`);

/**
 * Keys: list, consumers, held, moved, counts. Arguments: consumer, its last sign of life, life of the
 * counts, and 1 to forget it. Gives a dead consumer's items back, the newest first, so that they keep
 * their order, and counts what it held as delivered: it may have died of it. Returns -1 where it has
 * given another sign of life.
 */
export const TAKE_OVER = new Script(`${COUNTS}
local beat = redis.call('HGET', KEYS[2], ARGV[1])
if beat and beat ~= ARGV[2] then return -1 end
local moved = 0
local item = redis.call('RPOP', KEYS[4])
while item do
  putBack(KEYS[1], KEYS[5], item, 0, ARGV[3])
  moved = moved + 1
  item = redis.call('RPOP', KEYS[4])
end
local function place(token)
  local take, at = token:match('^(%d+)-(%d+)')
  return tonumber(take) * 1000000 + tonumber(at)
end
local tokens = redis.call('HKEYS', KEYS[3])
table.sort(tokens, function(a, b) return place(a) > place(b) end)
for _, token in ipairs(tokens) do
  putBack(KEYS[1], KEYS[5], redis.call('HGET', KEYS[3], token), countIn(token), ARGV[3])
  moved = moved + 1
end
redis.call('DEL', KEYS[3])
if ARGV[4] == '1' then redis.call('HDEL', KEYS[2], ARGV[1]) end
return moved`);

/** Keys: consumers, held, moved. Arguments: consumer. Removes a consumer that holds nothing. */
export const LEAVE = new Script(`if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
return 0`);

/** Keys: consumers. Arguments: life, and the beginning of the keys of one consumer. Lets the consumers expire where none of them holds an item. */
export const TIDY = new Script(`for _, consumer in ipairs(redis.call('HKEYS', KEYS[1])) do
  local held = redis.call('EXISTS', ARGV[2] .. ':held:' .. consumer, ARGV[2] .. ':moved:' .. consumer)
  if held > 0 then return 0 end
end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])`);
