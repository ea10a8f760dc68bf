/** The promise in `value`, where it is one or any other thenable; undefined where it is a plain value. */
export function promiseIn(value: unknown): Promise<unknown> | undefined {
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function')
    return undefined;
  return value instanceof Promise ? value : Promise.resolve(value);
}
