// Log lines and events about the messages of one subscriber.
import type { BreakerState, Observers } from '../api/observer.ts';
import type { Logger } from '../internal/logger.ts';
import { logFields, type MessageFields } from '../message/log-fields.ts';
import type { Delivery, Report } from '../transport/source.ts';
import type { Attempt, Dispatcher } from './dispatcher.ts';
import type { Environment } from './reading-plan.ts';
import type { Log } from './settlement.ts';

/** Logs what happened to a message, with its ids. `name` is asked for each line: it changes with the handlers. */
export function messageLog(logger: Logger, name: () => string): Log {
  return (level, message, error, what) =>
    logger[level]({ err: error, ...logFields(message) }, `${name()}: ${what}`);
}

/**
 * Takes what a source reports: the log line has the ids of the message that it is about, and observers
 * hear of acknowledgements that were refused.
 */
export function sourceReport({ report, observers }: Environment, dispatcher: Dispatcher): Report {
  return (problem, error, level, about) => {
    const { delivery, unacknowledged: count } = about ?? {};
    if (count !== undefined) {
      const { subscriber } = dispatcher.first;
      observers.active?.emit('unacknowledged', { subscriber, count, error });
      report(problem, error, level, { fields: { count } });
    } else if (delivery === undefined) report(problem, error, level);
    else report(problem, error, level, { fields: fieldsOf(delivery, dispatcher) });
  };
}

/** Tells observers that a message has arrived. */
export function emitReceived(observers: Observers, { context, message }: Attempt): void {
  const { subscriber } = context;
  observers.active?.for('received')?.emit('received', { subscriber, message });
}

/** Tells observers that a subscriber has paused because its messages fail, or goes on. */
export function emitBreaker(
  observers: Observers,
  { first: { subscriber } }: Dispatcher,
  state: BreakerState,
): void {
  observers.active?.emit('breaker', { subscriber, state });
}

function fieldsOf(delivery: Delivery, dispatcher: Dispatcher): MessageFields {
  return logFields(dispatcher.open(delivery).message);
}
