import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import { randomId } from '../../internal/ids.ts';
import { membersWithScores, serverTime } from './replies.ts';
import type { Timings } from '../timings.ts';
import type { Report } from '../source.ts';

/** Consumers looked at, those first that have been silent for longest. */
const MANY = 256;
/** The server's clock: seconds and microseconds. */
const TIME = `return redis.call('TIME')`;
/** Milliseconds on the server's clock, as Lua. */
const NOW = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** Gives a dead consumer's items back, the newest first and so in order: all in one step, or those given back first would be taken first. Says how many, or -1 where it lives after all. */
const GIVE_BACK = `${NOW}
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score then return 0 end
local silence = now - score
if silence < tonumber(ARGV[2]) then return -1 end
local moved = 0
while redis.call('LMOVE', KEYS[3], KEYS[1], 'RIGHT', 'LEFT') do moved = moved + 1 end
if silence >= tonumber(ARGV[3]) then redis.call('ZREM', KEYS[2], ARGV[1]) end
return moved`;

/** Gives back all but what is still being handled, in order; a consumer that is left with nothing, and expects nothing, is forgotten. */
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
 * One consumer among those of a reliable list. Each has a processing list of its own, and its last
 * sign of life in a sorted set of them all, by the server's clock; each looks after the others and
 * gives a dead one's items back. All keys of one list hash to the slot of the list itself.
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
  /** When the last sign of life was given that the server has confirmed. */
  #confirmed: Moment | undefined;
  /** The server's clock less `Date.now()`, and when that was found. */
  #offset = 0;
  #asked: Moment | undefined;
  #isFailing = false;
  #isClosed = false;
  /** Dead consumers that were seen to, and when to look again. */
  readonly #dead = new Map<string, number>();

  constructor(client: Redis, list: string, report: Report, timings: Timings) {
    this.#client = client;
    this.#list = list;
    this.#report = report;
    this.#timings = timings;
    // The list's own hash tag, or its name as one. A name with braces that are no tag has none on a cluster.
    this.#base = /^[^{]*\{[^}]/.test(list) ? `redstart:list::${list}` : `redstart:list:{${list}}`;
    this.#registry = `${this.#base}:consumers`;
    const host = hostname().replaceAll(':', '-');
    this.#consumer = `${host}-${process.pid}-${randomId(8)}`;
    this.processing = this.#processingOf(this.#consumer);
  }

  /** Makes this consumer known, which comes before its first move; then gives signs of life and looks after the others. */
  async join(): Promise<void> {
    await this.beat();
    this.#beats = setInterval(() => this.#beatOn(), this.#timings.beat).unref();
    this.#lookSoon(0);
  }

  /** A process that was frozen, and a connection that was cut, may have been given up: what is moved is moved by somebody known. */
  renew(): Promise<void> | undefined {
    return elapsed(this.#confirmed) < this.#timings.expiry ? undefined : this.beat();
  }

  async beat(): Promise<void> {
    const sent = moment();
    const { clockLife, clockJump } = this.#timings;
    // On a clock that has jumped the sign would be one of the past, or of the future.
    if (elapsed(this.#asked) > clockLife || jumped(this.#asked, clockJump)) await this.#askTime();
    await this.#client.zadd(this.#registry, Date.now() + this.#offset, this.#consumer);
    this.#confirmed = sent;
  }

  /** No more signs of life. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#beats);
    clearTimeout(this.#look);
  }

  /** Gives back what this consumer holds, but for `keep`. With `forget` it goes for good where it holds nothing then. */
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
    // By a script, which runs where the list is: TIME alone asks any node of a cluster.
    const reply = await this.#client.eval(TIME, 1, this.#registry);
    this.#offset = serverTime(reply) - Date.now();
    this.#asked = asked;
  }

  #lookSoon(delay: number): void {
    if (this.#isClosed) return;
    const look = (): void => {
      this.#lookAfter().then(
        (wait) => this.#lookSoon(wait),
        () => this.#lookSoon(this.#timings.beat), // where it matters, the beat has failed too, and says so
      );
    };
    this.#look = setTimeout(look, delay).unref();
  }

  /** Returns how many milliseconds from now the next consumer could be dead: none is before. */
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

  /** True when all was given back; false where it turned out to live. */
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

/** Milliseconds since then, by the clock that says more. */
function elapsed(since: Moment | undefined): number {
  if (since === undefined) return Infinity;
  return Math.max(Date.now() - since.wall, performance.now() - since.steady);
}

/** Whether one of the two clocks was set anew since then: they disagree by more than `tolerance` milliseconds. */
function jumped(since: Moment | undefined, tolerance: number): boolean {
  if (since === undefined) return true;
  return Math.abs(Date.now() - since.wall - (performance.now() - since.steady)) > tolerance;
}
