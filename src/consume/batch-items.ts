import { messageOf } from '../errors.ts';
import { promiseIn } from '../internal/promises.ts';
import { isError } from '../internal/thrown.ts';
import { ok, type Outcome } from './outcome.ts';

/**
 * Waits for the promises in the array that a batch handler returned, as `messages.map(async …)` makes it. One
 * that rejects gives its error, as if that were in its place: it is for its message only.
 */
export function withItems(outcome: Outcome | Promise<Outcome>): Outcome | Promise<Outcome> {
  return outcome instanceof Promise ? outcome.then(awaited) : awaited(outcome);
}

function awaited(outcome: Outcome): Outcome | Promise<Outcome> {
  if (outcome.kind !== 'ok' || !Array.isArray(outcome.result)) return outcome;
  const items = outcome.result as readonly unknown[];
  const later = items.map(promiseOf);
  if (later.every((promise) => promise === undefined)) return outcome;
  // All at once: one that rejects while another is waited for would be a rejection that nobody handles.
  return Promise.all(items.map((item, i) => later[i]?.catch(asError) ?? item)).then(ok);
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
