import { messageOf } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import { pause } from '../internal/deferred.ts';
import { DisconnectedError, type Report } from '../transport/source.ts';
import type { Incident } from './vitals.ts';

export interface ReadFailuresOptions {
  /** What the user can do about an error that another attempt does not fix; undefined for other errors. */
  readonly adviceOn: (error: unknown) => string | undefined;
  readonly report: Report;
}

/** What a subscription does when reading fails: it logs, waits longer each time, or ends. */
export class ReadFailures {
  readonly #options: ReadFailuresOptions;
  #inARow = 0;
  #last: Incident | undefined;
  #isFinal = false;

  constructor(options: ReadFailuresOptions) {
    this.#options = options;
  }

  /** Reads that have failed in a row. */
  get inARow(): number {
    return this.#inARow;
  }

  /** The last one, which may be over. */
  get last(): Incident | undefined {
    return this.#last;
  }

  /** Whether an error has come that another attempt does not fix. */
  get isFinal(): boolean {
    return this.#isFinal;
  }

  /** A read has succeeded. */
  over(): void {
    if (this.#inARow > 0) this.#options.report('reading works again', undefined, 'info');
    this.#inARow = 0;
  }

  /** Logs the error and waits before the next attempt, or until `signal` aborts. Resolves with false if there is none. */
  async next(error: unknown, signal: AbortSignal): Promise<boolean> {
    const { adviceOn, report } = this.#options;
    const isNew = messageOf(error) !== this.#last?.message || this.#inARow === 0;
    this.#last = incident(messageOf(error));
    this.#inARow++;
    const advice = adviceOn(error);
    if (advice !== undefined) {
      this.#isFinal = true;
      const text = `stopped: ${messageOf(error)} (${advice}; then start the broker again)`;
      report(text, error, 'error');
      return false;
    }
    // After a DisconnectedError the next read itself waits for the connection, so no pause is needed.
    const isDisconnected = error instanceof DisconnectedError;
    const delay = isDisconnected ? 0 : backoff(this.#inARow, 250, 5_000);
    // An error that repeats is logged at the first, second, fourth, eighth … time.
    if (isNew || Number.isInteger(Math.log2(this.#inARow))) {
      const next = isDisconnected
        ? 'it continues when the connection is back'
        : `next attempt in ${Math.round(delay)} ms`;
      report(`reading failed, ${next}`, error);
    }
    if (delay > 0) await pause(delay, signal);
    return true;
  }
}

export function incident(message: string): Incident {
  return { message, at: new Date().toISOString() };
}
