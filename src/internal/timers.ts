import { clearTimer, setTimer } from './clock.ts';

/** Tasks to run later, which their owner can cancel all at once. */
export class Timers {
  readonly #pending = new Set<NodeJS.Timeout>();

  /** Runs `task` once, `delay` milliseconds from now. */
  after(delay: number, task: () => void): void {
    const timer = setTimer(() => {
      this.#pending.delete(timer);
      task();
    }, delay);
    this.#pending.add(timer);
  }

  /** Cancels every task that has not run. */
  clear(): void {
    for (const timer of this.#pending) clearTimer(timer);
    this.#pending.clear();
  }
}
