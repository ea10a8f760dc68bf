import type { BreakerState } from '../api/observer.ts';
import { monotonicTime } from '../internal/clock.ts';
import { deferred, settledWithin, type Deferred } from '../internal/deferred.ts';
import { detached } from '../internal/detached.ts';
import { Pace } from './pace.ts';
import { ReadFailures, incident } from './read-failures.ts';
import type { Vitals } from './vitals.ts';
import type { SubscriptionOptions } from './subscription-options.ts';
import type { Delivery, Source } from '../transport/source.ts';

/** After this many milliseconds, a read that still waits counts as working again. */
const RECOVERED_AFTER = 1_500;

/** Milliseconds that fetched deliveries wait for a slow handler before they go back, for other consumers. */
const GIVE_BACK_AFTER = 50;
/** … and again after the server has refused to take them back: milliseconds. */
const REFUSED_AGAIN = 1_000;

/** Milliseconds in which what has not begun goes back at a stop; then its source is closed. */
const RETURN_PATIENCE = 1_000;

/** Deliveries that may wait in this process for their next delivery; past it nothing new is read. */
const MAX_WAITING = 1_000;

/** Deliveries fetched for a trial, of which the one that was tried least is handled. */
const TRIAL = 32;

/** Why nothing begins. */
type Hold = 'pause' | 'breaker';

/** Reads deliveries from a source and calls `process` for them, up to `concurrency` at a time, until it is stopped. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #source: Source;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  /** Resolves when what had not begun at the stop has gone back. */
  #returned: Promise<void> = Promise.resolve();
  #concurrency: number;
  readonly #holds = new Set<Hold>();
  /** Resolves when nothing holds any more, or it stops. */
  #released: Deferred<void> | undefined;
  /** Resolves when nothing more begins. */
  #quiet: Deferred<void> | undefined;
  /** The next delivery is a trial: see {@link Breaker}. */
  #isTrial = false;
  /** A read that a trial has begun and not waited for. */
  #early: Promise<Delivery[]> | undefined;
  /** Deliveries that are fetched and not started. */
  #waiting: Delivery[] = [];
  /** Deliveries that the server has refused to take back: they are handled here, before others are read. */
  #kept: Delivery[] = [];
  /** When the server has last refused to take something back. */
  #refusedAt = -Infinity;
  /** When each running call of `process` began, the oldest first. */
  readonly #running = new Set<{ readonly since: number }>();
  /** The time when the loop last waited. Used as the start time of calls, to save reading the clock for each. */
  #clock = 0;
  /** Deliveries handled so far. */
  #finished = 0;
  readonly #pace: Pace;
  #slot: Deferred<void> | undefined;
  #idle: Deferred<void> | undefined;
  /** Resolves when the next call of `process` ends; undefined while nobody waits. */
  #ended: Deferred<void> | undefined;
  #gaveUp = false;
  /** When the current read began; undefined while none runs. */
  #reading: number | undefined;
  readonly #failures: ReadFailures;
  #sourceStopped: Promise<void> | undefined;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#failures = new ReadFailures(options);
    this.#concurrency = options.concurrency;
    this.#pace = new Pace(options.concurrency);
  }

  start(): void {
    this.#loop = detached(() => this.#run());
  }

  get vitals(): Omit<Vitals, 'unburied'> {
    const [oldest] = this.#running;
    const { problem, backlog, held } = this.#source;
    return {
      state: this.#state(problem),
      lastError: problem === undefined ? this.#failures.last : incident(problem),
      running: this.#running.size,
      longest: oldest === undefined ? 0 : monotonicTime() - oldest.since,
      handled: this.#finished,
      fetched: this.#waiting.length + this.#kept.length,
      held,
      backlog,
    };
  }

  set concurrency(calls: number) {
    this.#concurrency = calls;
    this.#slot?.resolve();
  }

  /** Resolves when nothing more begins: what is fetched goes back. */
  pause(): Promise<void> {
    return this.#hold('pause');
  }

  resume(): void {
    this.#release('pause');
  }

  /** Follows the breaker: nothing begins while it is open, and one delivery is tried at a trial. */
  breaker(state: BreakerState): void {
    this.#isTrial = state === 'trial';
    if (state === 'open') void this.#hold('breaker');
    else this.#release('breaker');
  }

  /** Starts no more deliveries, except those that the source cannot take back. */
  halt(): void {
    this.#stopping.abort();
    this.#slot?.resolve();
    this.#released?.resolve();
  }

  /** Resolves when the calls of `process` that run now have ended. */
  async passed(): Promise<void> {
    const calls = [...this.#running];
    while (calls.some((call) => this.#running.has(call)))
      await (this.#ended ??= deferred()).promise;
  }

  /** Stops reading, and waits up to `timeout` milliseconds for running handlers. Resolves with whether all have ended. */
  async stop(timeout: number): Promise<boolean> {
    this.halt();
    this.#sourceStopped = this.#source.stop();
    this.#returned = (async () => {
      await this.#sourceStopped;
      await this.#loop;
      // Others need not wait for the handlers that run here.
      if (this.#source.canReturn && this.#options.lanes === undefined) await this.#giveBack(0);
    })();
    const ended = this.#returned.then(() => this.#drained());
    return settledWithin(ended, timeout);
  }

  /** Resolves when the source brings nothing more; undefined before `stop`. */
  get sourceStopped(): Promise<void> | undefined {
    return this.#sourceStopped;
  }

  /** Waits up to `timeout` milliseconds for handlers whose signal has aborted, then gives back what was not started. */
  async close(timeout: number): Promise<boolean> {
    this.#gaveUp = true;
    this.#slot?.resolve();
    const ended = await settledWithin(Promise.all([this.#loop, this.#drained()]), timeout);
    // What the server refuses to take back is here again then.
    await settledWithin(this.#returned, RETURN_PATIENCE);
    // The source has stopped: this read ends, and may have brought what nobody has seen.
    const early = (await this.#early?.catch(() => [])) ?? [];
    await this.#source.close([...this.#kept.splice(0), ...this.#waiting.splice(0), ...early]);
    return ended;
  }

  async #run(): Promise<void> {
    while (!this.#isOver()) {
      // What an early read brings while nothing may begin goes back.
      if (this.#early === undefined && this.#isHeld()) {
        if (this.#options.lanes === undefined) await this.#giveBack(0);
        if (this.#isHeld() && !this.#isOver()) await this.#untilReleased();
        continue;
      }
      try {
        this.#reading = monotonicTime();
        const read = this.#early ?? this.#next();
        this.#early = undefined;
        this.#waiting = await read;
        this.#failures.over();
      } catch (error) {
        this.#reading = undefined;
        if (this.#stopping.signal.aborted) return;
        if (await this.#failures.next(error, this.#stopping.signal)) continue;
        await this.#source.close([]);
        return;
      }
      this.#reading = undefined;
      if (this.#waiting.length === 0) {
        if (this.#options.lanes === undefined || this.#stopping.signal.aborted) return; // the source has stopped
        continue; // it has given back what this read waited for
      }
      if (this.#isTrial && !this.#isHeld()) await this.#tryOne();
      else await this.#startAll();
      if (this.#isOver()) return;
    }
  }

  /** Waits while nothing may begin. */
  async #untilReleased(): Promise<void> {
    this.#quiet?.resolve();
    this.#quiet = undefined;
    this.#released ??= deferred();
    await this.#released.promise;
    this.#released = undefined;
  }

  /** Whether too much waits for its next delivery for something new to be read. */
  readonly #isCrowded = (): boolean => {
    const { lanes, batch } = this.#options;
    const waiting = lanes?.waiting ?? this.#source.held - this.#running.size * batch;
    return waiting >= Math.max(MAX_WAITING, 2 * this.#concurrency);
  };

  /** Starts what is fetched, as places become free. */
  async #startAll(): Promise<void> {
    const { batch } = this.#options;
    const fetched = this.#waiting.length;
    const finished = this.#finished;
    const began = (this.#clock = monotonicTime());
    let hasGone = false;
    for (let next = 0; next < fetched && !hasGone; next += batch) {
      while (this.#isFull() && !this.#isOver() && !this.#isHeld() && !hasGone) {
        hasGone = await this.#freeSlot(next);
      }
      if (hasGone) break;
      if (this.#isHeld() && !this.#stopping.signal.aborted) {
        await this.#giveBack(next);
        return;
      }
      if (this.#isOver()) {
        this.#waiting = this.#waiting.slice(next);
        return;
      }
      this.#process(
        batch === 1 ? [this.#waiting[next] as Delivery] : this.#waiting.slice(next, next + batch),
      );
    }
    this.#waiting = [];
    while (this.#isFull() && !this.#isOver() && !this.#isHeld()) await this.#freeSlot(fetched);
    this.#pace.adapt(this.#finished - finished, monotonicTime() - began, hasGone);
  }

  /** Handles the delivery that was tried least, so that a message which always fails does not decide alone. */
  async #tryOne(): Promise<void> {
    await this.#readToUntried();
    const counts = this.#waiting.map(({ count }) => count);
    const at = counts.indexOf(Math.min(...counts));
    const [one] = this.#waiting.splice(at, 1);
    await this.#giveBack(0);
    this.#process([one as Delivery]);
    await this.#drained();
  }

  /** What has failed comes before what was never tried: reads on until that is there, or nothing more is. */
  async #readToUntried(): Promise<void> {
    while (this.#waiting.length < MAX_WAITING && this.#waiting.every(({ count }) => count > 1)) {
      const read = this.#source.read(TRIAL, this.#isCrowded);
      this.#early = read;
      let more: Delivery[] = [];
      read.then(
        (deliveries) => (more = deliveries),
        () => undefined, // the loop meets it
      );
      await settledWithin(read, GIVE_BACK_AFTER);
      if (more.length === 0) return;
      this.#early = undefined;
      this.#waiting.push(...more);
    }
  }

  /** Gives back what is fetched and has not begun, from one place on. What the server refuses to take back stays here. */
  async #giveBack(from: number): Promise<void> {
    const unstarted = [...this.#kept.splice(0), ...this.#waiting.slice(from)];
    this.#waiting = [];
    const { lanes, report } = this.#options;
    if (unstarted.length === 0 && lanes === undefined && this.#source.hasUnread !== true) return;
    try {
      await this.#source.giveBack(unstarted);
    } catch (error) {
      report('deliveries could not be given back, they stay here', error);
      this.#refusedAt = monotonicTime();
      if (lanes === undefined) this.#kept.push(...unstarted); // with lanes they are handed over again
    }
  }

  #isHeld(): boolean {
    return this.#holds.size > 0;
  }

  #isFull(): boolean {
    return this.#running.size >= this.#concurrency;
  }

  async #hold(hold: Hold): Promise<void> {
    this.#holds.add(hold);
    this.#slot?.resolve();
    if (this.#isOver()) return;
    if (this.#reading !== undefined) {
      // A read that waits gives back what it brings. With lanes, something may be here already.
      if (this.#options.lanes !== undefined) await this.#giveBack(0);
      return;
    }
    this.#quiet ??= deferred();
    await Promise.race([this.#quiet.promise, this.#loop]);
  }

  #release(hold: Hold): void {
    this.#holds.delete(hold);
    if (!this.#isHeld()) this.#released?.resolve();
  }

  #state(problem: string | undefined): Vitals['state'] {
    if (this.#failures.isFinal) return 'failed';
    if (this.#stopping.signal.aborted) return 'stopped';
    if (this.#holds.has('pause')) return 'paused';
    if (this.#holds.has('breaker') || this.#isTrial) return 'open';
    if (problem !== undefined) return 'retrying';
    if (this.#failures.inARow === 0) return 'running';
    const isWaiting =
      this.#reading !== undefined && monotonicTime() - this.#reading > RECOVERED_AFTER;
    return isWaiting ? 'running' : 'retrying';
  }

  /** Whether no more deliveries may start. Those that cannot go back are handled until `close`. */
  #isOver(): boolean {
    return this.#gaveUp || (this.#stopping.signal.aborted && this.#source.canReturn);
  }

  #process(deliveries: Delivery[]): void {
    const { process, rescue } = this.#options;
    let done: Promise<void> | undefined;
    try {
      done = process(deliveries);
    } catch (error) {
      rescue(deliveries, error);
    }
    if (done === undefined) return void (this.#finished += deliveries.length);
    const call = { since: this.#clock };
    this.#running.add(call);
    const ended = (): void => {
      this.#running.delete(call);
      this.#end(deliveries.length);
    };
    void done.then(ended, (error: unknown) => {
      rescue(deliveries, error);
      ended();
    });
  }

  #end(count: number): void {
    this.#finished += count;
    this.#slot?.resolve();
    if (this.#running.size === 0) this.#idle?.resolve();
    this.#ended?.resolve();
    this.#ended = undefined;
  }

  /**
   * Waits until a place is free. Deliveries from `next` on that wait too long go back meanwhile, for
   * other consumers: resolves with whether they have.
   */
  async #freeSlot(next: number): Promise<boolean> {
    const isShared = this.#options.isShared && this.#options.lanes === undefined;
    const hasMore = next < this.#waiting.length || this.#source.hasUnread === true;
    this.#slot = deferred();
    let hasGone = false;
    if (!isShared || !hasMore) await this.#slot.promise;
    else hasGone = !(await settledWithin(this.#slot.promise, this.#patience()));
    if (hasGone) await this.#giveBack(next);
    this.#clock = monotonicTime();
    return hasGone;
  }

  async #drained(): Promise<void> {
    if (this.#running.size === 0) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
    this.#idle = undefined;
  }

  /** Milliseconds that deliveries wait for a place before they go back. */
  #patience(): number {
    return monotonicTime() - this.#refusedAt < REFUSED_AGAIN ? REFUSED_AGAIN : GIVE_BACK_AFTER;
  }

  #next(): Promise<Delivery[]> | Delivery[] {
    if (this.#kept.length > 0) return this.#kept.splice(0);
    return this.#source.read(this.#demand(), this.#isCrowded);
  }

  #demand(): number {
    const { fetch, batch, lanes } = this.#options;
    if (this.#isTrial) return TRIAL;
    if (fetch !== undefined) return fetch;
    if (batch > 1) return batch;
    // Of what is fetched for lanes, some must wait for theirs.
    const places = this.#concurrency - (lanes === undefined ? this.#running.size : 0);
    return Math.max(places, this.#pace.ahead);
  }
}
