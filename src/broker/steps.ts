import type { Failure } from '../errors.ts';
import { clearTimer, setTimer } from '../internal/clock.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Report } from '../transport/source.ts';

/** Runs before or after the brokers run. A returned promise is awaited; its value is ignored. */
export type Hook = () => unknown;

/** Milliseconds after which a step that is not done is named in the log. */
const NOTICE = 2_000;

/** A function, and its name for error messages and the log. */
export interface Step {
  readonly name: string;
  readonly run: Hook | undefined;
  /** Milliseconds for it; `null`: no limit. */
  readonly limit: number | null;
}

/** Runs a step. What it throws, and that it is not done in time, is added to `failures`. */
export async function attempt(step: Step, failures: Failure[], report: Report): Promise<void> {
  const { name, run, limit } = step;
  if (run === undefined) return;
  const began = async (): Promise<unknown> => run();
  // A step without a limit may take its time.
  const level = limit === null ? 'info' : 'warn';
  const notice = setTimer(
    () => report(`waiting for ${name}, which has run for ${NOTICE} ms`, undefined, level),
    NOTICE,
  );
  try {
    const running = began();
    if (limit === null || (await settledWithin(running, limit))) await running;
    else {
      running.catch((error: unknown) => report(`${name} failed after its time limit`, error));
      throw new Error(`not done within ${limit} ms, and not waited for any longer`);
    }
  } catch (error) {
    failures.push({ step: name, error });
  } finally {
    clearTimer(notice);
  }
}
