// The clock and the timers of redstart. They follow the clock of the process until a test moves them
// forward (`redstart/testing`): then timers made here end early, and both times are ahead.

/** How far this clock is ahead, in whole milliseconds: stream ids are made of them. */
let ahead = 0;

interface Waiting {
  readonly due: number;
  readonly task: () => void;
}

/** Timers that {@link passTime} may end early; undefined while no test runs. */
let waiting: Map<NodeJS.Timeout, Waiting> | undefined;

/** Unix milliseconds. */
export function unixTime(): number {
  return Date.now() + ahead;
}

/** Milliseconds since a fixed moment; setting the system's clock does not change them. */
export function monotonicTime(): number {
  return performance.now() + ahead;
}

/** The longest time that Node's timers can wait, in milliseconds: a longer one becomes 1 ms. */
export const MAX_TIMER = 2_147_483_647;

/**
 * Like `setTimeout`, and for delays of any length: more than {@link MAX_TIMER} is waited for in
 * stretches, `Infinity` for ever. {@link clearTimer} cancels it.
 */
export function setTimer(task: () => void, delay: number): NodeJS.Timeout {
  if (waiting === undefined)
    return delay > MAX_TIMER ? setLong(task, delay) : setTimeout(task, delay);
  const known = waiting;
  const run = (): void => {
    known.delete(timer);
    task();
  };
  const timer = delay > MAX_TIMER ? setLong(run, delay) : setTimeout(run, delay);
  known.set(timer, { due: monotonicTime() + delay, task });
  return timer;
}

/** One timer that begins anew until its stretches make up the delay. */
function setLong(task: () => void, delay: number): NodeJS.Timeout {
  let stretches = Math.ceil(delay / MAX_TIMER);
  const stretch = delay === Infinity ? MAX_TIMER : delay / stretches;
  const timer = setTimeout(() => {
    if (--stretches > 0) timer.refresh();
    else task();
  }, stretch);
  return timer;
}

/** Deadlines that are over, and end their wait as soon as sockets are read. */
const late = new Set<NodeJS.Timeout>();

/**
 * Like {@link setTimer}, for the end of a wait for an answer: `task` runs once what has arrived on sockets is read. After a long tick
 * of the process its timers run before that, and its own delay would be taken for that of the other side.
 */
export function setDeadline(task: () => void, delay: number): NodeJS.Timeout {
  const timer = setTimer(() => {
    if (waiting !== undefined) return task(); // a test moves the clock
    late.add(timer);
    setImmediate(() => {
      if (late.delete(timer)) task();
    });
  }, delay);
  return timer;
}

export function clearTimer(timer: NodeJS.Timeout | undefined): void {
  clearTimeout(timer);
  if (timer === undefined) return;
  waiting?.delete(timer);
  if (late.size > 0) late.delete(timer);
}

let testers = 0;

/**
 * From now on new timers can be ended by {@link passTime}. Returns a function that undoes this; the
 * last one called sets the clock back.
 */
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
 * Moves the clock forward by `ms` milliseconds. Runs the timers that are due by then in order, and
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
