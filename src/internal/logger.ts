import { unawaited } from './promises.ts';
import { visible } from './visible.ts';

/** Where redstart and its handlers log. Pino's loggers and the console have these methods. */
export interface Logger {
  debug(fields: object | string, message?: string): void;
  info(fields: object | string, message?: string): void;
  warn(fields: object | string, message?: string): void;
  error(fields: object | string, message?: string): void;
}

/** One line per entry on stderr, without `debug`. What a terminal would obey is shown as `\u….`: names and errors may come from outside. */
export const stderrLogger: Logger = {
  debug() {},
  info: (fields, message) => write('INFO', fields, message),
  warn: (fields, message) => write('WARN', fields, message),
  error: (fields, message) => write('ERROR', fields, message),
};

/** Logs nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A logger of the user's that may throw: that must not end what it was told of. Its first failure is shown on stderr. */
export function guardedLogger(logger: Logger): Logger {
  let hasFailed = false;
  const failed = (error: unknown): void => {
    if (!hasFailed)
      stderrLogger.error({ err: error }, 'the logger failed; further failures are not shown');
    hasFailed = true;
  };
  const guard =
    (level: keyof Logger) =>
    (fields: object | string, message?: string): void => {
      try {
        // One that returns a promise breaks the type, and must not end the process by it.
        unawaited(logger[level](fields, message), failed);
      } catch (error) {
        failed(error);
      }
    };
  return { debug: guard('debug'), info: guard('info'), warn: guard('warn'), error: guard('error') };
}

/** A logger whose every entry has these fields, too. A field of the entry's own wins. */
export function boundLogger(logger: Logger, fields: object): Logger {
  const bind =
    (level: keyof Logger) =>
    (given: object | string, message?: string): void =>
      typeof given === 'string'
        ? logger[level](fields, given)
        : logger[level](
            given instanceof Error ? { ...fields, err: given } : { ...fields, ...given },
            message,
          );
  return { debug: bind('debug'), info: bind('info'), warn: bind('warn'), error: bind('error') };
}

function write(level: string, fields: object | string, message: string | undefined): void {
  const text = typeof fields === 'string' ? fields : (message ?? '');
  const details = typeof fields === 'string' ? '' : ` ${plain(fields)}`;
  process.stderr.write(
    `${new Date().toISOString()} ${level} redstart ${visible(`${text}${details}`)}\n`,
  );
}

function plain(fields: object): string {
  try {
    return JSON.stringify(fields, (_key, value: unknown) => {
      if (value instanceof Error) return value.stack ?? value.message;
      return typeof value === 'bigint' ? String(value) : value;
    });
  } catch (error) {
    return `(fields cannot be shown: ${String(error)})`;
  }
}
