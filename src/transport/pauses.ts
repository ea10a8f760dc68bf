import { clearTimer, monotonicTime, setTimer } from '../internal/clock.ts';

interface Pause {
  readonly due: number;
  readonly timer: NodeJS.Timeout | undefined;
}

/** What waits in this process for its next delivery. */
export class Pauses<T> {
  readonly #waiting = new Map<T, Pause>();
  #stopped = false;

  get size(): number {
    return this.#waiting.size;
  }

  /** Calls `task` once, in `delay` milliseconds, unless `one` is taken out before. */
  add(one: T, delay: number, task: () => void): void {
    this.delete(one);
    const run = (): void => {
      this.#waiting.delete(one);
      task();
    };
    const timer = this.#stopped ? undefined : setTimer(run, delay);
    this.#waiting.set(one, { due: monotonicTime() + delay, timer });
  }

  /** No task is called any more; what waits stays until it is taken out. */
  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#waiting.values()) clearTimer(timer);
  }

  delete(one: T): boolean {
    clearTimer(this.#waiting.get(one)?.timer);
    return this.#waiting.delete(one);
  }

  /** Takes everything out, with the milliseconds that are left of each pause. */
  drain(): [one: T, left: number][] {
    const all = [...this.#waiting].map(([one, { due, timer }]): [T, number] => {
      clearTimer(timer);
      return [one, Math.max(0, due - monotonicTime())];
    });
    this.#waiting.clear();
    return all;
  }
}
