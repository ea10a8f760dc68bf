import type { Redis } from 'ioredis';
import { pause } from '../../internal/deferred.ts';
import type { Report } from '../source.ts';
import type { Timings } from '../timings.ts';
import type { ListKeys } from './list-keys.ts';
import { Listening } from './listening.ts';
import { LEAVE, TAKE_OVER, TIDY } from './list-scripts.ts';
import { fieldsAndValues } from './replies.ts';
import { evenWithoutMemory } from './script.ts';

/** What is known of another consumer. */
interface Seen {
  /** The number of its last sign of life. */
  beat: string;
  /** Since when that has not changed, on this process's clock. */
  since: number;
  /** When to look at it again, its items given back. */
  again: number;
}

/** With more consumers than this, each looks at the others less often. */
const MANY = 100;

/**
 * One consumer of a reliable list, and what it does about the others. Each counts its signs of life in
 * one hash. One whose number has not changed while another watched it for `expiry` is dead, and its items
 * are given back. No clock is compared with another's, and whoever was cut off, or had to wait for the
 * server, begins to watch anew: after an outage everybody has given a sign of life before anybody is
 * missed.
 */
export class ListConsumers {
  readonly consumer: string;
  readonly #client: Redis;
  /** Lists have one each on the same client, which may be many. */
  readonly #listening: Listening;
  readonly #keys: ListKeys;
  readonly #report: Report;
  readonly #timings: Timings;
  readonly #holdsNothing: () => boolean;
  readonly #seen = new Map<string, Seen>();
  #beats: NodeJS.Timeout | undefined;
  #look: NodeJS.Timeout | undefined;
  #count = 0;
  /** When the last sign of life that the server has confirmed was sent. */
  #confirmed: Moment | undefined;
  /** When the next look is due. */
  #lookDue = 0;
  #tidied: Moment | undefined;
  #isFailing = false;
  #hasLookFailed = false;
  #isClosed = false;
  readonly #onClose = (): void => this.#seen.clear();
  readonly #onReady = (): void => this.#beatOn();

  constructor(
    client: Redis,
    keys: ListKeys,
    consumer: string,
    report: Report,
    timings: Timings,
    holdsNothing: () => boolean,
  ) {
    this.#client = client;
    this.#listening = new Listening(client);
    this.#keys = keys;
    this.consumer = consumer;
    this.#report = report;
    this.#timings = timings;
    this.#holdsNothing = holdsNothing;
  }

  /** Registers this consumer, which must come before its first move; then starts its signs of life and its looks at the others. */
  async join(): Promise<void> {
    await this.beat();
    this.#listening.on('close', this.#onClose);
    this.#listening.on('ready', this.#onReady);
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
    const { consumers } = this.#keys;
    const count = ++this.#count;
    await evenWithoutMemory(this.#client, consumers, 'HSET', consumers, this.consumer, count);
    this.#confirmed = sent;
    if (this.#holdsNothing() && elapsed(this.#tidied) > this.#timings.forget)
      await this.#tidy(sent);
  }

  /**
   * Resolves when no other consumer that holds items may be dead: each has given a sign of life, or holds
   * nothing any more, since its items were given back.
   */
  async othersJudged(isOver: () => boolean): Promise<void> {
    const { consumers } = this.#keys;
    const reply = await this.#client.call('HGETALL', consumers);
    let open = fieldsAndValues(reply).filter(([name]) => name !== this.consumer);
    const judge = async ([name, beat]: [name: string, beat: string]): Promise<boolean> => {
      const [held, moved] = [this.#keys.heldBy(name), this.#keys.movedFor(name)];
      if ((await this.#client.exists(held, moved)) === 0) return true;
      return (await this.#client.hget(consumers, name)) !== beat;
    };
    while (open.length > 0 && !isOver()) {
      const judged = await Promise.all(open.map(judge));
      open = open.filter((_, i) => judged[i] !== true);
      if (open.length > 0) await pause(this.#timings.beat / 10);
    }
  }

  /** Something was taken: the consumers do not expire until they are tidied again. */
  touched(): void {
    this.#tidied = undefined;
  }

  /** Ends the signs of life and the looks at others. */
  close(): void {
    this.#isClosed = true;
    this.#listening.stop();
    clearInterval(this.#beats);
    clearTimeout(this.#look);
  }

  /** Removes this consumer where it holds nothing. */
  async leave(): Promise<void> {
    const { consumers } = this.#keys;
    const keys = [consumers, this.#keys.heldBy(this.consumer), this.#keys.movedFor(this.consumer)];
    await LEAVE.run(this.#client, keys, [this.consumer]);
  }

  async #tidy(at: Moment): Promise<void> {
    const { consumers, base } = this.#keys;
    await TIDY.run(this.#client, [consumers], [this.#timings.keyLife, base]);
    this.#tidied = at;
  }

  #beatOn(): void {
    if (this.#client.status === 'end') return this.close();
    if (this.#client.status !== 'ready') return;
    this.beat().then(
      () => (this.#isFailing = false),
      (error: unknown) => {
        // The transport has been closed.
        if (this.#isFailing || this.#isClosed || (this.#client.status as string) === 'end') return;
        this.#isFailing = true;
        this.#report(
          'no sign of life could be given, other consumers will take over the items of this one',
          error,
        );
      },
    );
  }

  #lookSoon(delay: number): void {
    if (this.#isClosed) return;
    this.#lookDue = performance.now() + delay;
    const look = (): void => {
      this.#lookAfter().then(
        (wait) => {
          this.#hasLookFailed = false;
          this.#lookSoon(wait);
        },
        (error: unknown) => {
          this.#fail('the other consumers cannot be looked at, nothing is given back', error);
          this.#lookSoon(this.#timings.beat);
        },
      );
    };
    this.#look = setTimeout(look, delay).unref();
  }

  /** Gives back the items of dead consumers. Returns the milliseconds until the next look. */
  async #lookAfter(): Promise<number> {
    const { beat, expiry, look, lookAgain, forget } = this.#timings;
    if (this.#client.status !== 'ready') {
      this.#seen.clear();
      return beat;
    }
    const asked = performance.now();
    const reply = await this.#client.call('HGETALL', this.#keys.consumers);
    const now = performance.now();
    // This process, the network or the server stood still: others could not give a sign of life either.
    if (now - asked > beat || asked - this.#lookDue > beat) this.#seen.clear();
    const found = fieldsAndValues(reply);
    const names = new Set(found.map(([name]) => name));
    for (const name of this.#seen.keys()) if (!names.has(name)) this.#seen.delete(name);
    let next = now + look * Math.max(1, found.length / MANY);
    let failure: unknown;
    for (const [name, sign] of found) {
      if (name === this.consumer) continue;
      const seen = this.#seen.get(name);
      if (seen === undefined || seen.beat !== sign) {
        this.#seen.set(name, { beat: sign, since: asked, again: 0 });
        continue;
      }
      const silence = asked - seen.since;
      // One that was silent since the last look is looked at when it can be dead.
      if (silence < expiry) next = Math.min(next, seen.since + expiry);
      if (silence < expiry || seen.again > now) continue;
      try {
        if (!(await this.#takeOver(name, sign, silence >= forget))) this.#seen.delete(name);
        seen.again = now + lookAgain;
      } catch (error) {
        // One that cannot be given back does not keep the others from it.
        failure = error;
      }
    }
    if (failure !== undefined)
      this.#fail('items of a dead consumer could not be given back, it is tried again', failure);
    return Math.max(next - performance.now(), beat / 10);
  }

  /** True when everything was given back; false where the consumer is alive. */
  async #takeOver(consumer: string, beat: string, forget: boolean): Promise<boolean> {
    const { list, consumers, counts } = this.#keys;
    const keys = [
      list,
      consumers,
      this.#keys.heldBy(consumer),
      this.#keys.movedFor(consumer),
      counts,
    ];
    const args = [consumer, beat, this.#timings.keyLife, forget ? 1 : 0];
    return Number(await TAKE_OVER.run(this.#client, keys, args)) >= 0;
  }

  #fail(problem: string, error: unknown): void {
    // A lost server makes `beat` fail too, which is reported.
    if (this.#hasLookFailed || this.#isClosed || this.#client.status !== 'ready') return;
    this.#hasLookFailed = true;
    this.#report(problem, error);
  }
}

/**
 * One moment on both clocks of this machine: the wall clock is set now and then, the steady one stands
 * still while the machine sleeps. They are the process's own and not those of internal/clock, which
 * tests move: what is measured is whether the server has heard of this process.
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
