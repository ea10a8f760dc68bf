import type { ReceivedMessage } from '../message/message.ts';
import type { HandlerContext } from './context.ts';
import type { Settlement, Settler } from './settlement.ts';

/** Settles the messages of a context as its handler says: `ctx.ack()`, `ctx.nack()`, `ctx.reject()`. The first word counts. */
export function settleByWord(
  settler: Settler,
  context: HandlerContext,
  how: Settlement,
  after?: number,
): Promise<void> | undefined {
  if (context.settlements !== undefined) return undefined;
  if (!settler.heedsWord) {
    // Nothing comes again here; but a caller hears that its message was refused.
    if (how === 'reject') context.settlements = context.messages.map(() => how);
    return undefined;
  }
  const settlements: Settlement[] = [];
  let last: Promise<void> | undefined;
  context.deliveries.forEach((delivery, i) => {
    const message = context.messages[i] as ReceivedMessage;
    const decision = settler.decideBy(how, delivery, after);
    // A nack of the last delivery gives the message up, and its caller is told so.
    settlements.push(decision.how === 'bury' ? 'reject' : how);
    last = settler.settle(context.subscriber, message, delivery, decision);
  });
  context.settlements = settlements;
  return last;
}
