import type { Observers } from '../api/observer.ts';
import type { Logger } from '../internal/logger.ts';
import type { Report } from '../transport/source.ts';

/** Logs the problems of one part of a broker, `where`, and tells its observers. */
export function reporter(observers: Observers, logger: Logger, where: string): Report {
  return (problem, error, level = 'warn', { fields } = {}) => {
    observers.active?.emit('trouble', { where, problem, error, level });
    const known = error === undefined ? {} : { err: error };
    logger[level]({ ...known, ...fields }, `${where}: ${problem}`);
  };
}
