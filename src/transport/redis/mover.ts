import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { deferred, type Deferred } from '../../internal/deferred.ts';
import { describe } from '../address.ts';
import type { ServerClock } from '../server-clock.ts';
import type { Report, Sources } from '../source.ts';
import type { Timings } from '../timings.ts';
import { DelayedKeys, storeKind, targetOfStore } from './delayed-keys.ts';
import { MOVE, PUT_OFF, TAKE_STORES } from './delayed-scripts.ts';
import { sentKey } from './send-once.ts';

/** Stores that one look takes in hand. */
const STORES = 32;

/** Frames that one script sends: it must not hold up the server. */
const FRAMES = 100;

/** Looks that fail in a row before it is reported. */
const MANY_FAILURES = 10;

export interface MoverOptions {
  readonly client: Redis;
  /** The key of the index, and the channel on which new frames are told of. */
  readonly index: string;
  readonly clock: ServerClock;
  readonly timings: Timings;
  readonly report: Report;
  /** Takes the count of frames that the server refused to send. */
  readonly onRefused: (count: number) => void;
  readonly listen: Sources['listen'];
}

/**
 * Sends frames that are due. Every connected broker has a mover. All of them wait for the earliest store;
 * the one that is first takes it in hand for a moment, so that the others need not look at it. A mover
 * that dies then delays that store by `storeLease`; one that is closed tells the others. Each step is one script, so it loses nothing.
 */
export class Mover {
  readonly #options: MoverOptions;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer ends, on the steady clock. */
  #due = Infinity;
  /** Resolves when the look that is under way has ended. */
  #looking: Deferred<void> | undefined;
  /** When a store was last taken in hand here, on the steady clock. The others leave it to this mover meanwhile. */
  #tookAt = -Infinity;
  /** The timer has ended during a look. */
  #isMissed = false;
  /** When each target was last reported: once in `refusedPause` is enough. */
  readonly #reported = new Map<string, number>();
  #isSubscribing = false;
  #isListening = false;
  #isClosed = false;
  /** Looks that have failed since the last that has not. */
  #failures = 0;
  /** The server refuses this user what a mover does. */
  #isRefused = false;

  constructor(options: MoverOptions) {
    this.#options = options;
  }

  /** Looks now, and then whenever something is due: also what others delay, of which it hears. */
  begin(): void {
    this.#isRefused = false;
    this.#lookIn(0);
    if (this.#isListening || this.#isSubscribing || this.#isClosed) return;
    this.#isSubscribing = true;
    void this.#listen();
  }

  /** Something is due in so many milliseconds. */
  expect(wait: number): void {
    this.#lookIn(wait);
  }

  /**
   * Resolves when nothing is in hand here any more. Those who leave a store to this mover are told to look, so that
   * what is due next is not late because this process ends.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const { client, index, timings } = this.#options;
    if (client.status !== 'ready') return;
    await this.#looking?.promise;
    if (monotonicTime() - this.#tookAt > timings.storeLease) return;
    await client.publish(index, '0').catch(() => undefined); // then they look when its time is over
  }

  async #listen(): Promise<void> {
    const { index, listen } = this.#options;
    const heard = (frame: Buffer): void => this.#lookIn(Number(frame.toString()) || 0);
    try {
      await listen(index, heard, () => this.#lookIn(0));
      this.#isListening = true;
      this.#lookIn(0);
    } catch (error) {
      if (!this.#isClosed)
        this.#report(
          'new delayed messages are not announced here, redstart looks for them every few seconds',
          error,
          'info',
        );
    }
    this.#isSubscribing = false;
  }

  /** Never later than it is set for already. */
  #lookIn(wait: number): void {
    if (this.#isClosed || this.#isRefused) return;
    const { delayedLook, delayedPoll } = this.#options.timings;
    const due = monotonicTime() + Math.min(wait, this.#isListening ? delayedLook : delayedPoll);
    if (due >= this.#due) return;
    this.#due = due;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#lookNow(), Math.ceil(due - monotonicTime())).unref();
  }

  async #lookNow(): Promise<void> {
    this.#due = Infinity;
    if (this.#looking !== undefined) {
      this.#isMissed = true;
      return;
    }
    const looking = (this.#looking = deferred<void>());
    let wait = this.#options.timings.storeLease;
    try {
      wait = await this.#look();
      this.#failures = 0;
    } catch (error) {
      this.#failed(error);
    }
    this.#looking = undefined;
    looking.resolve();
    this.#lookIn(this.#isMissed ? 0 : wait);
    this.#isMissed = false;
  }

  /** Sends what is due. Resolves with the milliseconds until something is. */
  async #look(): Promise<number> {
    const { client, index, clock, timings } = this.#options;
    // `begin` is called again when it is.
    if (client.status !== 'ready') return Infinity;
    for (;;) {
      const args = [STORES, timings.storeLease];
      const reply = TAKE_STORES.run(client, [index], args) as Promise<
        [number, number, ...Buffer[]]
      >;
      const [time, next, ...stores] = await clock.hear(reply, ([heard]) => heard);
      const mark = String(time + timings.storeLease + 0.5);
      if (stores.length > 0) this.#tookAt = monotonicTime();
      const waits = await Promise.all(stores.map((store) => this.#empty(String(store), mark)));
      if (stores.length === 0) return next < 0 ? Infinity : next;
      const soonest = Math.min(...waits);
      if (soonest > 0 || this.#isClosed) return soonest;
    }
  }

  /** Sends what is due of one store. Resolves with the milliseconds until the next store is to be looked at. */
  async #empty(store: string, mark: string): Promise<number> {
    const { client, index, timings, onRefused } = this.#options;
    const to = targetOfStore(store);
    let wait = -1;
    if (to !== undefined) {
      const keys = new DelayedKeys(to);
      const args = [storeKind(to), to.name, FRAMES, timings.refusedPause, sentKey(to, '')];
      const where = to.kind === 'channel' ? [] : [to.name];
      do {
        let reply: unknown;
        try {
          reply = await MOVE.run(client, [keys.dues, keys.frames, ...where], args);
        } catch (error) {
          // It is tried again when the mark has run out, perhaps by another process.
          if (!isPassing(error))
            this.#reportOnce(store, `what is due for ${describe(to)} cannot be sent`, error);
          return timings.storeLease;
        }
        const [, refused, problem, next] = reply as [number, number, Buffer, number];
        if (refused > 0) {
          onRefused(refused);
          this.#reportOnce(
            store,
            `delayed messages for ${describe(to)} are refused, they are tried again every ${timings.refusedPause / 1_000} s`,
            new Error(String(problem)),
          );
        }
        wait = next;
      } while (wait === 0 && !this.#isClosed);
    }
    const next = Number(await PUT_OFF.run(client, [index], [store, mark, wait]));
    return next < 0 ? Infinity : next;
  }

  #failed(error: unknown): void {
    const { client } = this.#options;
    if (this.#isClosed || client.status !== 'ready') return;
    if (messageOf(error).startsWith('NOPERM')) {
      // One that only sends or reads may lack the rights; whoever delays messages has them.
      this.#isRefused = true;
      this.#report('this user may not send delayed messages when they are due', error, 'info');
      return;
    }
    // A server that fails over or loads its data refuses for a while.
    if (++this.#failures >= MANY_FAILURES)
      this.#reportOnce('', 'delayed messages that are due cannot be looked for', error);
  }

  #reportOnce(key: string, problem: string, error: unknown): void {
    const { client, timings } = this.#options;
    if (this.#isClosed || client.status !== 'ready') return;
    const now = monotonicTime();
    for (const [other, at] of this.#reported)
      if (now - at >= timings.refusedPause / 2) this.#reported.delete(other);
    if (this.#reported.has(key)) return;
    this.#reported.set(key, now);
    this.#report(problem, error, 'warn');
  }

  #report(problem: string, error: unknown, level: 'info' | 'warn'): void {
    this.#options.report(problem, error, level);
  }
}

/** Whether the server refuses for a while, because it changes its role or loads its data, or the connection was lost. */
function isPassing(error: unknown): boolean {
  const passing =
    /^(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|UNBLOCKED|Connection is closed)/;
  return passing.test(messageOf(error));
}
