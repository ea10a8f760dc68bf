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

/** Single deliveries are fetched ahead by what the handler gets through in this many milliseconds. */
const AHEAD = 10;
/** … and by this many deliveries at most. */
const MAX_AHEAD = 256;

/** Milliseconds after which a read that just waits has found nothing wrong. */
const CALM = 1_500;

/** Something that reading met, and when. */
export interface Incident {
  readonly message: string;
  /** ISO 8601. */
  readonly at: string;
}

/** How a subscription is doing. */
export interface Vitals {
  readonly state: 'running' | 'retrying' | 'failed' | 'stopped';
  /** The last trouble with reading, which may be over. */
  readonly lastError: Incident | undefined;
  /** Calls of `process` under way. */
  readonly running: number;
  /** Milliseconds that the longest of them has taken so far. */
  readonly longest: number;
  /** Deliveries handled so far. */
  readonly handled: number;
  /** Fetched and not started. */
  readonly fetched: number;
  readonly backlog: Backlog | undefined;
}

export interface SubscriptionOptions {
  readonly source: Source;
  /** Calls of `process` that may be under way at once. */
  readonly concurrency: number;
  /** Deliveries for one call of `process`, at most; 1 unless handled in batches. */
  readonly batch: number;
  /** Deliveries fetched at once; undefined: as the handler's pace suggests. */
  readonly fetch: number | undefined;
  /** Handles deliveries; the promise, if any, is for when the next may take their place. Never throws. */
  readonly process: (deliveries: Delivery[]) => Promise<void> | undefined;
  /** What to do about an error that trying again does not end; undefined for all others. */
  readonly adviceOn: (error: unknown) => string | undefined;
  readonly report: Report;
}

/** Reads deliveries from a source and has them processed, so many at a time, until it is stopped. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #source: Source;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  /** Fetched and not started. */
  #waiting: Delivery[] = [];
  /** When each call of `process` that is under way began, the oldest first. */
  readonly #running = new Set<{ readonly since: number }>();
  /** The time when the loop last had to wait: near enough for what begins after that. */
  #clock = 0;
  /** Deliveries handled so far. */
  #finished = 0;
  #ahead: number;
  #slot: Deferred<void> | undefined;
  #idle: Deferred<void> | undefined;
  #gaveUp = false;
  /** Reads that have failed in a row. */
  #failures = 0;
  /** When the current read began; undefined between two. */
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
    const { trouble, backlog } = this.#source;
    return {
      state: this.#state(trouble),
      lastError: trouble === undefined ? this.#lastError : incident(trouble),
      running: this.#running.size,
      longest: oldest === undefined ? 0 : monotonicTime() - oldest.since,
      handled: this.#finished,
      fetched: this.#waiting.length,
      backlog,
    };
  }

  /** From now on nothing more is started; what cannot be given back is still handled. */
  halt(): void {
    this.#stopping.abort();
    this.#slot?.resolve();
  }

  /** Fetches no more, and waits up to `patience` milliseconds for what is being handled. True when all of it ended. */
  async stop(patience: number): Promise<boolean> {
    this.halt();
    const ended = (async () => {
      await this.#source.stop();
      await this.#loop;
      await this.#drained();
    })();
    return settledWithin(ended, patience);
  }

  /** Waits a little longer for handlers that were told to give up, then hands back what was not started. */
  async close(patience: number): Promise<boolean> {
    this.#gaveUp = true;
    this.#slot?.resolve();
    const ended = await settledWithin(Promise.all([this.#loop, this.#drained()]), patience);
    await this.#source.close(this.#waiting.splice(0));
    return ended;
  }

  async #run(): Promise<void> {
    const { concurrency, batch } = this.#options;
    while (!this.#done()) {
      try {
        this.#reading = monotonicTime();
        this.#waiting = await this.#source.read(this.#demand());
        if (this.#failures > 0) this.#options.report('reading goes on', undefined, 'info');
        this.#failures = 0;
      } catch (error) {
        this.#reading = undefined;
        if (this.#stopping.signal.aborted) return;
        if (await this.#recover(error)) continue;
        return;
      }
      this.#reading = undefined;
      if (this.#waiting.length === 0) return; // the source has stopped
      const fetched = this.#waiting.length;
      const finished = this.#finished;
      const began = (this.#clock = monotonicTime());
      for (let next = 0; next < fetched; next += batch) {
        while (this.#running.size >= concurrency && !this.#done()) await this.#freeSlot();
        if (this.#done()) {
          this.#waiting = this.#waiting.slice(next);
          return;
        }
        this.#process(
          batch === 1 ? [this.#waiting[next] as Delivery] : this.#waiting.slice(next, next + batch),
        );
      }
      this.#waiting = [];
      while (this.#running.size >= concurrency && !this.#done()) await this.#freeSlot();
      this.#pace(this.#finished - finished, monotonicTime() - began);
    }
  }

  /** Waits before the next try; false where there is to be none. */
  async #recover(error: unknown): Promise<boolean> {
    const { adviceOn, report } = this.#options;
    const isNews = messageOf(error) !== this.#lastError?.message || this.#failures === 0;
    this.#lastError = incident(messageOf(error));
    this.#failures++;
    const advice = adviceOn(error);
    if (advice !== undefined) {
      this.#hasFailed = true;
      const cure = `${advice}; then start the broker again`;
      report(`stopped for good: ${messageOf(error)} (${cure})`, error, 'error');
      await this.#source.close([]);
      return false;
    }
    // A source that waits for its connection needs no pause, and goes on as soon as that is back.
    const waits = error instanceof DisconnectedError;
    const delay = waits ? 0 : backoff(this.#failures, 250, 5_000);
    // Trouble that lasts is logged at the first, second, fourth, eighth … time.
    if (isNews || Number.isInteger(Math.log2(this.#failures))) {
      const next = waits ? 'it goes on with the connection' : `next try in ${Math.round(delay)} ms`;
      report(`reading failed, ${next}`, error);
    }
    if (delay > 0) await pause(delay, this.#stopping.signal);
    return true;
  }

  #state(trouble: string | undefined): Vitals['state'] {
    if (this.#hasFailed) return 'failed';
    if (this.#stopping.signal.aborted) return 'stopped';
    if (trouble !== undefined) return 'retrying';
    if (this.#failures === 0) return 'running';
    const waits = this.#reading !== undefined && monotonicTime() - this.#reading > CALM;
    return waits ? 'running' : 'retrying';
  }

  /** Whether nothing more may be started. What cannot be given back is still handled while there is patience. */
  #done(): boolean {
    return this.#gaveUp || (this.#stopping.signal.aborted && this.#source.takesBack);
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
   * A quick handler is fed from large reads, a slow one gets only what it can start, so that other
   * consumers are not kept from the rest. `finished` deliveries took `elapsed` milliseconds.
   */
  #pace(finished: number, elapsed: number): void {
    const inTime = (finished / Math.max(elapsed, 0.001)) * AHEAD;
    this.#ahead = Math.max(1, Math.min(MAX_AHEAD, this.#ahead * 2, inTime));
  }
}

function incident(message: string): Incident {
  return { message, at: new Date().toISOString() };
}
