import { Logger as NestLogger } from '@nestjs/common';
import type { Logger } from '../../index.ts';

/** Logs to Nest's logger in the context `Redstart`: the fields follow the message, an error's stack goes where Nest expects it. */
export function nestLogger(): Logger {
  const logger = new NestLogger('Redstart');
  return {
    debug: (given, message) => logger.debug(lineOf(given, message)),
    info: (given, message) => logger.log(lineOf(given, message)),
    warn: (given, message) => logger.warn(lineOf(given, message)),
    error: (given, message) => {
      const { err } = given as { err?: unknown };
      const stack = err instanceof Error ? err.stack : undefined;
      // Nest takes a last argument for the context: nothing is given where there is no stack.
      if (stack === undefined) logger.error(lineOf(given, message));
      else logger.error(lineOf(given, message), stack);
    },
  };
}

function lineOf(given: object | string, message = ''): string {
  if (typeof given === 'string') return given;
  const { err, ...fields } = given as { err?: unknown };
  const reason = err === undefined ? '' : `: ${err instanceof Error ? err.message : String(err)}`;
  const isKnown = Object.values(fields).some((value) => value !== undefined);
  return `${message}${reason}${isKnown ? ` ${textOf(fields)}` : ''}`;
}

function textOf(fields: object): string {
  try {
    return JSON.stringify(fields);
  } catch {
    return '(fields that JSON cannot hold)';
  }
}
