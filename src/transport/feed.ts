import { pause } from '../internal/deferred.ts';
import type { Lanes } from './lanes.ts';
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
  /** Hands over one delivery of a lane at a time. */
  readonly lanes?: Lanes | undefined;
  /** What waits for its lane is still handed over after the end. */
  readonly keepsAll?: boolean;
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
  readonly #lanes: Lanes | undefined;
  readonly #keepsAll: boolean;
  /** Nothing is handed over, and nothing fetched. */
  #isHeld = false;
  /** The reader that waits is to get nothing. */
  #isPassed = false;

  constructor({ fetch, onTaken, lanes, keepsAll = false }: FeedOptions = {}) {
    this.#fetch = fetch;
    this.#onTaken = onTaken;
    this.#lanes = lanes;
    this.#keepsAll = keepsAll;
    if (lanes === undefined) return;
    lanes.onReady = (delivery) => {
      this.#ready.push(delivery);
      this.#wake?.();
    };
  }

  /** Deliveries that no reader has taken yet. */
  get length(): number {
    return this.#ready.length;
  }

  /** The same, and those that wait for their lane. */
  get waiting(): number {
    return this.#lanes?.waiting ?? this.#ready.length;
  }

  /** Whether something is here, or under way, that no reader waits for. */
  get hasUnread(): boolean {
    return this.#wake === undefined && (this.#ready.length > 0 || this.#fetching !== undefined);
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
    if (this.#lanes !== undefined) return this.#lanes.add(delivery);
    this.#ready.push(delivery);
    if (this.#fetching === undefined) this.#wake?.();
  }

  /** With lanes, where nobody else could have them: what the reader had taken waits here again. A reader that waits gets nothing. */
  keep(taken: readonly Delivery[]): void {
    this.#lanes?.putBack(taken);
    this.#isPassed = this.isAwaited;
    this.#wake?.();
  }

  /** Puts deliveries before all others. */
  unshift(deliveries: readonly Delivery[]): void {
    if (this.#lanes !== undefined) return this.keep(deliveries);
    this.#ready.unshift(...deliveries);
    this.#wake?.();
  }

  /** Waits until `unread`, which was drained, has gone; where it could not, it is here again. */
  async orKept(unread: readonly Delivery[], going: Promise<void>): Promise<void> {
    try {
      await going;
    } catch (error) {
      this.unshift(unread);
      throw error;
    }
  }

  /** Adds a delivery that a waiting reader gets at once, though a fetch is under way. */
  pushPast(delivery: Delivery): void {
    if (this.#lanes !== undefined) return this.#lanes.add(delivery);
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
    this.#lanes?.stop();
    this.#wake?.();
  }

  /**
   * Waits for the first delivery, and resolves with at least one and at most `max`; with none once
   * ended. Rejects with what `fetch` rejected with, and may then be called again. Nothing is fetched while
   * `isFull` says so; what is pushed is still handed over.
   */
  async next(max: number, isFull?: IsFull): Promise<Delivery[]> {
    for (;;) {
      if (this.#isPassed) {
        this.#isPassed = false;
        return [];
      }
      if (this.#isHeld) {
        await this.#change();
        this.#wake = undefined;
        continue;
      }
      if (this.#ready.length > 0) return this.#take(max);
      if (this.#hasEnded && this.#fetching === undefined && !this.#mayComeYet()) {
        if (this.#lastFailure !== undefined) throw this.#lastFailure.error;
        return [];
      }
      if (this.#failure !== undefined) {
        const { error } = this.#failure;
        this.#failure = undefined;
        throw error;
      }
      // A fetch stays under way while other deliveries are pushed past it.
      const before = this.#lanes?.waiting ?? 0;
      const mayFetch = this.#fetching === undefined && !this.#hasEnded && isFull?.() !== true;
      if (mayFetch) this.#fetching = this.#fetch?.(max)?.then(this.#settle, this.#fail);
      // It has fetched at once.
      const hasMore = this.#ready.length > 0 || (this.#lanes?.waiting ?? 0) > before;
      if (this.#fetching === undefined && hasMore) continue;
      await this.#change(mayFetch || this.#fetching !== undefined ? undefined : LOOK_AGAIN);
      this.#wake = undefined;
    }
  }

  /**
   * With lanes: gives back everything that has not begun, with what the reader had `taken`. `interrupt` ends
   * a fetch that is under way. A reader that waits gets nothing, and may call `next` again. What `give`
   * cannot give back is handed over as if it came anew.
   */
  async giveBack(
    taken: readonly Delivery[],
    interrupt: () => Promise<void>,
    give: (all: readonly Delivery[]) => Promise<void>,
  ): Promise<void> {
    this.#isHeld = true;
    try {
      await interrupt();
      await this.#fetching?.catch(() => undefined); // its reader meets the failure
      const all = this.takeBack(taken);
      try {
        if (all.length > 0) await give(all);
      } catch (error) {
        for (const one of all) this.push(one);
        throw error;
      }
    } finally {
      this.#isHeld = false;
      this.#isPassed = this.isAwaited;
      this.#wake?.();
    }
  }

  /** Takes everything that has not begun, with what a reader had `taken`. With lanes in the order in which it came. */
  takeBack(taken: readonly Delivery[]): Delivery[] {
    const unread = this.drain();
    return this.#lanes?.drain(taken) ?? [...taken, ...unread];
  }

  /** Takes everything that no reader has taken. */
  drain(): Delivery[] {
    const rest = this.#ready;
    this.#ready = [];
    return rest;
  }

  #take(max: number): Delivery[] {
    const deliveries = this.#ready.length <= max ? this.drain() : this.#ready.splice(0, max);
    this.#lanes?.taken(deliveries);
    this.#onTaken?.(deliveries);
    return deliveries;
  }

  /** Whether something that has come waits for its lane, and is to be handed over though nothing is fetched any more. */
  #mayComeYet(): boolean {
    return this.#keepsAll && this.waiting > 0;
  }

  /** Resolves when something may have changed, at the latest after `ms`. Whoever waits then clears `#wake`. */
  #change(ms?: number): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return ms === undefined ? woken : Promise.race([woken, pause(ms)]);
  }
}
