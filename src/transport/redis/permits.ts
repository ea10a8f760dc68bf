import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { pause } from '../../internal/deferred.ts';
import type { Timings } from '../timings.ts';
import { SLACK, RateGate, type Permits, type Rate } from '../rate.ts';
import { besideKey } from './list-keys.ts';
import { itemMoved } from './replies.ts';
import { Script, isOutOfMemory } from './script.ts';

/**
 * One key holds when the next permit would be due if all came evenly (GCRA), and when that was written, in
 * microseconds on the server's clock. It lives a second longer than that says anything. Where the server's
 * clock was set back since, the permits go back with it: nobody waits until it is as late again.
 */
const STATE = `local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step = tonumber(ARGV[2]) * 1000 / tonumber(ARGV[1])
local function known()
  local due, at = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%S+)$')
  return due and math.max(now, due - math.max(0, at - now)) or now
end
local function keep(due)
  local life = math.ceil(math.max(0, due - now) / 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.2f %.0f', due, now), 'PX', life)
end
`;

/** Keys: state. Arguments: limit, per, slack in microseconds, how many. Returns how many permits, and the milliseconds until it is worth to ask again. */
const ASK = new Script(`${STATE}
local slack, max = tonumber(ARGV[3]), tonumber(ARGV[4])
local due = known()
local granted = 0
if due - slack <= now then
  granted = math.min(max, math.floor((now + slack - due) / step) + 1)
  keep(due + granted * step)
  return { granted, 0 }
end
local worth = math.min(max, math.floor(slack / step / 2) + 1)
return { 0, math.max(1, math.ceil((due - slack + (worth - 1) * step - now) / 1000)) }`);

/** Keys: state. Arguments: limit, per, how many. Returns permits that were not used. */
const GIVE_BACK = new Script(`${STATE}
keep(known() - tonumber(ARGV[3]) * step)`);

/** The permits of all who read a list or as a group: one script a fetch. */
class RedisPermits implements Permits {
  readonly #client: Redis;
  readonly #key: string;
  readonly #rate: Rate;

  constructor(client: Redis, key: string, rate: Rate) {
    this.#client = client;
    this.#key = key;
    this.#rate = rate;
  }

  async ask(max: number): Promise<{ granted: number; wait: number }> {
    const { limit, per } = this.#rate;
    const args = [limit, per, Math.round(per * 1_000 * SLACK), max];
    const [granted, wait] = (await ASK.run(this.#client, [this.#key], args)) as [number, number];
    return { granted, wait };
  }

  async giveBack(count: number): Promise<void> {
    const { limit, per } = this.#rate;
    await GIVE_BACK.run(this.#client, [this.#key], [limit, per, count]);
  }
}

/** Undefined where there is no limit. */
export function rateGate(
  client: Redis,
  {
    name,
    group,
    rate,
  }: {
    readonly name: string;
    readonly group?: string | undefined;
    readonly rate?: Rate | undefined;
  },
): RateGate | undefined {
  if (rate === undefined) return undefined;
  const key = besideKey('rate', name) + (group === undefined ? '' : `:${group}`);
  return new RateGate(new RedisPermits(client, key, rate));
}

/**
 * Waits until a list has an item, and leaves it there: BLMOVE from its head to its head, where the server does
 * not refuse that (out of memory, before Redis 6.2).
 */
export async function untilItem(
  list: string,
  wait: number,
  { fullPoll }: Timings,
  run: (name: string, args: (string | number)[]) => Promise<unknown>,
): Promise<boolean> {
  try {
    const args = [list, list, 'LEFT', 'LEFT', Math.max(1, wait) / 1_000];
    return itemMoved(await run('blmove', args)) !== undefined;
  } catch (error) {
    if (!isOutOfMemory(error) && !messageOf(error).includes('unknown command')) throw error;
    await pause(fullPoll);
    return true;
  }
}
