import { monotonicTime, unixTime } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';

/** After this many milliseconds what is known of the server's clock is asked for again. */
const STALE = 60_000;

/** Milliseconds for which an answer to a doubt holds. */
const SURE = 1_000;

interface Sample {
  /** The server's Unix milliseconds minus this process's steady ones. */
  readonly offset: number;
  /** The offset is wrong by this at most. */
  readonly error: number;
  /** When it was taken, on the steady clock. */
  readonly at: number;
}

/**
 * The server's clock, as far as this process knows it. It follows from answers that hold the server's
 * time and from this process's steady clock: the date of this machine does not matter.
 */
export class ServerClock {
  readonly #ask: (() => Promise<number>) | undefined;
  #sample: Sample | undefined;
  #asking: Promise<void> | undefined;
  #refusal: unknown;
  #doubted = -Infinity;
  #doubt: Promise<unknown> | undefined;

  /** `ask` asks the server for its Unix milliseconds. Without it, the server is this process. */
  constructor(ask?: () => Promise<number>) {
    this.#ask = ask;
  }

  /** The server's Unix milliseconds; this machine's own until the server has said its time once. */
  now(): number {
    return this.#sample === undefined ? unixTime() : monotonicTime() + this.#sample.offset;
  }

  /** The server's Unix milliseconds in `ms` from now, whole and not later: a deadline as it is sent. */
  in(ms: number): number {
    return Math.floor(this.now() + ms);
  }

  /** Why the server did not tell its time when it was last asked; undefined where it did. */
  get refusal(): unknown {
    return this.#refusal;
  }

  /** Milliseconds by which the clocks of two processes that asked this server as fast may differ. */
  get uncertainty(): number {
    return this.#sample === undefined ? 0 : 2 * this.#sample.error;
  }

  /** Milliseconds that this machine's clock is ahead of the server's; undefined where that is not known. */
  get skew(): number | undefined {
    return this.#sample === undefined ? undefined : unixTime() - this.now();
  }

  /** Asks the server again. Never rejects: what is known stays. */
  async update(): Promise<void> {
    if (this.#ask === undefined) return;
    try {
      await this.hear(this.#ask(), (time) => time);
      this.#refusal = undefined;
    } catch (error) {
      this.#refusal = error;
    }
  }

  /**
   * Asks the server before something is dropped because it came too late: somebody may have set the server's clock
   * since it was asked. Undefined where it was asked for this within a second. Takes a second at most.
   */
  doubt(): Promise<unknown> | undefined {
    if (this.#ask === undefined || monotonicTime() - this.#doubted < SURE) return this.#doubt;
    this.#doubted = monotonicTime();
    this.#doubt = settledWithin(this.update(), SURE).finally(() => (this.#doubt = undefined));
    return this.#doubt;
  }

  /** Resolves when the server's time is known; undefined where it is. Rejects where the server does not tell it. */
  ready(): Promise<void> | undefined {
    const sample = this.#sample;
    if (this.#ask === undefined) return undefined;
    if (sample !== undefined && monotonicTime() - sample.at < STALE) return undefined;
    return (this.#asking ??= this.hear(this.#ask(), (time) => time)
      .then(() => undefined)
      .finally(() => (this.#asking = undefined)));
  }

  /** Learns from an answer that holds the server's time, and passes it on. */
  async hear<T>(answer: Promise<T>, timeIn: (answer: T) => number): Promise<T> {
    const sent = monotonicTime();
    const value = await answer;
    const received = monotonicTime();
    const error = (received - sent) / 2;
    this.#learn({ offset: timeIn(value) - (sent + received) / 2, error, at: received });
    return value;
  }

  /** The sample with the smaller error counts, unless the two contradict each other: then one of the clocks was set. */
  #learn(sample: Sample): void {
    const known = this.#sample;
    const isBetter =
      known === undefined ||
      sample.error <= known.error ||
      sample.at - known.at >= STALE ||
      Math.abs(sample.offset - known.offset) > sample.error + known.error + 1;
    if (isBetter) this.#sample = sample;
  }
}
