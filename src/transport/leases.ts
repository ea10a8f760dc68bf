import { clearTimer, setTimer } from '../internal/clock.ts';

/** What is to be renewed while somebody works on it. */
export class Leases {
  readonly #period: number;
  readonly #renewals = new Map<string, () => Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;

  /** Everything is renewed each `period` milliseconds. */
  constructor(period: number) {
    this.#period = period;
  }

  add(key: string, renew: () => Promise<unknown>): void {
    this.#renewals.set(key, renew);
    this.#timer ??= this.#next();
  }

  delete(key: string): void {
    this.#renewals.delete(key);
  }

  close(): void {
    clearTimer(this.#timer);
    this.#renewals.clear();
  }

  #next(): NodeJS.Timeout {
    const renew = (): void => {
      this.#timer = this.#renewals.size === 0 ? undefined : this.#next();
      // A lease that could not be renewed is renewed in the next period, or lapses.
      for (const one of this.#renewals.values()) one().catch(() => undefined);
    };
    return setTimer(renew, this.#period).unref();
  }
}
