import type { Logger } from 'redstart';

export interface LogLine {
  readonly level: 'warn' | 'error';
  readonly message: string;
  readonly error: unknown;
}

let lines: LogLine[] = [];

/** The logger of test brokers. It keeps warnings and errors; a test that does not take its own with `takeLogs` fails. */
export const testLogger: Logger = {
  debug() {},
  info() {},
  warn: (fields, message) => keep('warn', fields, message),
  error: (fields, message) => keep('error', fields, message),
};

/** Returns the lines logged since the last call, and forgets them. */
export function takeLogs(): LogLine[] {
  const taken = lines;
  lines = [];
  return taken;
}

function keep(level: LogLine['level'], fields: object | string, message = ''): void {
  const error = (fields as { err?: unknown }).err;
  lines.push({ level, message: typeof fields === 'string' ? fields : message, error });
}
