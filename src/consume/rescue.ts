import type { ReceivedMessage } from '../message/message.ts';
import type { Delivery, Report, Source } from '../transport/source.ts';
import type { Dispatcher } from './dispatcher.ts';
import { failed } from './outcome.ts';
import type { Settler } from './settlement.ts';

/** Milliseconds before a message that cannot even be settled is delivered again. */
const AGAIN_AFTER = 5_000;

export interface Rescue {
  readonly source: Source;
  readonly dispatcher: Dispatcher;
  readonly settler: Settler;
  readonly log: (level: 'error', message: ReceivedMessage, error: unknown, what: string) => void;
  readonly report: Report;
}

/**
 * The last guard: takes deliveries whose handling threw where nothing should, by a fault of ours or a
 * value that throws wherever it is touched. They count as failed. Never throws.
 */
export function rescue(deliveries: readonly Delivery[], error: unknown, by: Rescue): void {
  for (const delivery of deliveries) {
    try {
      settle(delivery, error, by);
    } catch (failure) {
      by.report('a message could not be handled to its end', failure, 'error');
      by.source.nack(delivery, AGAIN_AFTER);
    }
  }
}

function settle(delivery: Delivery, error: unknown, { dispatcher, settler, log }: Rescue): void {
  const { message, context } = dispatcher.open(delivery);
  const what = 'the message could not be handled to its end';
  log('error', message, error, what);
  const decision = settler.decide(failed(error), message, delivery);
  settler
    .settle(context.subscriber, message, delivery, decision, { error, what })
    ?.catch((failure: unknown) => log('error', message, failure, 'it could not be settled'));
}
