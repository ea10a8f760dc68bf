import { deferred } from '../internal/deferred.ts';
import { composePublish, type PublishCommand, type PublishMiddleware } from '../api/command.ts';

type Reply = number | string;

/** How each message of a pipeline fared, in order. */
export type Replies = PromiseSettledResult<Reply>[];

/**
 * Runs each command through middleware, and sends in one go all that middleware lets through: `send`
 * gets them in the order they were given. Rejects with the first error that comes before that, and
 * nothing is sent then.
 */
export async function sendTogether<Outbound>(
  commands: readonly PublishCommand[],
  middlewares: readonly PublishMiddleware[],
  encode: (command: PublishCommand) => Outbound,
  send: (outbound: readonly Outbound[]) => Promise<Replies>,
): Promise<Replies> {
  const replies = commands.map(() => deferred<unknown>());
  const decided = commands.map(() => deferred<void>());
  const outbound = new Map<number, Outbound>();
  const places = new Map(commands.map((command, i) => [command, i]));
  const through = composePublish(middlewares, (command: PublishCommand) => {
    const place = places.get(command) as number;
    outbound.set(place, encode(command));
    decided[place]?.resolve();
    return (replies[place] as { promise: Promise<unknown> }).promise;
  });
  let early: { error: unknown } | undefined;
  let isSending = false;
  const results = Promise.allSettled(
    commands.map(async (command, i) => {
      try {
        return (await through(command)) as Reply;
      } catch (error) {
        if (!isSending) early ??= { error };
        throw error;
      } finally {
        decided[i]?.resolve(); // middleware has answered itself
      }
    }),
  );
  await Promise.all(decided.map(({ promise }) => promise));
  isSending = true;
  if (early !== undefined) {
    for (const place of outbound.keys()) replies[place]?.reject(early.error);
    await results;
    throw early.error;
  }
  const order = [...outbound.keys()].toSorted((a, b) => a - b);
  try {
    const sent = await send(order.map((place) => outbound.get(place) as Outbound));
    for (const [i, place] of order.entries()) {
      const reply = sent[i] as Replies[number];
      if (reply.status === 'fulfilled') replies[place]?.resolve(reply.value);
      else replies[place]?.reject(reply.reason);
    }
  } catch (error) {
    for (const place of outbound.keys()) replies[place]?.reject(error);
  }
  return results;
}
