// What came too late is dropped, so the server is asked for its time before: somebody may have set its clock.
import type { Delivery } from '../transport/source.ts';
import type { Attempt, Dispatcher } from './dispatcher.ts';
import { EXPIRED } from './outcome.ts';

/** Opens a delivery. A promise only where it seems to have come too late, and the server's time is asked for. */
export function open(dispatcher: Dispatcher, delivery: Delivery): Attempt | Promise<Attempt> {
  const attempt = dispatcher.open(delivery);
  const doubt = attempt.outcome === EXPIRED ? dispatcher.clock.doubt() : undefined;
  return doubt === undefined ? attempt : doubt.then(() => dispatcher.open(delivery));
}

/** Opens the deliveries of a batch. */
export async function openAll(
  dispatcher: Dispatcher,
  deliveries: readonly Delivery[],
): Promise<Attempt[]> {
  const opened: Attempt[] = [];
  for (const delivery of deliveries) {
    const attempt = open(dispatcher, delivery);
    opened.push(attempt instanceof Promise ? await attempt : attempt);
  }
  return opened;
}
