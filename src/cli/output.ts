/** Prints a value on stdout, as one line of JSON. */
export function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, plain)}\n`);
}

/** Prints one line on stderr. */
export function logLine(text: string): void {
  process.stderr.write(`redstart: ${text}\n`);
}

/** Writes bytes as `{ "base64": … }`; Buffer's own toJSON would write one number per byte. */
function plain(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  return Buffer.isBuffer(original) ? { base64: original.toString('base64') } : value;
}
