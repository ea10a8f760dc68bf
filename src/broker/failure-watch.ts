import type { HandledEvent, Observer, Observers } from '../api/observer.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { messageOf } from '../errors.ts';
import { clearTimer, setTimer } from '../internal/clock.ts';

/** Failures of one subscriber since somebody looks. */
export interface FailureCount {
  readonly count: number;
  /** The errors, with ids, numbers and quoted texts left out; the most frequent first, 5 at most. */
  readonly errors: readonly { readonly error: string; readonly count: number }[];
}

/** Different errors of one subscriber that are counted. */
const MAX_ERRORS = 20;

/** Errors that are told of one subscriber. */
const SHOWN = 5;

/** Characters of an error. */
const MAX_LENGTH = 200;

/** Milliseconds after the last look in which failures are still counted. */
const WATCH = 30_000;

const NONE: FailureCount = { count: 0, errors: [] };

/** Counts the failures of each subscriber, but only while somebody looks: it is no observer at any other time. */
export class FailureWatch implements Observer {
  readonly #observers: Observers;
  #counts = new Map<SubscriberInfo, { count: number; errors: Map<string, number> }>();
  #remove: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #since: string | undefined;

  constructor(observers: Observers) {
    this.#observers = observers;
  }

  /** When it began to count (ISO 8601); undefined while it does not. */
  get since(): string | undefined {
    return this.#since;
  }

  /** Counts from now on, or goes on counting, for {@link WATCH} milliseconds. */
  look(): void {
    clearTimer(this.#timer);
    this.#timer = setTimer(() => this.stop(), WATCH);
    this.#timer.unref();
    this.#remove ??= this.#observers.add(this);
    this.#since ??= new Date().toISOString();
  }

  stop(): void {
    clearTimer(this.#timer);
    this.#remove?.();
    this.#remove = undefined;
    this.#since = undefined;
    this.#counts = new Map();
  }

  of(subscriber: SubscriberInfo): FailureCount {
    const found = this.#counts.get(subscriber);
    if (found === undefined) return NONE;
    const errors = [...found.errors]
      .map(([error, count]) => ({ error, count }))
      .toSorted((a, b) => b.count - a.count);
    return { count: found.count, errors: errors.slice(0, SHOWN) };
  }

  handled({ subscriber, outcome, error }: HandledEvent): void {
    if (outcome !== 'failed') return;
    let found = this.#counts.get(subscriber);
    if (found === undefined)
      this.#counts.set(subscriber, (found = { count: 0, errors: new Map() }));
    found.count++;
    const text = generalized(
      error instanceof Error ? `${error.name}: ${error.message}` : messageOf(error),
    );
    const known = found.errors.has(text) || found.errors.size < MAX_ERRORS;
    const key = known ? text : 'other errors';
    found.errors.set(key, (found.errors.get(key) ?? 0) + 1);
  }
}

/** An error's text without what differs from one message to the next, so that the same error is counted once. */
function generalized(text: string): string {
  return text
    .slice(0, 2 * MAX_LENGTH)
    .replaceAll(/'[^']*'|"[^"]*"/g, '‹…›')
    .replaceAll(/\b[\da-f]{8}-[\da-f-]{27}\b/gi, '#')
    .replaceAll(/\d+/g, '#')
    .slice(0, MAX_LENGTH);
}
