/** `value` as a promise if it is a promise or another thenable; undefined for a plain value. */
export function promiseIn(value: unknown): Promise<unknown> | undefined {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function')
    return undefined;
  return value instanceof Promise ? value : Promise.resolve(value);
}
