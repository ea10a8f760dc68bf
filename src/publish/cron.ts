import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Cron } from 'croner';
import { SetupError, messageOf } from '../errors.ts';
import { thisFile } from '../internal/this-file.ts';
import { Zone } from '../internal/zone.ts';

/** When a repeated message is due: instants, in Unix milliseconds. */
export interface Schedule {
  /** The last one at or before an instant; undefined where there is none. */
  previous(instant: number): number | undefined;
  /** The first one after an instant; undefined where there is none. */
  next(instant: number): number | undefined;
}

/** Every `period` milliseconds, from 1970 on. */
export function everyPeriod(period: number): Schedule {
  return {
    previous: (instant) => Math.floor(instant / period) * period,
    next: (instant) => (Math.floor(instant / period) + 1) * period,
  };
}

/** Local times that a search looks at: an hour of seconds that has come before, and some more. */
const MANY = 4_000;
const HOUR = 3_600_000;

/**
 * By a cron expression of five fields, or of six with seconds first. Throws `SetupError` where it is no
 * expression, for an unknown zone, and where croner is not installed.
 */
export function cronSchedule(expression: string, timezone: string, where: string): Schedule {
  const zone = zoneOf(timezone, where);
  const Cron = loadCroner(where);
  // `*` is each hour that passes: it goes on while the clock is set back. All else are local times.
  const isHourly = /^\s*@hourly\s*$|\s\*\s+\S+\s+\S+\s+\S+\s*$/i.test(expression);
  const cron = parse(
    () => new Cron(expression, { timezone: isHourly ? timezone : 'UTC', mode: '5-or-6-parts' }),
    expression,
    where,
  );
  if (isHourly) {
    return {
      previous: (instant) =>
        cron
          .previousRuns(2, new Date(instant + 1_000))
          .map(Number)
          .find((at) => at <= instant),
      next: (instant) => cron.nextRun(new Date(instant))?.getTime(),
    };
  }
  return {
    previous: (instant) => {
      const from = zone.localOf(instant) + (zone.hasRepeated(instant) ? 3 * HOUR : 0);
      let local: number | undefined = Math.floor(from / 1_000) * 1_000 + 1_000;
      for (let n = 0; n < MANY && local !== undefined; n++) {
        local = cron.previousRuns(1, new Date(local))[0]?.getTime();
        const at = local === undefined ? undefined : zone.instantOf(local);
        if (at !== undefined && at <= instant) return at;
      }
      return undefined;
    },
    next: (instant) => {
      let local: number | undefined = zone.localOf(instant);
      for (let n = 0; n < MANY && local !== undefined; n++) {
        local = cron.nextRun(new Date(local))?.getTime();
        const at = local === undefined ? undefined : zone.instantOf(local);
        if (at !== undefined && at > instant) return at;
      }
      return undefined;
    },
  };
}

function parse(make: () => Cron, expression: string, where: string): Cron {
  let cron: Cron;
  let isPossible: boolean;
  try {
    cron = make();
    isPossible = cron.nextRun() !== null;
  } catch (cause) {
    throw new SetupError(
      `${where}: '${expression}' is not a cron expression of five fields, or of six with seconds first: ${messageOf(cause)}`,
      { cause },
    );
  }
  if (isPossible) return cron;
  throw new SetupError(`${where}: '${expression}' never matches: there is no such day`);
}

/** Loaded when the first expression is read: only who uses expressions needs the package. */
function loadCroner(where: string): typeof Cron {
  try {
    const from = thisFile() ?? join(process.cwd(), 'package.json');
    return (createRequire(from)('croner') as { Cron: typeof Cron }).Cron;
  } catch (cause) {
    throw new SetupError(
      `${where}: cron expressions need the package croner: npm install croner (milliseconds need no package)`,
      { cause },
    );
  }
}

function zoneOf(timezone: string, where: string): Zone {
  try {
    return new Zone(timezone);
  } catch (cause) {
    throw new SetupError(
      `${where}: 'timezone' must be a name of the IANA database, such as Europe/Berlin, got '${timezone}'`,
      { cause },
    );
  }
}
