// What the server remembers of messages that are handled once, and of calls that are answered once.
import { Script } from './script.ts';

/**
 * Keys: mark. Arguments: owner, lease, and for a list what the keys of held items begin with. The mark of a
 * handled message is empty. Returns 0 where the mark is the owner's now, -1 where the message was handled, else
 * the milliseconds that another still has. One that does not hold its item any more has none: it was taken for
 * dead, and its items were given back.
 */
export const TAKE_MARK = new Script(`local before = redis.call('GET', KEYS[1])
if before == '' then return -1 end
if before and before ~= ARGV[1] then
  local consumer, token = before:match('^(%S+) (%S+)$')
  local isGone = ARGV[3] and consumer and not redis.call('HGET', ARGV[3] .. consumer, token)
  if not isGone then return math.max(1, redis.call('PTTL', KEYS[1])) end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0`);

/** Keys: held items, marks. Arguments: life of the marks, tokens. Acknowledges the items of a list and remembers that they were handled. */
export const ACK_HANDLED_ITEMS = new Script(`for i = 2, #KEYS do
  redis.call('SET', KEYS[i], '', 'PX', ARGV[1])
end
for i = 2, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end`);

/*
 * A call is a hash: `h` the digest of its body, `o` who runs it, `l` until when that is known to live
 * (server's milliseconds), `a` its answer once there is one, and a field for each who waits for it.
 */
const CALL = `local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function askers(reply)
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 1) == '>' then reply[#reply + 1] = fields[i + 1] end
  end
  return reply
end
`;

/**
 * Keys: call. Arguments: digest, owner, lease, life, asker's field, asker, 1 where the request was
 * delivered before, 1 where only a known call is taken up, most askers. Returns the state; of an
 * answered call also the answer and the askers.
 */
export const BEGIN_CALL = new Script(`${CALL}
local digest = redis.call('HGET', KEYS[1], 'h')
local time = now()
local function run()
  redis.call('HSET', KEYS[1], 'h', ARGV[1], 'o', ARGV[2], 'l', string.format('%d', time + ARGV[3]),
    ARGV[5], ARGV[6])
  redis.call('PEXPIRE', KEYS[1], ARGV[3] + ARGV[4])
  return { 'run' }
end
if not digest then
  if ARGV[8] == '1' then return { 'unknown' } end
  return run()
end
if digest ~= ARGV[1] then return { 'conflict' } end
local answer = redis.call('HGET', KEYS[1], 'a')
if answer then return askers({ 'answered', answer }) end
local lease = tonumber(redis.call('HGET', KEYS[1], 'l'))
if lease <= time then return run() end
if ARGV[7] == '1' then
  local owner = redis.call('HGET', KEYS[1], 'o')
  local call = string.sub(ARGV[5], 2) .. ':'
  if string.sub(owner, 1, #call) == call then return run() end
end
if redis.call('HLEN', KEYS[1]) - 3 >= tonumber(ARGV[9]) and not redis.call('HGET', KEYS[1], ARGV[5]) then
  return { 'full' }
end
redis.call('HSET', KEYS[1], ARGV[5], ARGV[6])
return { 'joined' }`);

/** Keys: call. Arguments: owner, lease, life. */
export const RENEW_CALL = new Script(`${CALL}
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], 'a') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'l', string.format('%d', now() + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2] + ARGV[3])
return 1`);

/**
 * Keys: call. Arguments: owner, digest, asker's field, asker, then the answer and its life where it is
 * kept. Returns those who are to be sent the answer; none where another owner has the call now. It may be
 * sent twice: the second time finds its own answer.
 */
export const END_CALL = new Script(`${CALL}
local owner = redis.call('HGET', KEYS[1], 'o')
if owner and owner ~= ARGV[1] then return {} end
if not owner then redis.call('HSET', KEYS[1], 'h', ARGV[2], 'o', ARGV[1], 'l', 0, ARGV[3], ARGV[4]) end
local reply = askers({})
if ARGV[6] then
  redis.call('HSET', KEYS[1], 'a', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
else
  redis.call('DEL', KEYS[1])
end
return reply`);

/** Keys: call. Arguments: owner, life. Lets the next request run. */
export const PAUSE_CALL =
  new Script(`if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] or redis.call('HEXISTS', KEYS[1], 'a') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'l', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`);

/** Keys: call. Arguments: asker's field, asker, most askers. Returns the state, as above. */
export const ASK_CALL =
  new Script(`if redis.call('EXISTS', KEYS[1]) == 0 then return { 'unknown' } end
local answer = redis.call('HGET', KEYS[1], 'a')
if answer then return { 'answered', answer } end
if redis.call('HLEN', KEYS[1]) - 3 >= tonumber(ARGV[3]) and not redis.call('HGET', KEYS[1], ARGV[1]) then
  return { 'full' }
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return { 'joined' }`);
