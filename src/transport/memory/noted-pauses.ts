import { monotonicTime } from '../../internal/clock.ts';

/** How long entries or items pause that stay their consumer's, for whoever gets them if that ends before. */
export class NotedPauses {
  readonly #ends = new Map<unknown, number>();

  note(one: unknown, delay: number): void {
    const now = monotonicTime();
    for (const [other, end] of this.#ends) if (end <= now) this.#ends.delete(other);
    this.#ends.set(one, now + delay);
  }

  /** Milliseconds; 0 where it does not pause. */
  left(one: unknown): number {
    return Math.max(0, (this.#ends.get(one) ?? 0) - monotonicTime());
  }
}
