import { backoff } from '../internal/backoff.ts';
import { deferred, pause, settledWithin, type Deferred } from '../internal/deferred.ts';
import type { Delivery, Report, Source } from '../transport/transport.ts';

/** Single deliveries are fetched ahead by what the handler gets through in this many milliseconds. */
const AHEAD = 10;
/** … and by this many deliveries at most. */
const MAX_AHEAD = 256;

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
  #running = 0;
  /** Deliveries handled so far. */
  #finished = 0;
  #ahead: number;
  #slot: Deferred<void> | undefined;
  #idle: Deferred<void> | undefined;
  #gaveUp = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#source = options.source;
    this.#ahead = options.concurrency;
  }

  start(): void {
    this.#loop = this.#run();
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
    const { concurrency, batch, report } = this.#options;
    const stopping = this.#stopping.signal;
    let failures = 0;
    while (!this.#done()) {
      try {
        this.#waiting = await this.#source.read(this.#demand());
        failures = 0;
      } catch (error) {
        if (stopping.aborted) return;
        const delay = backoff(failures++, 250, 5_000);
        report(`reading failed, next try in ${Math.round(delay)} ms`, error);
        await pause(delay, stopping);
        continue;
      }
      if (this.#waiting.length === 0) return; // the source has stopped
      const fetched = this.#waiting.length;
      const finished = this.#finished;
      const began = performance.now();
      for (let next = 0; next < fetched; next += batch) {
        while (this.#running >= concurrency && !this.#done()) await this.#freeSlot();
        if (this.#done()) {
          this.#waiting = this.#waiting.slice(next);
          return;
        }
        this.#process(
          batch === 1 ? [this.#waiting[next] as Delivery] : this.#waiting.slice(next, next + batch),
        );
      }
      this.#waiting = [];
      while (this.#running >= concurrency && !this.#done()) await this.#freeSlot();
      this.#pace(this.#finished - finished, performance.now() - began);
    }
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
    this.#running++;
    void done.then(() => this.#release(deliveries.length));
  }

  #release(count: number): void {
    this.#finished += count;
    this.#running--;
    this.#slot?.resolve();
    if (this.#running === 0) this.#idle?.resolve();
  }

  #freeSlot(): Promise<void> {
    this.#slot = deferred();
    return this.#slot.promise;
  }

  async #drained(): Promise<void> {
    if (this.#running === 0) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
  }

  #demand(): number {
    const { fetch, batch, concurrency } = this.#options;
    if (fetch !== undefined) return fetch;
    if (batch > 1) return batch;
    return Math.max(concurrency - this.#running, Math.floor(this.#ahead));
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
