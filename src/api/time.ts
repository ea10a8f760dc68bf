/** Options that say when a message is sent, and until when it counts. */
import { SetupError } from '../errors.ts';
import { milliseconds, wrong, type Check, type Checks, type Given } from '../internal/checks.ts';
import type { Mistake } from '../internal/mistake.ts';

/** Options of a message that no call has. `When` is what was given. */
export interface TimeOptions<When extends number | Date = number | Date> {
  /**
   * Milliseconds until the message is sent. Until then Redis keeps it, and its clock counts. `publish` then
   * resolves with a text for `broker.cancel`. Default: it is sent at once.
   */
  delay?: When extends Date ? never : When;
  /**
   * When the message is sent: a date, or Unix milliseconds, compared with the clock of Redis. A time in the past
   * means now. Default: now.
   */
  at?: When;
  /**
   * Milliseconds after which the message is dropped if no handler has begun it. They count from now, or from when
   * a delayed message is due, on the clock of Redis (header `redstart-expires`). The outcome is `expired`.
   * Default: never.
   */
  expires?: number;
}

/** For calls. */
export interface NeverLater {
  delay?: Mistake<"'delay' is not an option of a call, which waits for its answer">;
  at?: Mistake<"'at' is not an option of a call, which waits for its answer">;
  expires?: Mistake<"'expires' is not an option of a call: its request expires with its 'timeout'">;
}

const instant: Check = (value, key, where) => {
  const time = value instanceof Date ? value.getTime() : value;
  if (typeof time === 'number' && time >= 0 && time <= Number.MAX_SAFE_INTEGER) return;
  throw wrong(where, key, 'a Date, or Unix milliseconds, from 1970 on', value, 'number');
};

/** The check of a message that may be a call. */
const ofMessages =
  (check: Check): Check =>
  (value, key, where, all) => {
    if (all['rpc'] === true || where === 'request') throw ofCall(key, where);
    check(value, key, where, all);
  };

/** The options of a publish, a batch or a pipeline; `where` is the method. */
export const TIME = {
  delay: ofMessages(milliseconds),
  at: ofMessages((value, key, where, all: Given) => {
    instant(value, key, where, all);
    if (all['delay'] !== undefined)
      throw new SetupError(`${where}: 'delay' and 'at' both say when: give one of them`);
  }),
  expires: ofMessages(milliseconds),
} satisfies Checks<TimeOptions>;

const neverLater: Check = (_value, key, where) => {
  throw ofCall(key, where);
};

/** For calls with many answers. */
export const NEVER_LATER = { delay: neverLater, at: neverLater, expires: neverLater };

function ofCall(key: string, where: string): SetupError {
  const why =
    key === 'expires'
      ? "a call's request expires with its 'timeout': leave it out"
      : 'a call waits for its answer and cannot be sent later: use publish() without rpc';
  return new SetupError(`${where}: '${key}' is not an option of a call: ${why}`);
}
