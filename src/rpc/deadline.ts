import { AsyncLocalStorage } from 'node:async_hooks';
import { promiseIn } from '../internal/promises.ts';

/** Something whose deadline the calls made on its behalf inherit. */
export interface Deadlined {
  /** Unix milliseconds until which the caller waits. */
  readonly deadline: number | undefined;
}

/**
 * While a handler runs synchronously, `current` holds what it handles; AsyncLocalStorage carries it
 * past an `await`. AsyncLocalStorage in use makes every `await` of the process dearer (55 → 135 ns
 * on Node 20), so handlers that return no promise do without it.
 */
const storage = new AsyncLocalStorage<Deadlined>();
let current: Deadlined | undefined;

/** Whether a handler that returns promises has run: the storage then stays in use. */
let isStorageNeeded = false;

/** Unix milliseconds by which a call made now must end; undefined outside of a handler whose caller waits. */
export function inheritedDeadline(): number | undefined {
  return (current ?? storage.getStore())?.deadline;
}

/**
 * Calls `invoke` with `args`; the calls that it makes inherit the deadline of `source`. `isAsync`
 * says whether it returns a promise, so that the deadline must outlive its first `await`. Where that
 * is not known yet (undefined), the storage is used, and left again if no promise came back.
 */
export function runWithDeadline<A extends unknown[], T>(
  source: Deadlined,
  isAsync: boolean | undefined,
  invoke: (...args: A) => T,
  ...args: A
): T {
  const outer = current;
  current = source;
  try {
    if (isAsync === false) return invoke(...args);
    if (isAsync === true) isStorageNeeded = true;
    const result = storage.run(source, invoke, ...args);
    isStorageNeeded ||= promiseIn(result) !== undefined;
    return result;
  } finally {
    current = outer;
    // Not inside another handler, which might still turn out to need it.
    if (isAsync === undefined && !isStorageNeeded && outer === undefined) storage.disable();
  }
}

/** Whether a function is declared `async`; one that is not may return a promise all the same. */
export function isAsyncFunction(value: unknown): boolean {
  return (value as object).constructor.name === 'AsyncFunction';
}
