import { AsyncLocalStorage } from 'node:async_hooks';
import { promiseIn } from '../internal/promises.ts';

/** The message that is being handled. What its handler sends inherits from it. */
export interface ParentMessage {
  /** Messages and calls keep it, unless they are given one of their own. */
  readonly correlationId: string;
  /** Unix milliseconds until which the caller waits. Calls end by then. Undefined where nobody waits. */
  readonly deadline: number | undefined;
}

/**
 * While a handler runs synchronously, `current` holds its message; AsyncLocalStorage carries it past
 * an `await`. AsyncLocalStorage in use makes every `await` of the process dearer (55 → 135 ns on
 * Node 20), so handlers that return no promise do without it.
 */
const storage = new AsyncLocalStorage<ParentMessage>();
let current: ParentMessage | undefined;

/** Whether a handler that returns promises has run: the storage then stays in use. */
let isStorageNeeded = false;

/** The message whose handler runs now; undefined outside of handlers. */
export function parentMessage(): ParentMessage | undefined {
  return current ?? storage.getStore();
}

/**
 * Calls `invoke` with `args`; what it sends inherits from `parent`. `isAsync` says whether it returns
 * a promise, so that the parent must outlive its first `await`. Where that is not known yet
 * (undefined), the storage is used, and left again if no promise came back.
 */
export function runWithParent<A extends unknown[], T>(
  parent: ParentMessage,
  isAsync: boolean | undefined,
  invoke: (...args: A) => T,
  ...args: A
): T {
  const outer = current;
  current = parent;
  try {
    if (isAsync === false) return invoke(...args);
    if (isAsync === true) isStorageNeeded = true;
    const result = storage.run(parent, invoke, ...args);
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
