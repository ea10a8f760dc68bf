import type { MessageContext } from '../api/context.ts';
import type { HandlerFunction } from '../api/middleware.ts';
import { messageOf } from '../errors.ts';
import { promiseIn } from '../internal/promises.ts';
import { isError } from '../internal/thrown.ts';

/**
 * A batch handler that waits for the promises in the array that it returns, as `messages.map(async …)` makes it. One
 * that rejects gives its error, as if that were in its place: it is for its message only. Where there
 * is not one item for each message, the whole batch fails.
 */
export function withItems(handler: HandlerFunction): HandlerFunction {
  const run = handler as (bodies: readonly unknown[], ctx: MessageContext) => unknown;
  return (bodies: readonly unknown[], ctx: MessageContext) => {
    const result = run(bodies, ctx);
    const later = promiseIn(result);
    if (later === undefined) return awaited(result, bodies.length);
    return later.then((items) => awaited(items, bodies.length));
  };
}

function awaited(result: unknown, count: number): unknown {
  if (!Array.isArray(result)) return result;
  const items = result as readonly unknown[];
  const later = items.map(promiseOf);
  if (later.every((promise) => promise === undefined)) return result;
  return settled(items, later, items.length === count);
}

async function settled(
  items: readonly unknown[],
  later: readonly (Promise<unknown> | undefined)[],
  isEach: boolean,
): Promise<unknown[]> {
  // All of them: none still works when its message is settled.
  const ends = await Promise.allSettled(later.map((promise) => promise ?? Promise.resolve()));
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined && !isEach) throw failure.reason;
  return items.map((item, i) => {
    const end = ends[i];
    if (later[i] === undefined || end === undefined) return item;
    return end.status === 'fulfilled' ? end.value : asError(end.reason);
  });
}

/** The item as a promise, if it is one; a proxy that cannot be looked at is none. */
function promiseOf(item: unknown): Promise<unknown> | undefined {
  try {
    return promiseIn(item);
  } catch {
    return undefined;
  }
}

function asError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(messageOf(thrown));
}
