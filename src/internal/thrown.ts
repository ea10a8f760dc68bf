/**
 * What user code threw, if it can be looked at. A proxy or a getter that throws would end whoever logs,
 * answers or settles by it.
 */
export function readable(thrown: unknown): unknown {
  try {
    if (thrown instanceof Error) void [thrown.name, thrown.message, thrown.stack, thrown.cause];
    else void String(thrown);
    return thrown;
  } catch {
    return new Error('the handler threw a value that cannot be read');
  }
}

/** `instanceof Error`, also of a proxy that cannot be looked at. */
export function isError(value: unknown): value is Error {
  try {
    return value instanceof Error;
  } catch {
    return false;
  }
}
