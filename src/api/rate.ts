/** How fast messages are handled, of all processes together. */
import {
  count,
  milliseconds,
  options,
  wrong,
  type Check,
  type Checks,
} from '../internal/checks.ts';
import type { Mistake } from '../internal/mistake.ts';

/** At most `limit` messages begin in `per` milliseconds, in all processes together, spread evenly. */
export interface RateOptions {
  /** How many messages, 1 or more. Retries count. */
  limit: number;
  /** In how many milliseconds, 1 or more. */
  per: number;
}

/** For lists, and streams with a group. */
export interface RatedOptions {
  /**
   * At most `limit` messages are handled in `per` milliseconds by all processes together. They are spread evenly,
   * and no `per` has more than 5 % above the limit. Messages wait in Redis. It costs one script (EVALSHA) before
   * each fetch; a list needs Redis 6.2. All subscribers of one list or group must set the same. Default: no limit.
   */
  rate?: RateOptions;
}

/** For channels, and streams without a group: everybody gets every message. */
export interface NoRatedOptions {
  rate?: Mistake<"'rate' needs a list, or a stream with 'group'">;
}

const period: Check = (value, key, where) => {
  milliseconds(value, key, where);
  if ((value as number) < 1) throw wrong(where, key, 'at least 1 millisecond', value, 'number');
};

export const rate = options({ limit: count, per: period } satisfies Checks<RateOptions>, [
  'limit',
  'per',
]);
