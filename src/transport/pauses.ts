import type { RateGate } from './rate.ts';
import { clearTimer, monotonicTime, setTimer } from '../internal/clock.ts';

interface Pause {
  readonly due: number;
  readonly timer: NodeJS.Timeout | undefined;
}

/** What waits in this process for its next delivery. */
export class Pauses<T> {
  readonly #waiting = new Map<T, Pause>();
  readonly #gate: RateGate | undefined;
  #stopped = false;

  /** With a `gate` each next delivery takes a permit, and waits for it. */
  constructor(gate?: RateGate) {
    this.#gate = gate;
  }

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
    const gate = this.#gate;
    const over = gate === undefined ? run : (): void => void this.#permitted(one, gate, run);
    const timer = this.#stopped ? undefined : setTimer(over, delay);
    this.#waiting.set(one, { due: monotonicTime() + delay, timer });
  }

  async #permitted(one: T, gate: RateGate, run: () => void): Promise<void> {
    const pause = this.#waiting.get(one);
    if (!(await gate.one())) return;
    if (this.#waiting.get(one) === pause && !this.#stopped) run();
    else await gate.giveBack(1).catch(() => undefined); // a permit that is lost costs a moment
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
