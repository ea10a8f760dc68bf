/** `value` as a promise if it is a promise or another thenable; undefined for a plain value. */
export function promiseIn(value: unknown): Promise<unknown> | undefined {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function')
    return undefined;
  return value instanceof Promise ? value : Promise.resolve(value);
}

/** Whether `value` can be iterated asynchronously, as the result of an `async function*`. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    typeof (value as AsyncIterable<unknown> | null | undefined)?.[Symbol.asyncIterator] ===
    'function'
  );
}
