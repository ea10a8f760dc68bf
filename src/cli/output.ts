import { visible, visibleLines } from '../internal/visible.ts';

/** Where the command line writes: `process`, or what a test gives. */
export interface Output {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
}

/** Prints a value on stdout, as one line of JSON. What a terminal would obey is written as `\u….`, which means the same. */
export function print(value: unknown): void {
  process.stdout.write(`${visible(JSON.stringify(value, plain) ?? 'null')}\n`);
}

/** Prints lines on stdout, for people. */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

/** Prints one line on stderr. */
export function logLine(text: string): void {
  writeLine(process, text);
}

/** Prints a text on the stderr of `output`. Its further lines are indented: none looks like a line of the command's own. */
export function writeLine({ stderr }: Output, text: string): void {
  stderr.write(`redstart: ${visibleLines(text).replaceAll('\n', '\n  ')}\n`);
}

/** Writes bytes as `{ "base64": … }`; Buffer's own toJSON would write one number per byte. */
function plain(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const original = this[key];
  return Buffer.isBuffer(original) ? { base64: original.toString('base64') } : value;
}
