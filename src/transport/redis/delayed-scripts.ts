// Frames that wait on the server until they are due. A store is a sorted set of due times and a hash of
// frames, in the slot of their target. The index is a sorted set of stores, by the time at which each is
// to be looked at. Its times are hints: a store that is looked at too early costs one script.
import { Script } from './script.ts';

/** Milliseconds on the server's clock. */
export const NOW = `local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/** By kind: sends a frame to a name. */
export const SEND = `local send = {
  stream = function(name, frame, maxlen)
    if maxlen == '' then return redis.pcall('XADD', name, '*', '__data__', frame) end
    return redis.pcall('XADD', name, 'MAXLEN', '~', maxlen, '*', '__data__', frame)
  end,
  list = function(name, frame) return redis.pcall('RPUSH', name, frame) end,
  channel = function(name, frame) return redis.pcall('PUBLISH', name, frame) end,
  sharded = function(name, frame) return redis.pcall('SPUBLISH', name, frame) end,
}
`;

/**
 * The time of a store in the index ends in .5 while a mover has it in hand. Whoever announces a frame
 * meanwhile takes that mark away: the mover must not put the store off then, because the frame may have
 * come after its look.
 */
const ANNOUNCE = `local function announce(index, store, due, wait, notify)
  local first = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')[2]
  local known = tonumber(redis.call('ZSCORE', index, store))
  if not known or due < known then redis.call('ZADD', index, due, store)
  elseif known % 1 ~= 0 then redis.call('ZADD', index, math.floor(known), store) end
  local isFirst = not first or due < tonumber(first)
  if notify == 2 or (notify == 1 and isFirst) then redis.call('PUBLISH', index, tostring(wait)) end
  return isFirst and 1 or 0
end
`;

/** `how` is `delay` or `at`. */
const DUE = `local function dueAt(time, how, ms)
  return how == 'delay' and time + tonumber(ms) or tonumber(ms)
end
`;

const STORE = `local function store(dues, frames, due, handle, value)
  redis.call('HSET', frames, handle, value)
  redis.call('ZADD', dues, due, handle)
end
`;

/**
 * The mark of a frame with an id, which waits: -1 where the id is known, -2 where it is for another body,
 * else undefined, and the mark is set. It outlives the due time by a day, or by its window.
 */
const REMEMBER = `local function remember(mark, digest, window, wait)
  local before = redis.call('GET', mark)
  if before then return string.sub(before, 1, #digest) == digest and -1 or -2 end
  local life = wait + math.max(tonumber(window), 86400000)
  redis.call('SET', mark, digest .. 'w' .. window, 'PX', string.format('%d', life))
end
`;

/**
 * Keys: index, due times, frames, and the mark of an id. Arguments: store, `delay` or `at`, milliseconds,
 * handle, value, and of an id digest and window. Keeps a frame until it is due. Returns the milliseconds
 * until then, -1 where the id is known, -2 where it is for another body. All keys are on one server.
 */
export const SCHEDULE = new Script(
  `${NOW}${ANNOUNCE}${DUE}${STORE}${REMEMBER}
local time = now()
local due = dueAt(time, ARGV[2], ARGV[3])
local wait = math.max(0, due - time)
local known = KEYS[4] and remember(KEYS[4], ARGV[6], ARGV[7], wait)
if known then return known end
store(KEYS[2], KEYS[3], due, ARGV[4], ARGV[5])
announce(KEYS[1], ARGV[1], due, wait, 1)
return wait`,
  false,
);

/** On a cluster. Keys: due times, frames, and the mark of an id. Arguments: `delay` or `at`, milliseconds, handle, value, and of an id digest and window. */
export const KEEP = new Script(
  `${NOW}${DUE}${STORE}${REMEMBER}
local time = now()
local due = dueAt(time, ARGV[1], ARGV[2])
local known = KEYS[3] and remember(KEYS[3], ARGV[5], ARGV[6], math.max(0, due - time))
if known then return known end
store(KEYS[1], KEYS[2], due, ARGV[3], ARGV[4])
return math.max(0, due - time)`,
  false,
);

/**
 * On a cluster, before and after {@link KEEP}. Keys: index. Arguments: store, `delay` or `at`,
 * milliseconds, and whether movers are told: 0 never, 1 where it is the earliest, 2 always. Returns 1
 * where it is the earliest.
 */
export const HINT = new Script(
  `${NOW}${ANNOUNCE}${DUE}
local time = now()
local due = dueAt(time, ARGV[2], ARGV[3])
return announce(KEYS[1], ARGV[1], due, math.max(0, due - time), tonumber(ARGV[4]))`,
  false,
);

/**
 * Keys: index. Arguments: how many, and for how many milliseconds a mover has a store in hand. Takes the
 * stores that are to be looked at. Returns the server's time, the milliseconds until the next one is (-1:
 * there is none), then the stores.
 */
export const TAKE_STORES = new Script(`${NOW}
local time = now()
local reply = { time, -1 }
for _, store in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZADD', KEYS[1], time + ARGV[2] + 0.5, store)
  reply[#reply + 1] = store
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if first then reply[2] = math.max(0, math.ceil(tonumber(first) - time)) end
return reply`);

/**
 * Keys: due times, frames, target. Arguments: kind, name, how many, milliseconds that a refused frame is
 * put off, and what the keys of marks begin with. Sends what is due; the window of an id begins then. Returns how many were sent, how many were refused, the first refusal, and
 * the milliseconds until the next is due (-1: none is left).
 */
export const MOVE = new Script(`${NOW}${SEND}
local time = now()

local sent, refused, problem = 0, 0, ''
local function begin(mark, reply)
  local digest, window = (redis.call('GET', mark) or ''):match('^(' .. string.rep('.', 22) .. ')w(%d+)$')
  if digest then redis.call('SET', mark, digest .. reply, 'PX', window) end
end
local function leave(handle)
  redis.call('ZREM', KEYS[1], handle)
  redis.call('HDEL', KEYS[2], handle)
end
for _, handle in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time, 'LIMIT', 0, ARGV[3])) do
  local value = redis.call('HGET', KEYS[2], handle)
  if value then
    local colon = value:find(':', 1, true)
    -- Somebody else's writing is put off like what is refused: an error here would stop all others.
    local maxlen, id = value:sub(1, (colon or 1) - 1):match('^(%d*)(i?)$')
    local reply = { err = 'ERR a value that is no delayed message' }
    if colon and maxlen then reply = send[ARGV[1]](ARGV[2], value:sub(colon + 1), maxlen) end
    if type(reply) == 'table' and reply.err then
      refused = refused + 1
      if problem == '' then problem = reply.err end
      redis.call('ZADD', KEYS[1], time + ARGV[4], handle)
    else
      sent = sent + 1
      if id == 'i' then begin(ARGV[5] .. handle, reply) end
      leave(handle)
    end
  else leave(handle) end
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return { sent, refused, problem, first and math.max(0, math.ceil(tonumber(first) - time)) or -1 }`);

/**
 * Keys: index. Arguments: store, its time as {@link TAKE_STORES} set it, and the milliseconds until it is
 * to be looked at again (-1: it is empty). Puts off or removes a store that a mover has in hand. Where a
 * frame was announced meanwhile, the earlier time counts. Returns the milliseconds until the next store is
 * to be looked at (-1: there is none).
 */
export const PUT_OFF = new Script(`${NOW}
local time = now()
local wait = tonumber(ARGV[3])
local known = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]))
if known == tonumber(ARGV[2]) then
  if wait < 0 then redis.call('ZREM', KEYS[1], ARGV[1])
  else redis.call('ZADD', KEYS[1], time + wait, ARGV[1]) end
elseif wait >= 0 and (not known or time + wait < known) then
  redis.call('ZADD', KEYS[1], time + wait, ARGV[1])
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
return first and math.max(0, math.ceil(tonumber(first) - time)) or -1`);

/** Keys: due times, frames, mark. Arguments: handle. Returns 1 where the frame was there; its id is forgotten. */
export const CANCEL = new Script(`redis.call('HDEL', KEYS[2], ARGV[1])
local removed = redis.call('ZREM', KEYS[1], ARGV[1])
if removed == 1 and string.sub(redis.call('GET', KEYS[3]) or '', 23, 23) == 'w' then
  redis.call('DEL', KEYS[3])
end
return removed`);

/** Keys: due times, frames. Arguments: first and last place. Returns handle, due time and value in turn. */
export const LIST = new Script(`local reply = {}
local rows = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
for i = 1, #rows, 2 do
  local value = redis.call('HGET', KEYS[2], rows[i])
  if value then
    reply[#reply + 1] = rows[i]
    reply[#reply + 1] = rows[i + 1]
    reply[#reply + 1] = value
  end
end
return reply`);
