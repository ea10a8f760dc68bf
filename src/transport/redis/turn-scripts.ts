// Repeated messages: a series has one hash, in the slot of its target. `last` is the turn that was sent
// last, `claim` the time until which a process has to send the next one, `removed` stands where it was ended.
import { Script } from './script.ts';
import { NOW, SEND } from './delayed-scripts.ts';

/**
 * Keys: series. Arguments: time of the turn, lease, life, tolerance. A series that is not known begins with the
 * turn after this one. So does one whose last turn is in the future: the server's clock was set back. Returns -1 where the turn is the caller's, -2 where the series was removed, 0 where
 * the turn was sent, else the milliseconds after which to ask again.
 */
export const TAKE_TURN = new Script(`${NOW}
local time = now()
if redis.call('HGET', KEYS[1], 'removed') then return -2 end
local turn = tonumber(ARGV[1])
if turn > time then return turn - time end
local last = tonumber(redis.call('HGET', KEYS[1], 'last'))
if not last or last - time > tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], 'last', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 0
end
if turn <= last then return 0 end
local claim = tonumber(redis.call('HGET', KEYS[1], 'claim') or 0)
if claim > time and claim - time <= tonumber(ARGV[2]) then return claim - time end
redis.call('HSET', KEYS[1], 'claim', time + ARGV[2])
return -1`);

/** Keys: series, target. Arguments: kind, name, maxlen, frame, time of the turn, life. Returns 1 where it was sent, 0 where it was before. */
export const SEND_TURN = new Script(
  `${SEND}
if redis.call('HGET', KEYS[1], 'removed') then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'last') or 0) >= tonumber(ARGV[5]) then return 0 end
local reply = send[ARGV[1]](ARGV[2], ARGV[4], ARGV[3])
if type(reply) == 'table' and reply.err then return reply end
redis.call('HSET', KEYS[1], 'last', ARGV[5])
redis.call('HDEL', KEYS[1], 'claim')
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 1`,
  false,
);

/** Keys: series. Arguments: `begin` or `remove`, life of what is removed. */
export const MARK_TURNS = new Script(`if ARGV[1] == 'begin' then
  redis.call('HDEL', KEYS[1], 'removed')
else
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'removed', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end`);
