import { monotonicTime } from '../internal/clock.ts';
import { deferred, type Deferred } from '../internal/deferred.ts';

/** Whoever holds something that a broken connection takes away. */
export interface Connected {
  cut(): void;
  restore(): Promise<void>;
}

/** Whether a broker under test is connected, and how busy its transport is. */
export class Link {
  /** Grows with everything that is sent, delivered and settled. */
  activity = 0;
  readonly #connected = new Set<Connected>();
  #down: Deferred<void> | undefined;
  #since = 0;

  get isDown(): boolean {
    return this.#down !== undefined;
  }

  get downFor(): number {
    return this.#down === undefined ? 0 : monotonicTime() - this.#since;
  }

  /** Resolves when the connection stands; undefined where it does. */
  up(): Promise<void> | undefined {
    this.activity++;
    return this.#down?.promise;
  }

  add(connected: Connected): () => void {
    this.#connected.add(connected);
    return () => this.#connected.delete(connected);
  }

  cut(): void {
    if (this.#down !== undefined) return;
    this.#down = deferred();
    this.#since = monotonicTime();
    for (const connected of this.#connected) connected.cut();
  }

  /** As a client does: first everything is subscribed to again, then what waited is sent. */
  async restore(): Promise<void> {
    const down = this.#down;
    if (down === undefined) return;
    this.#down = undefined;
    for (const connected of [...this.#connected]) await connected.restore();
    down.resolve();
  }
}
