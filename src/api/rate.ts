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
  /** Messages, 1 or more. Retries count, too. */
  limit: number;
  /** Milliseconds, 1 or more. */
  per: number;
}

/** For lists, and streams with a group. */
export interface RatedOptions {
  /**
   * Handle at most `limit` messages in `per` milliseconds, all processes together: one each `per / limit`, and no
   * `per` has more than 5 % above. What waits for its time stays in Redis. One script before each fetch
   * (EVALSHA); a list needs Redis 6.2. All who read a list, or as one group, must give the same. Default: no limit.
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
