// The clock and the timers of everything in redstart that waits. It is the process's own clock until a
// test makes it jump (`redstart/testing`): then timers made here end early, and both times are ahead.

/** By how many milliseconds this clock is ahead; whole ones, since stream ids are made of them. */
let ahead = 0;

interface Waiting {
  readonly due: number;
  readonly task: () => void;
}

/** Timers that a jump may end early; undefined while no test is running. */
let waiting: Map<NodeJS.Timeout, Waiting> | undefined;

/** Unix milliseconds. */
export function unixTime(): number {
  return Date.now() + ahead;
}

/** Milliseconds since some fixed moment; not changed when the system's clock is set. */
export function monotonicTime(): number {
  return performance.now() + ahead;
}

/** `setTimeout`; to be cleared with {@link clearTimer}. */
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

/** Lets {@link passTime} end timers that are made from now on. The result undoes it; the last one sets the clock right. */
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
 * Puts the clock ahead by `ms` milliseconds: runs the timers that are due by then, in their order, and
 * awaits `settle` after each.
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
