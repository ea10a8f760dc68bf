import { clearTimer, setTimer } from './clock.ts';

/** Timers that end together: what is to be done later, unless its owner stops first. */
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

  /** Forgets what has not run. */
  clear(): void {
    for (const timer of this.#pending) clearTimer(timer);
    this.#pending.clear();
  }
}
