import type { Message } from '../api/message.ts';
import type { Delivery, Source } from '../transport/source.ts';
import type { ConsumedMessage } from './consumer.ts';
import type { Dispatcher } from './dispatcher.ts';
import { open } from './opening.ts';
import type { Log, Settler } from './settlement.ts';

/**
 * The message of a delivery for whoever takes messages by hand. Undefined for one that nobody is to
 * get: expired (`onExpired` is told), delivered too often, or not readable. It is settled here, and
 * not left pending. Undefined, too, for one that comes again and is somebody else's by now.
 */
export async function takeByHand(
  delivery: Delivery,
  source: Source,
  dispatcher: Dispatcher,
  settler: Settler,
  onExpired: () => void,
  log: Log,
): Promise<ConsumedMessage | undefined> {
  if (delivery.comesAgain && !(await source.begins?.(delivery))) return undefined;
  const attempt = await open(dispatcher, delivery);
  attempt.outcome ??= settler.exhausted(delivery);
  await dispatcher.validate(attempt);
  const { message, context, outcome } = attempt;
  if (outcome === undefined) {
    return Object.assign(message as Message, {
      ack: () => context.ack(),
      nack: () => context.nack(),
      reject: () => context.reject(),
    });
  }
  if (outcome.kind === 'expired') onExpired();
  const { subscriber } = context;
  if (outcome.kind !== 'failed') {
    await settler.settle(subscriber, message, delivery, { how: 'ack' });
    return undefined;
  }
  const { error } = outcome;
  const failure = { error, what: 'the message is skipped' };
  if (!settler.needsAck) log('error', message, error, failure.what);
  else await settler.settle(subscriber, message, delivery, { how: 'bury', error }, failure);
  return undefined;
}
