/** `value` as a promise if it is a promise or another thenable; undefined for a plain value. */
export function promiseIn(value: unknown): Promise<unknown> | undefined {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function')
    return undefined;
  return value instanceof Promise ? value : Promise.resolve(value);
}

/**
 * What user code returned where nobody waits for it: a promise of it that fails must not end the
 * process. `onFailure` is called with the error. Returns whether it was a promise.
 */
export function unawaited(value: unknown, onFailure: (error: unknown) => void = ignore): boolean {
  try {
    const later = promiseIn(value);
    later?.catch(onFailure);
    return later !== undefined;
  } catch (error) {
    onFailure(error);
    return false;
  }
}

function ignore(): void {}

/** Whether `value` can be iterated asynchronously, as the result of an `async function*`. One that cannot be looked at cannot. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  try {
    const items = value as AsyncIterable<unknown> | null | undefined;
    return typeof items?.[Symbol.asyncIterator] === 'function';
  } catch {
    return false;
  }
}

/** The iterator of these items; where it cannot be had, one that fails at the first item. */
export function iteratorOf(items: AsyncIterable<unknown>): AsyncIterator<unknown> {
  try {
    const iterator: unknown = items[Symbol.asyncIterator]();
    if (typeof iterator === 'object' && iterator !== null)
      return iterator as AsyncIterator<unknown>;
    throw new TypeError('[Symbol.asyncIterator]() returned no iterator');
  } catch (error) {
    return { next: () => Promise.reject(error) };
  }
}
