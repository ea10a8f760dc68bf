import type { Observers } from '../api/observer.ts';
import { monotonicTime } from '../internal/clock.ts';
import type { Attempt } from './dispatcher.ts';
import type { Outcome } from './outcome.ts';

/** Tells observers how the handling of a message has ended. */
export function emitHandled(observers: Observers, attempt: Attempt, outcome: Outcome): void {
  const { context, message, startedAt } = attempt;
  const failure = outcome.kind === 'failed' ? outcome : undefined;
  observers.emit('handled', {
    subscriber: context.subscriber,
    message,
    outcome: outcome.kind,
    result: outcome.kind === 'ok' ? outcome.result : undefined,
    error: failure?.error,
    stage: failure?.stage,
    // Of one that began before anybody observed, the time is not known.
    milliseconds: startedAt === 0 ? 0 : monotonicTime() - startedAt,
  });
}
