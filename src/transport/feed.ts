import { pause } from '../internal/deferred.ts';
import type { Delivery, IsFull } from './source.ts';

/** Milliseconds between two looks at whether there is room again for something new. */
const LOOK_AGAIN = 100;

export interface FeedOptions {
  /**
   * Called when a reader waits and nothing is there, one call at a time. It pushes what it finds: at
   * once, or by the time that its promise resolves. A reader that still waits then has it called again.
   */
  readonly fetch?: (max: number) => Promise<void> | undefined;
  /** Called with what a reader is about to get. */
  readonly onTaken?: (deliveries: readonly Delivery[]) => void;
}

/** Deliveries on their way to the one reader of a source, which waits for them in {@link next}. */
export class Feed {
  #ready: Delivery[] = [];
  #fetching: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #hasEnded = false;
  #lastFailure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;
  /** Has a reader that waits look again, and fetch again unless that is under way. */
  readonly wake = (): void => this.#wake?.();
  readonly #settle = (): void => {
    this.#fetching = undefined;
    this.#wake?.();
  };
  readonly #fail = (error: unknown): void => {
    this.#failure = { error };
    this.#settle();
  };
  readonly #fetch: FeedOptions['fetch'];
  readonly #onTaken: FeedOptions['onTaken'];

  constructor({ fetch, onTaken }: FeedOptions = {}) {
    this.#fetch = fetch;
    this.#onTaken = onTaken;
  }

  /** Deliveries that no reader has taken yet. */
  get length(): number {
    return this.#ready.length;
  }

  /** Whether a reader waits. */
  get isAwaited(): boolean {
    return this.#wake !== undefined;
  }

  /** Resolves when the call of `fetch` that is under way has ended; undefined where none is. */
  get fetching(): Promise<void> | undefined {
    return this.#fetching;
  }

  /** Adds a delivery. A waiting reader gets it at once, or when the fetch that is under way has ended, with all that it found. */
  push(delivery: Delivery): void {
    this.#ready.push(delivery);
    if (this.#fetching === undefined) this.#wake?.();
  }

  /** Puts deliveries before all others. */
  unshift(deliveries: readonly Delivery[]): void {
    this.#ready.unshift(...deliveries);
    this.#wake?.();
  }

  /** Adds a delivery that a waiting reader gets at once, though a fetch is under way. */
  pushPast(delivery: Delivery): void {
    this.#ready.push(delivery);
    this.#wake?.();
  }

  /**
   * Nothing is fetched any more. Once what is there has been read, and what is being fetched has
   * arrived, `next` resolves with nothing; with a `failure`, it rejects with that instead.
   */
  end(failure?: { readonly error: unknown }): void {
    this.#hasEnded = true;
    this.#lastFailure = failure;
    this.#wake?.();
  }

  /**
   * Waits for the first delivery, and resolves with at least one and at most `max`; with none once
   * ended. Rejects with what `fetch` rejected with, and may then be called again. Nothing is fetched while
   * `isFull` says so; what is pushed is still handed over.
   */
  async next(max: number, isFull?: IsFull): Promise<Delivery[]> {
    for (;;) {
      if (this.#ready.length > 0) return this.#take(max);
      if (this.#hasEnded && this.#fetching === undefined) {
        if (this.#lastFailure !== undefined) throw this.#lastFailure.error;
        return [];
      }
      if (this.#failure !== undefined) {
        const { error } = this.#failure;
        this.#failure = undefined;
        throw error;
      }
      // A fetch stays under way while other deliveries are pushed past it.
      const mayFetch = this.#fetching === undefined && isFull?.() !== true;
      if (mayFetch) this.#fetching = this.#fetch?.(max)?.then(this.#settle, this.#fail);
      // It has fetched at once.
      if (this.#fetching === undefined && this.#ready.length > 0) continue;
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      if (mayFetch || this.#fetching !== undefined) await woken;
      else await Promise.race([woken, pause(LOOK_AGAIN)]);
      this.#wake = undefined;
    }
  }

  /** Takes everything that no reader has taken. */
  drain(): Delivery[] {
    const rest = this.#ready;
    this.#ready = [];
    return rest;
  }

  #take(max: number): Delivery[] {
    const deliveries = this.#ready.length <= max ? this.drain() : this.#ready.splice(0, max);
    this.#onTaken?.(deliveries);
    return deliveries;
  }
}
