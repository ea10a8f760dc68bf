import { deferred, pause, type Deferred } from '../internal/deferred.ts';

/** How many deliveries may begin in how many milliseconds, of all who read one place together. */
export interface Rate {
  readonly limit: number;
  readonly per: number;
}

/** Permits of all processes together, one for each delivery. */
export interface Permits {
  /** Takes up to `max`. Where there is none, `wait` is the milliseconds until it is worth to ask again. */
  ask(max: number): Promise<{ readonly granted: number; readonly wait: number }>;
  /** Returns what was not used; a negative number takes permits that were used without asking. */
  giveBack(count: number): Promise<void>;
}

/**
 * The share of `per` by which deliveries may come early: they are spread evenly, one each `per / limit`,
 * and what came late because a process was busy is made up. No `per` has more than this above `limit`.
 */
export const SLACK = 0.05;

/** Lets a source fetch only what it has permits for, so that nothing is held while it waits for one. */
export class RateGate {
  readonly #permits: Permits;
  readonly #stopping = new AbortController();
  /** The last fetch found less than it might have taken. */
  #isEmpty = false;
  /** Those that wait for one permit each, in order. */
  readonly #queue: Deferred<boolean>[] = [];
  #isAsking = false;

  constructor(permits: Permits) {
    this.#permits = permits;
  }

  /** Nobody gets a permit any more. */
  stop(): void {
    this.#stopping.abort();
    for (const one of this.#queue.splice(0)) one.resolve(false);
  }

  /**
   * `take` fetches up to so many without waiting, and says how many it got. `untilSome` waits until there may
   * be something, without a permit, and says whether there may.
   */
  async fetch(
    max: number,
    take: (max: number) => Promise<number>,
    untilSome: () => Promise<boolean>,
  ): Promise<void> {
    if (this.#isEmpty && !(await untilSome())) return;
    this.#isEmpty = false;
    if (this.#stopping.signal.aborted) return;
    const { granted, wait } = await this.#permits.ask(max);
    if (granted === 0) return pause(wait, this.#stopping.signal);
    let taken = 0;
    try {
      taken = await take(granted);
    } finally {
      this.#isEmpty = taken < granted;
      if (taken < granted) await this.#permits.giveBack(granted - taken);
    }
  }

  /** Waits for a permit of a delivery that is here already; false where none comes any more. */
  one(): Promise<boolean> {
    if (this.#stopping.signal.aborted) return Promise.resolve(false);
    const one = deferred<boolean>();
    this.#queue.push(one);
    if (!this.#isAsking) void this.#askForAll();
    return one.promise;
  }

  /** Returns the permits of deliveries that did not begin; a negative number is of some that were not asked for. */
  giveBack(count: number): Promise<void> {
    return count === 0 ? Promise.resolve() : this.#permits.giveBack(count);
  }

  async #askForAll(): Promise<void> {
    this.#isAsking = true;
    const { signal } = this.#stopping;
    while (this.#queue.length > 0 && !signal.aborted) {
      try {
        const { granted, wait } = await this.#permits.ask(this.#queue.length);
        const served = this.#queue.splice(0, granted);
        for (const one of served) one.resolve(true);
        if (served.length < granted) await this.#permits.giveBack(granted - served.length);
        if (granted === 0) await pause(wait, signal);
      } catch {
        await pause(RETRY, signal); // reading meets the same error, and says so
      }
    }
    this.#isAsking = false;
  }
}

/** Milliseconds before a permit is asked for again where the server did not answer. */
const RETRY = 1_000;
