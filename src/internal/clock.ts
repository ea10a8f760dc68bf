// Time, as everything sees it that waits for it to pass. It is the process's own until a test makes
// it jump (`redstart/testing`): then all that waits here finds that so much more has passed.

/** Whole milliseconds, since stream ids are made of them. */
let ahead = 0;

interface Waiting {
  readonly due: number;
  readonly task: () => void;
}

/** Timers that a jump has to end; undefined where nobody tests. */
let waiting: Map<NodeJS.Timeout, Waiting> | undefined;

/** Unix milliseconds. */
export function unixTime(): number {
  return Date.now() + ahead;
}

/** Milliseconds that only ever grow, from some time on. */
export function monotonicTime(): number {
  return performance.now() + ahead;
}

/** `setTimeout`. To be cleared by {@link clearTimer}. */
export function setTimer(task: () => void, delay: number): NodeJS.Timeout {
  if (waiting === undefined) return setTimeout(task, delay);
  const known = waiting;
  const timer = setTimeout(() => {
    known.delete(timer);
    task();
  }, delay);
  known.set(timer, { due: monotonicTime() + delay, task });
  return timer;
}

export function clearTimer(timer: NodeJS.Timeout | undefined): void {
  clearTimeout(timer);
  if (timer !== undefined) waiting?.delete(timer);
}

let testers = 0;

/** From now on timers can be made to end early. The result undoes it, and sets the time right when nobody tests any more. */
export function watchTime(): () => void {
  testers++;
  waiting ??= new Map();
  return () => {
    if (--testers > 0) return;
    waiting = undefined;
    ahead = 0;
  };
}

/**
 * Makes so many milliseconds pass, beside those that do so by themselves: ends timers in their order,
 * and calls `settle` after each.
 */
export async function passTime(ms: number, settle: () => Promise<void>): Promise<void> {
  const target = ahead + Math.ceil(ms);
  let rounding = 0;
  for (;;) {
    const next = [...(waiting ?? [])].toSorted(([, a], [, b]) => a.due - b.due)[0];
    if (next === undefined) break;
    const [timer, { due, task }] = next;
    if (due > performance.now() + target + rounding) break;
    const step = Math.max(0, due - monotonicTime());
    ahead += Math.ceil(step);
    rounding += Math.ceil(step) - step;
    clearTimer(timer);
    task();
    await settle();
  }
  ahead = Math.max(ahead, target);
}
