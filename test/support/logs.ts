import type { Logger } from 'redstart';

export interface LogLine {
  readonly level: 'warn' | 'error';
  readonly message: string;
  readonly error: unknown;
}

export interface TestLog {
  readonly logger: Logger;
  /** Everything logged since the last call. */
  take(): LogLine[];
}

/** A logger that keeps warnings and errors. */
export function testLog(): TestLog {
  let lines: LogLine[] = [];
  const keep = (level: LogLine['level'], fields: object | string, message = ''): void => {
    const error = (fields as { err?: unknown }).err;
    // Every cut of a channel's connection brings this warning: test/faults/gaps.test.ts reads it.
    if (message.includes('channels are heard again')) return;
    lines.push({ level, message: typeof fields === 'string' ? fields : message, error });
  };
  return {
    logger: {
      debug() {},
      info() {},
      warn: (fields, message) => keep('warn', fields, message),
      error: (fields, message) => keep('error', fields, message),
    },
    take() {
      const taken = lines;
      lines = [];
      return taken;
    },
  };
}

/** The logger of every test that runs alone. A test fails for lines that it does not take. */
export const { logger: testLogger, take: takeLogs } = testLog();
