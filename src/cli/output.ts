/** What the commands print: values as JSON on stdout, a line each; everything else on stderr. */

export function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, plain)}\n`);
}

export function note(text: string): void {
  process.stderr.write(`redstart: ${text}\n`);
}

/** Bytes as `{ "base64": … }`; Buffer's own toJSON makes a number of each. */
function plain(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  return Buffer.isBuffer(original) ? { base64: original.toString('base64') } : value;
}
