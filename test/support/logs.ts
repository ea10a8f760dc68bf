import type { Logger } from 'redstart';

export interface LogLine {
  readonly level: 'warn' | 'error';
  readonly message: string;
  readonly error: unknown;
}

let lines: LogLine[] = [];

/** The logger that test brokers use. Warnings and errors are kept, and a test fails for those that it does not take. */
export const testLogger: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => keep('warn', fields, message),
  error: (fields, message) => keep('error', fields, message),
};

/** Everything logged since the last call. */
export function takeLogs(): LogLine[] {
  const taken = lines;
  lines = [];
  return taken;
}

function keep(level: LogLine['level'], fields: object | string, message = ''): void {
  const error = (fields as { err?: unknown }).err;
  lines.push({ level, message: typeof fields === 'string' ? fields : message, error });
}
