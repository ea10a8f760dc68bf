import type { BreakerState } from '../api/observer.ts';
import { clearTimer, setTimer } from '../internal/clock.ts';
import type { Report } from '../transport/source.ts';
import type { Outcome } from './outcome.ts';
import type { Decision } from './settlement.ts';

/** When a subscriber stops reading because every message fails, and for how long. */
export interface Pause {
  /** Failures in a row. */
  readonly after: number;
  /** Milliseconds until one message is tried. */
  readonly for: number;
}

/**
 * Stops a subscriber while every message fails, because what its handler needs is away. Only failures
 * of messages that are to be retried count, and they count in a row: one success starts anew.
 */
export class Breaker {
  readonly #pause: Pause;
  readonly #report: Report;
  readonly #onChange: (state: BreakerState) => void;
  #state: BreakerState = 'closed';
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #openedAt: string | undefined;

  /** `onChange` is called with each new state, after it has become the state. */
  constructor(pause: Pause, report: Report, onChange: (state: BreakerState) => void) {
    this.#pause = pause;
    this.#report = report;
    this.#onChange = onChange;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** When it opened (ISO 8601); undefined while it is closed. */
  get openedAt(): string | undefined {
    return this.#openedAt;
  }

  /** Only failures that are going to be retried count: a caller hears of the others, or they are final. */
  after(outcome: Outcome, decision: Decision): void {
    if (outcome.kind === 'ok') this.succeeded();
    else if (decision.how === 'nack' && decision.isCounted) this.failed();
  }

  /** A handler has returned. */
  succeeded(): void {
    this.#failures = 0;
    if (this.#state === 'closed') return;
    clearTimer(this.#timer);
    this.#openedAt = undefined;
    this.#report('a message was handled: reading goes on', undefined, 'info');
    this.#become('closed');
  }

  /** A message has failed that is going to be retried. */
  failed(): void {
    this.#failures++;
    if (this.#state === 'open' || (this.#state === 'closed' && this.#failures < this.#pause.after))
      return;
    this.#openedAt ??= new Date().toISOString();
    this.#timer = setTimer(() => this.#become('trial'), this.#pause.for);
    this.#timer.unref();
    const { for: time } = this.#pause;
    const what = `${this.#failures} failures in a row: nothing is read for ${time} ms, then one message is tried`;
    this.#report(what, undefined);
    this.#become('open');
  }

  /** Ends the pause without a trial: its subscriber stops. */
  stop(): void {
    clearTimer(this.#timer);
  }

  #become(state: BreakerState): void {
    this.#state = state;
    this.#onChange(state);
  }
}
