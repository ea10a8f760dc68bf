/** A read fetches as many deliveries as the handler finishes in this many milliseconds … */
const AHEAD = 10;
/** … but at most this many. */
const MAX_AHEAD = 256;

/** The size of reads: large for a fast handler, small for a slow one, which leaves the rest to other consumers. */
export class Pace {
  #ahead: number;

  constructor(concurrency: number) {
    this.#ahead = concurrency;
  }

  /** Deliveries that the next read may fetch. */
  get ahead(): number {
    return Math.floor(this.#ahead);
  }

  /** `finished` deliveries took `elapsed` milliseconds. `isSlow`: those that were fetched beyond them went back. */
  adapt(finished: number, elapsed: number, isSlow: boolean): void {
    const inTime = (finished / Math.max(elapsed, 0.001)) * AHEAD;
    this.#ahead = isSlow ? 1 : Math.max(1, Math.min(MAX_AHEAD, this.#ahead * 2, inTime));
  }
}
