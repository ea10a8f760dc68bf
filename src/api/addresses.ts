/**
 * Addresses with the options of their kind, which subscribers and contracts take, and the table of
 * their checks.
 */
import {
  checkedByReader,
  count,
  flag,
  milliseconds,
  needs,
  nonEmptyText,
  oneOf,
  wrong,
  type Check,
  type Checks,
} from '../internal/checks.ts';
import { SetupError } from '../errors.ts';
import type { Mistake } from '../internal/mistake.ts';
import type { Kind } from '../transport/address.ts';
import { ACK_POLICIES, type AckPolicy } from './ack-policy.ts';
import type { OneDestination } from './destination.ts';
import { rate, type NoRatedOptions, type RatedOptions } from './rate.ts';
import { ONCE, type NoOnceOptions, type OnceOptions } from './identity.ts';
import { DELIVERY, claim, settling, type ClaimOptions, type DeliveryOptions } from './delivery.ts';

export const ERROR_POLICIES = ['send', 'hide'] as const;

/** Whether an error that a handler throws crosses the wire to its caller. */
export type ErrorPolicy = (typeof ERROR_POLICIES)[number];

const REPLIES = ['any', 'inboxes'] as const;

/** Where answers may go: to whatever place a message names, or only to channels that brokers of redstart listen to for answers. */
export type Replies = (typeof REPLIES)[number];

/** How messages are handled, whatever the kind of address. */
export interface HandlingOptions {
  /**
   * How many messages are handled at the same time. With 1, a message that is retried still comes after later
   * ones; `ordered` changes that. Default: that of the router, or 1.
   */
  concurrency?: number;
  /**
   * Handles the messages of one `key` in order, one at a time, and up to `concurrency` keys at the same time. A
   * failed message holds back the later ones of its key until it is handled or given up; other keys go on.
   * Messages without a key form one more such group. The order holds within one process. Not with `batch`. Default
   * `false`.
   */
  ordered?: boolean;
  /**
   * For stream groups and reliable lists; see the same option of brokers and routers. Default: that of the router,
   * or `nack-on-error`.
   */
  ackPolicy?: AckPolicy;
  /** What callers learn about an error that the handler throws: `send` or `hide`. Default: that of the router, or `send`. */
  errorPolicy?: ErrorPolicy;
  /** Where answers may be sent: `any` or `inboxes`. Default: that of the router, or `any`. */
  replies?: Replies;
  /** The name of the subscriber in logs, health and metrics. Default: class and method. */
  title?: string;
  /** What the handler does, for people: shown by `broker.describe()` and AsyncAPI. Default: none. */
  description?: string;
}

const ordered: Check = (value, key, where, all) => {
  flag(value, key, where);
  if (value !== true || all['batch'] !== true) return;
  throw new SetupError(
    `${where}: '${key}' hands over one message of a key at a time and cannot be combined with 'batch'`,
  );
};

export const HANDLING = {
  concurrency: count,
  ordered,
  ackPolicy: oneOf(ACK_POLICIES),
  errorPolicy: oneOf(ERROR_POLICIES),
  replies: oneOf(REPLIES),
  title: nonEmptyText,
  description: nonEmptyText,
} satisfies Checks<HandlingOptions>;

export interface NoChannelOptions {
  pattern?: Mistake<"'pattern' is an option of channels">;
  sharded?: Mistake<"'sharded' is an option of channels">;
}

export interface NoListOptions {
  reliable?: Mistake<"'reliable' is an option of lists">;
}

export interface NoStreamOptions {
  group?: Mistake<"'group' is an option of streams">;
  consumer?: Mistake<"'consumer' is an option of streams">;
  lastId?: Mistake<"'lastId' is an option of streams">;
  noAck?: Mistake<"'noAck' is an option of streams">;
  maxlen?: Mistake<"'maxlen' is an option of streams">;
  declare?: Mistake<"'declare' is an option of streams">;
  claim?: Mistake<"'claim' is an option of streams">;
  deleteOnAck?: Mistake<"'deleteOnAck' is an option of streams">;
}

export interface BatchOptions<B extends boolean = boolean> {
  /** The handler gets an array of the messages that are there, at most `maxRecords`. Default `false`. */
  batch?: B;
  /** How many messages are fetched at once. Default: 100 in batches; otherwise as many as the handler can keep up with. */
  maxRecords?: number;
  /**
   * Milliseconds that a batch waits, from its first message on, until it is full. 0: it does not wait. Needs
   * `batch`. Default 0.
   */
  maxWait?: number;
}

/** For subscribers whose messages are not fetched. */
export interface NoBatchOptions {
  batch?: Mistake<"'batch' is an option of lists and streams, not of channels">;
  maxRecords?: Mistake<"'maxRecords' is an option of lists and streams, not of channels">;
  maxWait?: Mistake<"'maxWait' is an option of lists and streams, not of channels">;
}

/** For subscribers whose messages are not acknowledged. */
export interface NoDeliveryOptions extends NoOnceOptions {
  retry?: Mistake<"'retry' needs a stream with 'group', or a list with 'reliable: true'">;
  deadLetter?: Mistake<"'deadLetter' needs a stream with 'group', or a list with 'reliable: true'">;
  pause?: Mistake<"'pause' needs a stream with 'group', or a list with 'reliable: true'">;
}

export interface ChannelOptions {
  /**
   * `true`: the name is a glob for PSUBSCRIBE. `false`: the name is exact, whatever characters it contains. A name
   * that looks like a glob (`*`, `?`, `[a]`) is refused without this option. Default: a name with `{…}` is a
   * template, any other is exact.
   */
  pattern?: boolean;
  /**
   * Subscribes with SSUBSCRIBE and gets what is published with `sharded`. On a cluster, one node carries such a
   * message, not all. Needs Redis 7. Default `false`.
   */
  sharded?: boolean;
}

export interface ListOptions {
  /**
   * At-least-once delivery: an item stays in Redis until it is acknowledged, and is delivered again if its
   * consumer dies. Without it: at most once. Needs Redis 6.2. Default `false`.
   */
  reliable?: boolean;
}

/** Options of a stream, with a group or without. */
export interface StreamOptions {
  /**
   * The name of a consumer group. All subscribers with this group share the entries of the stream. Default: no
   * group, and every subscriber gets all entries.
   */
  group?: string;
  /**
   * Where reading begins: after the entry with this id. `0` is the beginning, `$` is what is sent from now on.
   * Default `$`; for a group that this subscriber creates `0`.
   */
  lastId?: string;
  /** Creates the stream if it does not exist. Default `true`. */
  declare?: boolean;
}

/** Options of a stream with a group. */
export interface GroupOptions {
  /** The name of this consumer in the group. Default: a name that is unique to the process, and removed at `stop`. */
  consumer?: string;
  /** Reads with NOACK: nothing is pending, so delivery is at most once. Default `false`. */
  noAck?: boolean;
  /**
   * Trims the stream to about this many entries (XTRIM) when it acknowledges. It never trims what a group has not
   * handled. Default: no trimming.
   */
  maxlen?: number;
  /** When the entries of a dead consumer are taken over (XAUTOCLAIM). Default: after 30 s of silence. */
  claim?: ClaimOptions;
  /** Deletes entries (XDEL) when they are acknowledged. Only for a stream that one group reads. Default `false`. */
  deleteOnAck?: boolean;
}

/** For streams without a group. */
export interface NoGroupOptions {
  consumer?: Mistake<"'consumer' needs a 'group'">;
  noAck?: Mistake<"'noAck' needs a 'group'">;
  maxlen?: Mistake<"'maxlen' needs a 'group'">;
  claim?: Mistake<"'claim' needs a 'group'">;
  deleteOnAck?: Mistake<"'deleteOnAck' needs a 'group'">;
}

export interface ChannelAddress
  extends
    ChannelOptions,
    NoListOptions,
    NoStreamOptions,
    NoDeliveryOptions,
    NoBatchOptions,
    NoRatedOptions {
  /** The name of a channel, or a template such as `logs.{level}`, which gives `ctx.path.level`. */
  channel: string;
  list?: never;
  stream?: never;
}

export interface AnyListAddress<B extends boolean>
  extends BatchOptions<B>, RatedOptions, NoChannelOptions, NoStreamOptions {
  /** The name of a list. Items are taken from the left and published with RPUSH, so the list is a queue. */
  list: string;
  channel?: never;
  stream?: never;
}

export interface ListAddress<B extends boolean = boolean>
  extends AnyListAddress<B>, ListOptions, DeliveryOptions, OnceOptions {}

/** A list whose items are gone as soon as they are read. */
export interface PlainListAddress<B extends boolean = boolean>
  extends AnyListAddress<B>, NoDeliveryOptions {
  reliable?: false;
}

export interface AnyStreamAddress<B extends boolean>
  extends StreamOptions, BatchOptions<B>, NoChannelOptions, NoListOptions {
  /** The name of a stream. */
  stream: string;
  channel?: never;
  list?: never;
}

export interface StreamAddress<B extends boolean = boolean>
  extends AnyStreamAddress<B>, GroupOptions, DeliveryOptions, RatedOptions, OnceOptions {}

/** A stream without a group: nothing is acknowledged. */
export interface PlainStreamAddress<B extends boolean = boolean>
  extends AnyStreamAddress<B>, NoGroupOptions, NoDeliveryOptions, NoRatedOptions {
  group?: never;
}

/** The address that the object `A` means, so that the compiler's error is about that one. */
export type MeantAddress<A, B extends boolean> =
  unknown extends OneDestination<A> ? OneAddress<A, B> : OneDestination<A>;

type OneAddress<A, B extends boolean> = A extends { readonly stream: unknown }
  ? IsAcknowledged<A> extends true
    ? StreamAddress<B>
    : PlainStreamAddress<B>
  : A extends { readonly list: unknown }
    ? IsAcknowledged<A> extends true
      ? ListAddress<B>
      : PlainListAddress<B>
    : A extends { readonly channel: unknown }
      ? ChannelAddress
      : ChannelAddress | ListAddress<B> | StreamAddress<B>;

/** The kind of the address `A`, which is a string or an object. */
export type KindOf<A> = unknown extends A
  ? Kind
  : A extends { readonly stream: unknown }
    ? 'stream'
    : A extends { readonly list: unknown }
      ? 'list'
      : 'channel';

/** Whether the address `A` has a group, or is a reliable list. */
export type IsAcknowledged<A> = unknown extends A
  ? boolean
  : A extends { readonly stream: unknown }
    ? IsGiven<A, 'group', undefined>
    : A extends { readonly list: unknown }
      ? IsGiven<A, 'reliable', false | undefined>
      : false;

/** Whether `A` has an option with another value than `Off`. */
type IsGiven<A, Name extends string, Off> = Name extends keyof A
  ? [A[Name]] extends [Off]
    ? false
    : true
  : false;

const lastId: Check = (value, key, where) => {
  nonEmptyText(value, key, where);
  if (/^(\$|\d+(-\d+)?)$/.test(value as string)) return;
  const expected = "'$', '0' or an entry's id such as '1700000000000-0'";
  throw wrong(where, key, expected, value, 'string');
};

/** For lists and streams. */
export const BATCHING = {
  batch: flag,
  maxRecords: count,
  maxWait: needs('batch', milliseconds, true),
} satisfies Checks<BatchOptions>;

const once = settling(ONCE, "a stream with 'group', or a list with 'reliable'");

/** Every option of an address, for each kind. */
export const ADDRESSES = {
  channel: {
    channel: checkedByReader,
    pattern: flag,
    sharded: checkedByReader,
  } satisfies Checks<ChannelAddress>,
  list: {
    list: checkedByReader,
    reliable: flag,
    rate,
    once,
    ...BATCHING,
    ...DELIVERY,
  } satisfies Checks<ListAddress>,
  stream: {
    stream: checkedByReader,
    group: nonEmptyText,
    consumer: needs('group', nonEmptyText),
    lastId,
    noAck: needs('group', flag),
    maxlen: needs('group', count),
    declare: flag,
    claim,
    deleteOnAck: needs('group', flag),
    rate: needs('group', rate),
    once,
    ...BATCHING,
    ...DELIVERY,
  } satisfies Checks<StreamAddress>,
};

/** What concerns one process alone is not an option of a contract. */
const { pause: _list, ...CONTRACT_LIST } = ADDRESSES.list;
const { pause: _stream, ...CONTRACT_STREAM } = ADDRESSES.stream;

/** Options of a contract: those of its address's kind, and how its messages are handled. */
export const CONTRACTS = {
  channel: { ...ADDRESSES.channel, ...HANDLING },
  list: { ...CONTRACT_LIST, ...HANDLING },
  // `maxlen` is the publishing side's, too: without a group it caps the stream as entries are added.
  stream: { ...CONTRACT_STREAM, ...HANDLING, maxlen: count },
} satisfies Record<Kind, Readonly<Record<string, Check>>>;
