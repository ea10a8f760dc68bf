// The tables of checks are exhaustive by the compiler: an option without a row must not compile.
// Compiled by `tsc` and by inferred.test.ts, and never run.
import { count, flag, needs, text, type Checks } from '../../src/internal/checks.ts';

interface Options {
  group?: string;
  maxlen?: number;
  /** Forbidden here, so it is no option and has no row. */
  channel?: never;
}

interface OneMore extends Options {
  declare?: boolean;
}

export const complete = {
  group: text,
  maxlen: needs('group', count),
} satisfies Checks<Options>;

// @ts-expect-error: the option 'declare' has no check
export const oneMissing: Checks<OneMore> = { ...complete };

// @ts-expect-error: of a union, every member's options have a check
export const oneMember: Checks<Options | { sharded: boolean }> = { ...complete };

export const all: Checks<OneMore> = { ...complete, declare: flag };

// @ts-expect-error: a row for an option that does not exist
export const oneTooMany: Checks<Options> = { group: text, maxlen: count, channel: text };
