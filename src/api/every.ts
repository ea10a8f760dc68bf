/** Messages that are sent again and again. */
import { SetupError } from '../errors.ts';
import {
  checkOptions,
  checkedByReader,
  count,
  got,
  isObject,
  nonEmptyText,
  wrong,
  type Checks,
} from '../internal/checks.ts';
import type { HeadersInput } from '../message/headers.ts';
import { MAX_NAME } from '../message/message.ts';
import { targetOf, type Target } from '../transport/address.ts';
import type { Mistake } from '../internal/mistake.ts';
import type { Destination, MeantDestination } from './destination.ts';
import { headers } from './option-checks.ts';

export interface Series {
  /** The name of the series at its destination. All processes that use the same one together send one message each period. */
  id: string;
  /**
   * The body, the same each time. It is encoded when it is sent, and once before, to refuse what can
   * never be sent, unless publish middleware may change it.
   */
  body: unknown;
  /** The time zone of a cron expression: a name of the IANA database. Default `UTC`. */
  timezone?: string;
  /** Headers of each message. Default: none. */
  headers?: HeadersInput;
}

/** What is sent again and again, and where to. */
export type EveryOptions = Destination & Series;

/** What `every` takes: `When` is its first argument, `Given` the options. */
export type EveryOptionsFor<When, Given> = (unknown extends Given
  ? EveryOptions
  : [Given] extends [EveryOptions]
    ? EveryOptions
    : Given extends string
      ? Given
      : MeantDestination<Given> & Series) &
  ([When, Given] extends [number, { readonly timezone: string }]
    ? {
        timezone?: Mistake<"'timezone' is for cron expressions: periods of milliseconds begin in 1970, UTC">;
      }
    : unknown);

/** A message that is sent again and again. */
export interface Repeated {
  /** When it is due next, by the server's clock. Resolves with `undefined` where it was removed, and where the expression never comes again. */
  next(): Promise<Date | undefined>;
  /**
   * Ends the series in all processes that run now, and forgets it (EVALSHA). A process that calls
   * `every` with its `id` and connects later begins it again.
   */
  remove(): Promise<void>;
}

const EVERY = {
  id: (value: unknown, key: string, where: string) => {
    nonEmptyText(value, key, where);
    if (Buffer.byteLength(value as string) > MAX_NAME)
      throw wrong(where, key, `a string of at most ${MAX_NAME} bytes`, value, 'string');
  },
  body: checkedByReader,
  timezone: nonEmptyText,
  headers,
  channel: checkedByReader,
  list: checkedByReader,
  stream: checkedByReader,
  sharded: checkedByReader,
  maxlen: count,
} satisfies Checks<EveryOptions>;

const WHERE = 'every';

/** Checks the arguments of `every`. Throws `SetupError`; the expression is checked by whoever reads it. */
export function checkEvery(when: unknown, options: unknown): Target {
  if (typeof when !== 'string' && !(typeof when === 'number' && when >= 1 && when < 2 ** 53)) {
    throw new SetupError(
      `${WHERE}: expected milliseconds, 1 or more, or a cron expression, got ${got(when, 'number')}`,
    );
  }
  if (!isObject(options)) {
    throw new SetupError(
      `${WHERE}: expected options such as { id, stream, body }, got ${got(options)}`,
    );
  }
  checkOptions(options, EVERY, WHERE, WHERE);
  const { id, timezone, maxlen } = options as Partial<EveryOptions>;
  EVERY.id(id, 'id', WHERE);
  if (timezone !== undefined && typeof when === 'number') {
    throw new SetupError(
      `${WHERE}: 'timezone' is only for cron expressions: periods of milliseconds begin in 1970, UTC`,
    );
  }
  const target = targetOf(options, WHERE);
  if (maxlen !== undefined && target.kind !== 'stream')
    throw new SetupError(`${WHERE}: 'maxlen' is only for streams`);
  return target;
}
