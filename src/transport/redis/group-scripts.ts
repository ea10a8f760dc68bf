// What happens to the entries of a group on the server. Each step is one script, which looks first whether
// an entry is still its consumer's: one that was frozen must not take back what others took over.
import { Script } from './script.ts';

const MINE = `local function isOwned(id, consumer)
  return #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, consumer) > 0
end
`;

const NOW = `local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/**
 * Keys: stream. Arguments: group, consumer, then ids and delivery counts in turn. Delivers a consumer's
 * own entries again, with these counts. Returns the entries; one that was deleted is acknowledged.
 */
export const DELIVER_AGAIN = new Script(`${MINE}
local reply = {}
for i = 3, #ARGV, 2 do
  if isOwned(ARGV[i], ARGV[2]) then
    local entry =
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'RETRYCOUNT', ARGV[i + 1])[1]
    if entry and entry[2] then reply[#reply + 1] = entry
    else redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) end
  end
end
return reply`);

/**
 * Keys: stream. Arguments: group, consumer, idle time, then ids and delivery counts in turn. Takes over entries
 * that have been idle for so long, with these counts. Returns them.
 */
export const CLAIM = new Script(`local reply = {}
for i = 4, #ARGV, 2 do
  local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[i],
    'RETRYCOUNT', ARGV[i + 1])[1]
  if entry and entry[2] then reply[#reply + 1] = entry end
end
return reply`);

/** Keys: stream. Arguments: group, consumer, ids. Tells the others that a consumer still has its entries in hand. */
export const RENEW = new Script(`${MINE}
for i = 3, #ARGV do
  if isOwned(ARGV[i], ARGV[2]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  end
end`);

/** Keys: stream. Arguments: group, consumer, idle time, then ids and delivery counts in turn. Leaves entries to whoever looks next. */
export const GIVE_BACK = new Script(`${MINE}
for i = 4, #ARGV, 2 do
  if isOwned(ARGV[i], ARGV[2]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i],
      'IDLE', ARGV[3], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  end
end`);

/** Lets the due times expire some time after the last of them: they are no messages. */
const KEEP = `local function keep(time, life)
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
  if last[2] then redis.call('PEXPIRE', KEYS[2], math.max(0, tonumber(last[2]) - time) + life) end
end
`;

/** Keys: stream, due times. Arguments: group, consumer, parked consumer, life, id, delivery count, milliseconds. */
export const PARK = new Script(`${MINE}${NOW}${KEEP}
if not isOwned(ARGV[5], ARGV[2]) then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[5], 'RETRYCOUNT', ARGV[6], 'JUSTID')
local time = now()
redis.call('ZADD', KEYS[2], time + ARGV[7], ARGV[5])
keep(time, tonumber(ARGV[4]))
return 1`);

/**
 * Keys: stream, due times. Arguments: group, consumer, parked consumer, how many. Takes what is due.
 * Returns the milliseconds until the next is (-1: none is parked), then entries and the counts of their next deliveries in turn.
 */
export const UNPARK = new Script(`${NOW}
local reply = { -1 }
local time = now()
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', time, 'LIMIT', 0, ARGV[4])
for _, id in ipairs(due) do
  redis.call('ZREM', KEYS[2], id)
  local row = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[3])[1]
  if row then
    local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id,
      'RETRYCOUNT', math.max(1, row[4]))[1]
    if entry and entry[2] then
      reply[#reply + 1] = entry
      reply[#reply + 1] = row[4] + 1
    else redis.call('XACK', KEYS[1], ARGV[1], id) end
  end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if first[2] then reply[1] = math.max(0, tonumber(first[2]) - time) end
return reply`);

/** Keys: stream, due times. Arguments: group, parked consumer, life. Makes due what is parked without a due time: that has been lost. Returns how many. */
export const FIND_PARKED = new Script(`${NOW}${KEEP}
local time = now()
local found = 0
for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000, ARGV[2])) do
  found = found + redis.call('ZADD', KEYS[2], 'NX', time, row[1])
end
if found > 0 then keep(time, tonumber(ARGV[3])) end
return found`);

/**
 * Keys: stream, ends of pauses. Arguments: group, consumer, life, id, delivery count, milliseconds. Notes how
 * long an entry pauses that stays its consumer's, for whoever reads it if that ends before.
 */
export const NOTE_PAUSE = new Script(`${MINE}${NOW}${KEEP}
if not isOwned(ARGV[4], ARGV[2]) then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[4], 'RETRYCOUNT', ARGV[5], 'JUSTID')
local time, life = now(), tonumber(ARGV[3])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', time - life, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], old)
end
redis.call('ZADD', KEYS[2], time + ARGV[6], ARGV[4])
keep(time, life)
return 1`);

/** Keys: ends of pauses. Arguments: ids. Returns the milliseconds that each still pauses, 0 where it does not. */
export const PAUSES_LEFT = new Script(`${NOW}
local time = now()
local left = {}
for i, id in ipairs(ARGV) do
  local due = redis.call('ZSCORE', KEYS[1], id)
  left[i] = due and math.max(0, math.ceil(tonumber(due) - time)) or 0
end
return left`);

/** Acknowledges the ids from the second argument on. */
const ACK = `for i = 2, last do redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) end
`;

/** Deletes those that every group has acknowledged. */
const DELETE = `local function parts(id)
  local time, sequence = id:match('^(%d+)-(%d+)$')
  return tonumber(time), tonumber(sequence)
end
local groups = {}
for _, row in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #row, 2 do
    if row[i] == 'name' then group.name = row[i + 1] end
    if row[i] == 'last-delivered-id' then group.time, group.sequence = parts(row[i + 1]) end
  end
  groups[#groups + 1] = group
end
for i = 2, last do
  local time, sequence = parts(ARGV[i])
  local handled = true
  for _, group in ipairs(groups) do
    local isPast = group.time > time or (group.time == time and group.sequence >= sequence)
    if not isPast or #redis.call('XPENDING', KEYS[1], group.name, ARGV[i], ARGV[i], 1) > 0 then
      handled = false
      break
    end
  end
  if handled then redis.call('XDEL', KEYS[1], ARGV[i]) end
end`;

/** Keys: stream. Arguments: group, ids. Acknowledges, and deletes what every group has acknowledged. */
export const ACK_AND_DELETE = new Script(`local last = #ARGV\n${ACK}${DELETE}`);

/** Sets the marks of handled messages, which live as long as the last argument says. */
const REMEMBER = `local last = #ARGV - 1
for i = 2, #KEYS do redis.call('SET', KEYS[i], '', 'PX', ARGV[#ARGV]) end
`;

/** Keys: stream, marks. Arguments: group, ids, life of the marks. Acknowledges entries and remembers that they were handled. */
export const ACK_HANDLED = new Script(`${REMEMBER}${ACK}`);

/** The same, and deletes what every group has acknowledged. */
export const ACK_HANDLED_AND_DELETE = new Script(`${REMEMBER}${ACK}${DELETE}`);

/** Keys: stream. Arguments: group, consumer. Deletes a consumer that has nothing pending. Check and deletion are one step: an entry delivered between the two would be lost. */
export const REMOVE =
  new Script(`if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
  return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return -1`);

/** Keys: lease. Arguments: owner, milliseconds. Returns 0 where the lease is the owner's now, else the milliseconds that another still has. */
export const LEASE = new Script(`local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return math.max(1, redis.call('PTTL', KEYS[1])) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0`);

/** Keys: lease. Arguments: owner. */
export const RELEASE = new Script(
  `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`,
);
