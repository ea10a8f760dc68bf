import { monotonicTime } from '../../internal/clock.ts';
import { RateGate, SLACK, type Permits, type Rate } from '../rate.ts';

/** When the next permit of a place would be due if all came evenly. */
export interface RateState {
  due: number;
}

/** The permits of all who read a list or as a group, in one process. */
class MemoryPermits implements Permits {
  readonly #state: RateState;
  readonly #rate: Rate;

  constructor(state: RateState, rate: Rate) {
    this.#state = state;
    this.#rate = rate;
  }

  async ask(max: number): Promise<{ granted: number; wait: number }> {
    const { limit, per } = this.#rate;
    const [step, slack, now] = [per / limit, per * SLACK, monotonicTime()];
    const due = Math.max(now, this.#state.due);
    if (due - slack > now) {
      const worth = Math.min(max, Math.floor(slack / step / 2) + 1);
      return { granted: 0, wait: Math.max(1, due - slack + (worth - 1) * step - now) };
    }
    const granted = Math.min(max, Math.floor((now + slack - due) / step) + 1);
    this.#state.due = due + granted * step;
    return { granted, wait: 0 };
  }

  async giveBack(count: number): Promise<void> {
    const { limit, per } = this.#rate;
    this.#state.due = Math.max(monotonicTime(), this.#state.due) - (count * per) / limit;
  }
}

/** Undefined where there is no limit. */
export function rateGate(state: RateState, rate: Rate | undefined): RateGate | undefined {
  return rate && new RateGate(new MemoryPermits(state, rate));
}
