/**
 * Every option that a user gives: its effect, its unit, its default. Beside the interfaces stand the
 * tables of checks: an option without a row does not compile. Milliseconds are 0 to 2 147 483 647
 * (about 24 days), the longest time that a timer can wait.
 */
import { SetupError } from '../errors.ts';
import {
  DELIVERY,
  SHARED_DELIVERY,
  claim,
  type ClaimOptions,
  type DeliveryOptions,
  type NoDeliveryOptions,
} from './delivery.ts';
import { ACK_POLICIES, type AckPolicy } from './ack-policy.ts';
import type { Injections } from './inject.ts';
import type { ErrorHandler } from './error-handlers.ts';
import type { Middleware } from './middleware.ts';
import type { Message } from './message.ts';
import type { Observer } from './observer.ts';
import type { Logger } from '../internal/logger.ts';
import type { Codec } from '../message/codec.ts';
import type { MessageFormat } from '../message/format.ts';
import type { HeadersInput } from '../message/headers.ts';
import type { Schema } from '../message/schema.ts';
import { schema } from './from-type.ts';
import {
  codec,
  errorHandlers,
  headers,
  injections,
  logger,
  middlewares,
  observers,
  destination,
} from './option-checks.ts';
import type { Destination, ReplyDestination } from './publishing.ts';
import {
  checkedByReader,
  count,
  flag,
  func,
  milliseconds,
  millisecondsOrNull,
  needs,
  nonEmptyText,
  oneOf,
  options,
  text,
  wrong,
  type Check,
  type Checks,
} from '../internal/checks.ts';

/** Whether a handler takes a message. The body is decoded and not yet validated. */
export type Filter = (message: Message) => boolean | Promise<boolean>;

const ERROR_POLICIES = ['send', 'hide'] as const;

/** Whether an error that a handler throws crosses the wire to its caller. */
export type ErrorPolicy = (typeof ERROR_POLICIES)[number];

/** Options that a broker or a router sets for all subscribers under it. A subscriber's own value wins, then that of the nearest router. */
export interface RouterOptions extends DeliveryOptions {
  /** Messages that one subscriber handles at once. Default 1: in order, one at a time. */
  concurrency?: number;
  /** What becomes of a message of a stream group or reliable list when its handler is done. Default `nack-on-error`. */
  ackPolicy?: AckPolicy;
  /**
   * Milliseconds that a handler may take: then `ctx.signal` aborts, and soon after the message counts as
   * failed (`HandlerTimeoutError`). Of a streamed answer: for each item. Default: no limit.
   */
  timeout?: number;
  /** `hide` tells callers only `Internal error`, and no name, message, code or data. For edges that are not trusted. Default `send`. */
  errorPolicy?: ErrorPolicy;
  /** Run around every handler, the first outermost; outer ones (the broker's) before inner ones. */
  middlewares?: readonly Middleware[];
  /** Answers for errors of handlers: `[onError(NotFound, () => null)]`. Of all that fit, that of the most specific class runs. */
  onError?: readonly ErrorHandler[];
  /** Is put before the name of every channel, list and stream. Default: nothing. */
  prefix?: string;
}

export const SHARED = {
  concurrency: count,
  ackPolicy: oneOf(ACK_POLICIES),
  ...SHARED_DELIVERY,
  timeout: milliseconds,
  errorPolicy: oneOf(ERROR_POLICIES),
  middlewares,
  onError: errorHandlers,
  prefix: text,
} satisfies Checks<RouterOptions>;

export interface RpcDefaults {
  /** Milliseconds that a call waits for its answer; `null` for ever. Default 30 000. */
  timeout?: number | null;
  /** Calls that may wait at the same time; one more fails with `OverloadedError`. Default 65 536. */
  maxPending?: number;
  /** The first part of the name of the channel that receives answers. Default `redstart:inbox:`. */
  inboxPrefix?: string;
}

const RPC = {
  timeout: millisecondsOrNull,
  maxPending: count,
  inboxPrefix: text,
} satisfies Checks<RpcDefaults>;

export interface BrokerOptions extends RouterOptions {
  /** How values become bodies. Default: FastStream's rules (text, JSON, bytes). */
  codec?: Codec;
  /** How headers and body share a frame. Default: FastStream's binary format. */
  format?: MessageFormat;
  /** Where failures are logged, and what `ctx.logger` is; `false` for nowhere. Default: lines on stderr. */
  logger?: Logger | false;
  /** Milliseconds that `stop` waits for handlers before it aborts their signals. Default 15 000. */
  gracefulTimeout?: number;
  rpc?: RpcDefaults;
  /** See the whole life of messages: metrics, traces. More can be added by `broker.observe`. Default: none. */
  observers?: readonly Observer[];
}

export const BROKER = {
  ...SHARED,
  codec,
  format: codec,
  logger,
  gracefulTimeout: milliseconds,
  rpc: options(RPC),
  observers,
} satisfies Checks<BrokerOptions>;

/** Options of every subscriber. */
export interface SubscriberOptions<
  S extends Schema = Schema,
  R extends Schema = Schema,
  I extends Injections = Injections,
> {
  /** Validates the body (each item of a batch) and types it. Anything that implements Standard Schema. */
  schema?: S;
  /** Validates what the handler answers. */
  reply?: R;
  /** Never answer; a redstart caller is told so at once. Default false. */
  noReply?: boolean;
  /** Messages handled at once. Default: the router's, or 1. */
  concurrency?: number;
  /** For stream groups and reliable lists. Default: the router's, or `nack-on-error`. */
  ackPolicy?: AckPolicy;
  /** Milliseconds that the handler may take. Default: the router's, or no limit. */
  timeout?: number;
  /** Default: the router's, or `send`. */
  errorPolicy?: ErrorPolicy;
  /** Take only messages for which this returns true; a handler without a filter on the same address takes the rest. */
  filter?: Filter;
  /** Run inside those of the broker and the routers. */
  middlewares?: readonly Middleware[];
  /** Answers for errors of this handler, and for messages to it that cannot be read. */
  onError?: readonly ErrorHandler[];
  /** What `ctx.state` is given before the handler runs: names, and functions of ctx that make the values. */
  inject?: I;
  /** Names the subscriber in logs. Default: class and method. */
  title?: string;
  /** What it does, for people: shown by `broker.subscribers`. */
  description?: string;
  codec?: Codec;
  format?: MessageFormat;
}

interface NotChannel {
  channel?: never;
  pattern?: never;
  sharded?: never;
}

interface NotList {
  list?: never;
  reliable?: never;
}

interface NotStream {
  stream?: never;
  group?: never;
  consumer?: never;
  lastId?: never;
  noAck?: never;
  maxlen?: never;
  declare?: never;
  claim?: never;
  deleteOnAck?: never;
}

interface Batching<B extends boolean> {
  /** Hand over what there is as one array, `maxRecords` at most; see `maxWait`. Default false. */
  batch?: B;
  /** Messages fetched at once. Default: 100 in batches; otherwise what the handler's pace suggests. */
  maxRecords?: number;
  /** Milliseconds that a batch may wait from its first message on to be full. Needs `batch`. Default 0: what there is. */
  maxWait?: number;
}

export interface ChannelSubscription<
  S extends Schema,
  R extends Schema,
  I extends Injections = Injections,
>
  extends SubscriberOptions<S, R, I>, NotList, NotStream, NoDeliveryOptions {
  /** A channel, or a template such as `logs.{level}`, which gives `ctx.path.level`. */
  channel: string;
  /** `true`: a raw glob, for PSUBSCRIBE. `false`: the exact name, whatever it contains. */
  pattern?: boolean;
  /** SSUBSCRIBE: hear what is published with `sharded`. On a cluster one node carries it, not all. Redis 7. Default false. */
  sharded?: boolean;
  batch?: never;
  maxRecords?: never;
  maxWait?: never;
}

export interface ListSubscription<
  S extends Schema,
  R extends Schema,
  B extends boolean,
  I extends Injections = Injections,
>
  extends SubscriberOptions<S, R, I>, Batching<B>, NotChannel, NotStream, DeliveryOptions {
  /** Items are taken from the left, so RPUSH makes a queue. */
  list: string;
  /** At least once: an item stays in Redis until it is acknowledged, and comes again where its consumer dies. Needs Redis 6.2. Default false: at most once. */
  reliable?: boolean;
}

export interface StreamSubscription<
  S extends Schema,
  R extends Schema,
  B extends boolean,
  I extends Injections = Injections,
>
  extends SubscriberOptions<S, R, I>, Batching<B>, NotChannel, NotList, DeliveryOptions {
  stream: string;
  /** Share the stream's entries with all who name the same group. Without one every reader gets all. */
  group?: string;
  /** This reader's name in the group. Default: unique to the process, and removed again at `stop`. */
  consumer?: string;
  /** Read from after this id: `0` is the beginning, `$` what is new. Default `$`; for a group that is created here `0`. */
  lastId?: string;
  /** Read without pending entries (NOACK): at most once. Needs a group. Default false. */
  noAck?: boolean;
  /** Trim the stream to about this many entries (XTRIM) while acknowledging, but never what a group has not handled. Needs a group. Default: no trimming. */
  maxlen?: number;
  /** Create the stream where it is missing. Default true. */
  declare?: boolean;
  /** When entries of consumers that died are taken over (XAUTOCLAIM). Needs a group. Default: after 30 s of silence. */
  claim?: ClaimOptions;
  /** Delete entries (XDEL) as they are acknowledged, for a stream that one group alone reads. Default false. */
  deleteOnAck?: boolean;
}

/** Where a subscriber listens, and how. A bare string is a channel. */
export type SubscriberAddress<
  S extends Schema = Schema,
  R extends Schema = Schema,
  B extends boolean = boolean,
  I extends Injections = Injections,
> =
  | string
  | ChannelSubscription<S, R, I>
  | ListSubscription<S, R, B, I>
  | StreamSubscription<S, R, B, I>;

const filter: Check = (value, key, where, all) => {
  func(value, key, where);
  if (all['batch'] !== true) return;
  throw new SetupError(
    `${where}: '${key}' chooses for one message and cannot be combined with 'batch'`,
  );
};

const lastId: Check = (value, key, where) => {
  nonEmptyText(value, key, where);
  if (/^(\$|\d+(-\d+)?)$/.test(value as string)) return;
  const expected = "'$', '0' or an entry's id such as '1700000000000-0'";
  throw wrong(where, key, expected, value, 'string');
};

/** Options that only mean something where a handler runs. */
const HANDLER = {
  reply: schema,
  noReply: flag,
  concurrency: SHARED.concurrency,
  timeout: SHARED.timeout,
  errorPolicy: SHARED.errorPolicy,
  filter,
  middlewares,
  onError: errorHandlers,
  inject: injections,
  description: nonEmptyText,
};

/** The same, for lists and streams. */
const BATCHING = {
  batch: flag,
  maxRecords: count,
  maxWait: needs('batch', milliseconds, true),
} satisfies Checks<Batching<boolean>>;

/** For handlers alone, whatever the kind of address. */
export const FOR_HANDLERS = { ...HANDLER, ...BATCHING };

const SUBSCRIBER = {
  ...HANDLER,
  schema,
  ackPolicy: SHARED.ackPolicy,
  title: nonEmptyText,
  codec,
  format: codec,
} satisfies Checks<SubscriberOptions>;

/** The options of a subscriber, for each kind of address. */
export const SUBSCRIBERS = {
  channel: {
    channel: checkedByReader,
    pattern: flag,
    sharded: checkedByReader,
    ...SUBSCRIBER,
  } satisfies Checks<ChannelSubscription<Schema, Schema>>,
  list: {
    list: checkedByReader,
    reliable: flag,
    ...BATCHING,
    ...DELIVERY,
    ...SUBSCRIBER,
  } satisfies Checks<ListSubscription<Schema, Schema, boolean>>,
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
    ...BATCHING,
    ...DELIVERY,
    ...SUBSCRIBER,
  } satisfies Checks<StreamSubscription<Schema, Schema, boolean>>,
};

/** An address to take messages from by hand. */
export type ConsumerAddress<S extends Schema = Schema> = SubscriberAddress<S, Schema, false> &
  (string | ({ [K in keyof typeof FOR_HANDLERS]?: never } & { ackPolicy?: 'manual' }));

/** Defaults of a publisher. */
export interface PublisherOptions<S extends Schema = Schema> {
  /** Validates what is published. */
  schema?: S;
  /** Sent with every message; a call's own headers win. */
  headers?: HeadersInput;
  replyTo?: ReplyDestination;
  codec?: Codec;
  format?: MessageFormat;
  title?: string;
  description?: string;
}

/** The options of a publisher, and where it sends to. */
export const PUBLISHER = {
  channel: checkedByReader,
  sharded: checkedByReader,
  list: checkedByReader,
  stream: checkedByReader,
  maxlen: needs('stream', count),
  schema,
  headers,
  replyTo: destination,
  codec,
  format: codec,
  title: nonEmptyText,
  description: nonEmptyText,
} satisfies Checks<Destination & PublisherOptions>;
