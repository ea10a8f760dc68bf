import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { randomId } from '../../internal/ids.ts';
import { membersWithScores, serverTime } from './replies.ts';
import type { Timings } from '../timings.ts';
import type { Report } from '../source.ts';

/** How many consumers are looked at in one round: those that have been silent for longest. */
const MANY = 256;
/** The server's clock: seconds and microseconds. */
const TIME = `return redis.call('TIME')`;
/** Milliseconds on the server's clock, as Lua. */
const NOW = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/**
 * Gives a dead consumer's items back, the newest first, so that they keep their order; in one step, so
 * that none is taken in between. Returns how many, or -1 where the consumer is alive after all.
 */
const GIVE_BACK = `${NOW}
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score then return 0 end
local silence = now - score
if silence < tonumber(ARGV[2]) then return -1 end
local moved = 0
while redis.call('LMOVE', KEYS[3], KEYS[1], 'RIGHT', 'LEFT') do moved = moved + 1 end
if silence >= tonumber(ARGV[3]) then redis.call('ZREM', KEYS[2], ARGV[1]) end
return moved`;

/** Gives back all items but those still being handled, in order. With ARGV[2] = 1 the consumer is removed where it has none left. */
const LEAVE = `local keep = {}
for i = 3, #ARGV do keep[ARGV[i]] = (keep[ARGV[i]] or 0) + 1 end
local items = redis.call('LRANGE', KEYS[3], 0, -1)
redis.call('DEL', KEYS[3])
for i = #items, 1, -1 do
  local item = items[i]
  if (keep[item] or 0) > 0 then
    keep[item] = keep[item] - 1
    redis.call('LPUSH', KEYS[3], item)
  else
    redis.call('LPUSH', KEYS[1], item)
  end
end
if ARGV[2] == '1' and redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return #items`;

/**
 * One consumer of a reliable list, and what it does about the others. Each has a processing list of its
 * own, and writes the time of its last sign of life, by the server's clock, into one sorted set. Each
 * looks for consumers that have been silent for `expiry`, and gives their items back. All keys hash to
 * the slot of the list itself.
 */
export class ListConsumers {
  /** The key of this consumer's processing list. */
  readonly processing: string;
  readonly #client: Redis;
  readonly #list: string;
  readonly #base: string;
  readonly #registry: string;
  readonly #consumer: string;
  readonly #report: Report;
  readonly #timings: Timings;
  #beats: NodeJS.Timeout | undefined;
  #look: NodeJS.Timeout | undefined;
  /** When the last sign of life that the server has confirmed was sent. */
  #confirmed: Moment | undefined;
  /** The server's clock minus `Date.now()`, and when that was measured. */
  #offset = 0;
  #asked: Moment | undefined;
  #isFailing = false;
  #isClosed = false;
  /** Dead consumers whose items were given back, and the time to look at them again. */
  readonly #dead = new Map<string, number>();

  constructor(client: Redis, list: string, report: Report, timings: Timings) {
    this.#client = client;
    this.#list = list;
    this.#report = report;
    this.#timings = timings;
    // The keys share the list's hash tag; without one, its name is their tag. On a cluster a name with an empty tag `{}` does not work.
    this.#base = /^[^{]*\{[^}]/.test(list) ? `redstart:list::${list}` : `redstart:list:{${list}}`;
    this.#registry = `${this.#base}:consumers`;
    const host = hostname().replaceAll(':', '-');
    this.#consumer = `${host}-${process.pid}-${randomId(8)}`;
    this.processing = this.#processingOf(this.#consumer);
  }

  /** Registers this consumer, which must come before its first move; then starts its signs of life and its looks at the others. */
  async join(): Promise<void> {
    await this.beat();
    this.#beats = setInterval(() => this.#beatOn(), this.#timings.beat).unref();
    this.#lookSoon(0);
  }

  /**
   * Registers again where others may have removed this consumer, after a frozen process or a lost
   * connection: items moved by an unregistered consumer would be lost.
   */
  renew(): Promise<void> | undefined {
    return elapsed(this.#confirmed) < this.#timings.expiry ? undefined : this.beat();
  }

  async beat(): Promise<void> {
    const sent = moment();
    const { clockLife, clockJump } = this.#timings;
    // After a local clock was set, the offset to the server's clock is wrong.
    if (elapsed(this.#asked) > clockLife || jumped(this.#asked, clockJump)) await this.#askTime();
    await this.#client.zadd(this.#registry, Date.now() + this.#offset, this.#consumer);
    this.#confirmed = sent;
  }

  /** Ends the signs of life and the looks at others. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#beats);
    clearTimeout(this.#look);
  }

  /** Gives back what this consumer holds, but for `keep`. With `forget` it is removed where it holds nothing then. */
  async leave(keep: readonly Buffer[], forget: boolean): Promise<void> {
    const keys = [this.#list, this.#registry, this.processing];
    await this.#client.eval(LEAVE, 3, ...keys, this.#consumer, forget ? '1' : '0', ...keep);
  }

  #processingOf(consumer: string): string {
    return `${this.#base}:${consumer}`;
  }

  #beatOn(): void {
    if (this.#client.status === 'end') return this.close();
    if (this.#client.status !== 'ready') return;
    this.beat().then(
      () => (this.#isFailing = false),
      (error: unknown) => {
        if (this.#isFailing || this.#isClosed) return;
        this.#isFailing = true;
        this.#report('no sign of life can be given, others will take over what is held', error);
      },
    );
  }

  async #askTime(): Promise<void> {
    const asked = moment();
    // By a script, which runs on the list's node: on a cluster, a plain TIME asks any node.
    const reply = await this.#client.eval(TIME, 1, this.#registry);
    this.#offset = serverTime(reply) - Date.now();
    this.#asked = asked;
  }

  #lookSoon(delay: number): void {
    if (this.#isClosed) return;
    const look = (): void => {
      this.#lookAfter().then(
        (wait) => this.#lookSoon(wait),
        () => this.#lookSoon(this.#timings.beat), // a lost server makes `beat` fail too, which is reported
      );
    };
    this.#look = setTimeout(look, delay).unref();
  }

  /** Gives back the items of dead consumers. Returns the milliseconds until the next consumer can be dead. */
  async #lookAfter(): Promise<number> {
    const { beat, expiry, lookAgain } = this.#timings;
    if (this.#client.status !== 'ready') return beat;
    const now = Date.now() + this.#offset;
    const reply = await this.#client.zrange(this.#registry, '0', String(MANY - 1), 'WITHSCORES');
    let next = now + expiry;
    for (const [consumer, score] of membersWithScores(reply)) {
      if (consumer === this.#consumer) continue;
      if (now - score < expiry) {
        this.#dead.delete(consumer);
        next = Math.min(next, score + expiry);
        continue;
      }
      if ((this.#dead.get(consumer) ?? 0) > now) continue;
      if (await this.#giveBack(consumer)) this.#dead.set(consumer, now + lookAgain);
      else next = now;
    }
    for (const [consumer, until] of this.#dead) {
      if (until <= now) this.#dead.delete(consumer);
    }
    return Math.max(next - now, beat / 10);
  }

  /** True when everything was given back; false where the consumer is alive. */
  async #giveBack(consumer: string): Promise<boolean> {
    const keys = [this.#list, this.#registry, this.#processingOf(consumer)];
    const limits = [this.#timings.expiry, this.#timings.forget].map(String);
    const moved = await this.#client.eval(GIVE_BACK, 3, ...keys, consumer, ...limits);
    return Number(moved) >= 0;
  }
}

/**
 * One moment on both clocks of this machine: the wall clock is set now and then, the steady one stands
 * still while the machine sleeps. They are the process's own and not those of internal/clock: they are
 * compared with the server's clock, which no test makes jump.
 */
interface Moment {
  readonly wall: number;
  readonly steady: number;
}

function moment(): Moment {
  return { wall: Date.now(), steady: performance.now() };
}

/** Milliseconds since then, by the clock that shows more. */
function elapsed(since: Moment | undefined): number {
  if (since === undefined) return Infinity;
  return Math.max(Date.now() - since.wall, performance.now() - since.steady);
}

/** Whether the wall clock was set since then, or the machine slept: the clocks disagree by more than `tolerance` milliseconds. */
function jumped(since: Moment | undefined, tolerance: number): boolean {
  if (since === undefined) return true;
  return Math.abs(Date.now() - since.wall - (performance.now() - since.steady)) > tolerance;
}
