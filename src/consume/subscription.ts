import { messageOf } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import { monotonicTime } from '../internal/clock.ts';
import { deferred, pause, settledWithin, type Deferred } from '../internal/deferred.ts';
import {
  DisconnectedError,
  type Backlog,
  type Delivery,
  type Report,
  type Source,
} from '../transport/source.ts';

/** A read fetches as many deliveries as the handler finishes in this many milliseconds … */
const AHEAD = 10;
/** … but at most this many. */
const MAX_AHEAD = 256;

/** After this many milliseconds, a read that still waits counts as working again. */
const RECOVERED_AFTER = 1_500;

/** An error of reading, and when it occurred. */
export interface Incident {
  readonly message: string;
  /** The time, as ISO 8601. */
  readonly at: string;
}

/** The state of a subscription. */
export interface Vitals {
  readonly state: 'running' | 'retrying' | 'failed' | 'stopped';
  /** The last error of reading, which may be over. */
  readonly lastError: Incident | undefined;
  /** Calls of `process` that have not ended. */
  readonly running: number;
  /** Milliseconds since the oldest of them began. */
  readonly longest: number;
  /** Deliveries handled so far. */
  readonly handled: number;
  /** Deliveries that are fetched and not started. */
  readonly fetched: number;
  readonly backlog: Backlog | undefined;
}

export interface SubscriptionOptions {
  readonly source: Source;
  /** How many calls of `process` may run at once. */
  readonly concurrency: number;
  /** The most deliveries for one call of `process`; 1 unless they are handled in batches. */
  readonly batch: number;
  /** Deliveries per read; undefined: adapted to the speed of the handler. */
  readonly fetch: number | undefined;
  /** Handles deliveries. A returned promise resolves when the next ones may start. Never throws or rejects. */
  readonly process: (deliveries: Delivery[]) => Promise<void> | undefined;
  /** What the user can do about an error that another attempt does not fix; undefined for other errors. */
  readonly adviceOn: (error: unknown) => string | undefined;
  readonly report: Report;
}

/** Reads deliveries from a source and calls `process` for them, up to `concurrency` at a time, until it is stopped. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #source: Source;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  /** Deliveries that are fetched and not started. */
  #waiting: Delivery[] = [];
  /** When each running call of `process` began, the oldest first. */
  readonly #running = new Set<{ readonly since: number }>();
  /** The time when the loop last waited. Used as the start time of calls, to save reading the clock for each. */
  #clock = 0;
  /** Deliveries handled so far. */
  #finished = 0;
  /** Deliveries that the next read may fetch, adapted by {@link #pace}. */
  #ahead: number;
  #slot: Deferred<void> | undefined;
  #idle: Deferred<void> | undefined;
  #gaveUp = false;
  /** Reads that have failed in a row. */
  #failures = 0;
  /** When the current read began; undefined while none runs. */
  #reading: number | undefined;
  #lastError: Incident | undefined;
  #hasFailed = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#ahead = options.concurrency;
  }

  start(): void {
    this.#loop = this.#run();
  }

  get vitals(): Vitals {
    const [oldest] = this.#running;
    const { problem, backlog } = this.#source;
    return {
      state: this.#state(problem),
      lastError: problem === undefined ? this.#lastError : incident(problem),
      running: this.#running.size,
      longest: oldest === undefined ? 0 : monotonicTime() - oldest.since,
      handled: this.#finished,
      fetched: this.#waiting.length,
      backlog,
    };
  }

  /** Starts no more deliveries, except those that the source cannot take back. */
  halt(): void {
    this.#stopping.abort();
    this.#slot?.resolve();
  }

  /** Stops reading, and waits up to `timeout` milliseconds for running handlers. Resolves with whether all have ended. */
  async stop(timeout: number): Promise<boolean> {
    this.halt();
    const ended = (async () => {
      await this.#source.stop();
      await this.#loop;
      await this.#drained();
    })();
    return settledWithin(ended, timeout);
  }

  /** Waits up to `timeout` milliseconds for handlers whose signal has aborted, then gives back what was not started. */
  async close(timeout: number): Promise<boolean> {
    this.#gaveUp = true;
    this.#slot?.resolve();
    const ended = await settledWithin(Promise.all([this.#loop, this.#drained()]), timeout);
    await this.#source.close(this.#waiting.splice(0));
    return ended;
  }

  async #run(): Promise<void> {
    const { concurrency, batch } = this.#options;
    while (!this.#isOver()) {
      try {
        this.#reading = monotonicTime();
        this.#waiting = await this.#source.read(this.#demand());
        if (this.#failures > 0) this.#options.report('reading works again', undefined, 'info');
        this.#failures = 0;
      } catch (error) {
        this.#reading = undefined;
        if (this.#stopping.signal.aborted) return;
        if (await this.#pauseAfter(error)) continue;
        return;
      }
      this.#reading = undefined;
      if (this.#waiting.length === 0) return; // the source has stopped
      const fetched = this.#waiting.length;
      const finished = this.#finished;
      const began = (this.#clock = monotonicTime());
      for (let next = 0; next < fetched; next += batch) {
        while (this.#running.size >= concurrency && !this.#isOver()) await this.#freeSlot();
        if (this.#isOver()) {
          this.#waiting = this.#waiting.slice(next);
          return;
        }
        this.#process(
          batch === 1 ? [this.#waiting[next] as Delivery] : this.#waiting.slice(next, next + batch),
        );
      }
      this.#waiting = [];
      while (this.#running.size >= concurrency && !this.#isOver()) await this.#freeSlot();
      this.#pace(this.#finished - finished, monotonicTime() - began);
    }
  }

  /** Logs the error and waits before the next attempt. Resolves with false if there is none. */
  async #pauseAfter(error: unknown): Promise<boolean> {
    const { adviceOn, report } = this.#options;
    const isNew = messageOf(error) !== this.#lastError?.message || this.#failures === 0;
    this.#lastError = incident(messageOf(error));
    this.#failures++;
    const advice = adviceOn(error);
    if (advice !== undefined) {
      this.#hasFailed = true;
      report(
        `stopped: ${messageOf(error)} (${advice}; then start the broker again)`,
        error,
        'error',
      );
      await this.#source.close([]);
      return false;
    }
    // After a DisconnectedError the next read itself waits for the connection, so no pause is needed.
    const isDisconnected = error instanceof DisconnectedError;
    const delay = isDisconnected ? 0 : backoff(this.#failures, 250, 5_000);
    // An error that repeats is logged at the first, second, fourth, eighth … time.
    if (isNew || Number.isInteger(Math.log2(this.#failures))) {
      const next = isDisconnected
        ? 'it continues when the connection is back'
        : `next attempt in ${Math.round(delay)} ms`;
      report(`reading failed, ${next}`, error);
    }
    if (delay > 0) await pause(delay, this.#stopping.signal);
    return true;
  }

  #state(problem: string | undefined): Vitals['state'] {
    if (this.#hasFailed) return 'failed';
    if (this.#stopping.signal.aborted) return 'stopped';
    if (problem !== undefined) return 'retrying';
    if (this.#failures === 0) return 'running';
    const isWaiting =
      this.#reading !== undefined && monotonicTime() - this.#reading > RECOVERED_AFTER;
    return isWaiting ? 'running' : 'retrying';
  }

  /** Whether no more deliveries may start. Those that cannot go back are handled until `close`. */
  #isOver(): boolean {
    return this.#gaveUp || (this.#stopping.signal.aborted && this.#source.canReturn);
  }

  #process(deliveries: Delivery[]): void {
    const done = this.#options.process(deliveries);
    if (done === undefined) {
      this.#finished += deliveries.length;
      return;
    }
    const call = { since: this.#clock };
    this.#running.add(call);
    void done.then(() => {
      this.#running.delete(call);
      this.#release(deliveries.length);
    });
  }

  #release(count: number): void {
    this.#finished += count;
    this.#slot?.resolve();
    if (this.#running.size === 0) this.#idle?.resolve();
  }

  async #freeSlot(): Promise<void> {
    this.#slot = deferred();
    await this.#slot.promise;
    this.#clock = monotonicTime();
  }

  async #drained(): Promise<void> {
    if (this.#running.size === 0) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
  }

  #demand(): number {
    const { fetch, batch, concurrency } = this.#options;
    if (fetch !== undefined) return fetch;
    if (batch > 1) return batch;
    return Math.max(concurrency - this.#running.size, Math.floor(this.#ahead));
  }

  /**
   * Adapts the size of reads: large for a fast handler, small for a slow one, which leaves the rest to
   * other consumers. `finished` deliveries took `elapsed` milliseconds.
   */
  #pace(finished: number, elapsed: number): void {
    const inTime = (finished / Math.max(elapsed, 0.001)) * AHEAD;
    this.#ahead = Math.max(1, Math.min(MAX_AHEAD, this.#ahead * 2, inTime));
  }
}

function incident(message: string): Incident {
  return { message, at: new Date().toISOString() };
}
