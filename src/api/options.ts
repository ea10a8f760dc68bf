/**
 * Every option that a user gives: its effect, its unit, its default. Beside the interfaces stand the
 * tables of checks: an option without a row does not compile. Milliseconds are 0 to 2 147 483 647
 * (about 24 days), the longest time that a timer can wait.
 */
import { SetupError } from '../errors.ts';
import {
  ADDRESSES,
  BATCHING,
  HANDLING,
  type ChannelAddress,
  type ErrorPolicy,
  type HandlingOptions,
  type ListAddress,
  type Replies,
  type StreamAddress,
} from './addresses.ts';
import { SHARED_DELIVERY, type DeliveryOptions } from './delivery.ts';
import type { AckPolicy } from './ack-policy.ts';
import type { Injections } from './inject.ts';
import type { ErrorHandler } from './error-handlers.ts';
import { ANSWERS, ONCE, window, type AnswersOptions } from './identity.ts';
import type { Middleware } from './middleware.ts';
import type { Message } from './message.ts';
import type { Observer } from './observer.ts';
import type { Logger } from '../internal/logger.ts';
import type { Codec } from '../message/codec.ts';
import type { MessageFormat } from '../message/format.ts';
import type { HeadersInput } from '../message/headers.ts';
import type { Mistake } from '../internal/mistake.ts';
import type { Schema } from '../message/schema.ts';
import { SHARINGS } from '../transport/sharing.ts';
import { schema } from './from-type.ts';
import {
  codec,
  control,
  errorHandlers,
  headers,
  injections,
  logger,
  middlewares,
  observers,
  destination,
} from './option-checks.ts';
import type { Destination, ReplyDestination } from './destination.ts';
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
  type Check,
  type Checks,
} from '../internal/checks.ts';

/** Whether a handler takes a message. The body is decoded and not yet validated. */
export type Filter = (message: Message) => boolean | Promise<boolean>;

/** Options that a broker or a router sets for all subscribers under it. A subscriber's own value wins, then that of the nearest router. */
export interface RouterOptions extends DeliveryOptions {
  /**
   * How many messages one subscriber handles at the same time. With 1, messages are handled in order, except those
   * that are retried. Default 1.
   */
  concurrency?: number;
  /**
   * What happens to a message of a stream group or a reliable list when its handler has ended: `ack`, `ack-first`,
   * `nack-on-error`, `reject-on-error` or `manual`. Default `nack-on-error`.
   */
  ackPolicy?: AckPolicy;
  /**
   * Milliseconds that a handler may take. Then `ctx.signal` aborts, and soon after that the message counts as
   * failed (`HandlerTimeoutError`). For a streamed answer: milliseconds for each item. Default: no limit.
   */
  timeout?: number;
  /**
   * What callers learn about an error that a handler throws: `send` sends its name, message, code and data; `hide` sends
   * only `Internal error`, and the error is logged. Use `hide` for callers that you do not trust. Refusals of redstart
   * itself, such as of a body that does not fit the schema, keep their code. Default `send`.
   */
  errorPolicy?: ErrorPolicy;
  /**
   * Where answers may be sent. `inboxes`: only to channels that begin with `rpc.inboxPrefix`; then FastStream
   * callers and messages that were published with `replyTo` get no answer. `any`: to every channel, and to lists
   * and streams under the `prefix` of the broker. Default `any`.
   */
  replies?: Replies;
  /**
   * Functions that run around every handler. The first one is the outermost; those of the broker are outside those
   * of a router. Default: none.
   */
  middlewares?: readonly Middleware[];
  /**
   * Answers for errors of handlers: `[onError(NotFound, () => null)]`. If several fit, the one with the most
   * specific class runs. Default: none.
   */
  onError?: readonly ErrorHandler[];
  /** Text that is put before the name of every channel, list and stream. Default: nothing. */
  prefix?: string;
}

export const SHARED = {
  concurrency: HANDLING.concurrency,
  ackPolicy: HANDLING.ackPolicy,
  ...SHARED_DELIVERY,
  timeout: milliseconds,
  errorPolicy: HANDLING.errorPolicy,
  replies: HANDLING.replies,
  middlewares,
  onError: errorHandlers,
  prefix: text,
} satisfies Checks<RouterOptions>;

export interface RpcDefaults {
  /** Milliseconds that a call waits for its answer; `null`: no limit. Default 30 000. */
  timeout?: number | null;
  /** How many calls may wait at the same time. One more fails with `OverloadedError`. Default 65 536. */
  maxPending?: number;
  /** The first part of the name of the channel that receives the answers. Default `redstart:inbox:`. */
  inboxPrefix?: string;
}

const RPC = {
  timeout: millisecondsOrNull,
  maxPending: count,
  inboxPrefix: text,
} satisfies Checks<RpcDefaults>;

export interface BrokerOptions extends RouterOptions {
  /** Converts values to bodies and back. Default: text, JSON and bytes, as FastStream does. */
  codec?: Codec;
  /** Puts headers and body into one frame. Default: the binary format of FastStream. */
  format?: MessageFormat;
  /** Where failures are logged, and what `ctx.logger` writes to; `false`: nowhere. Default: lines on stderr. */
  logger?: Logger | false;
  /**
   * The size in bytes of the largest message that may be sent, headers included. A larger one is refused with
   * `EncodeError`. Redis disconnects a subscriber of a channel when more than 32 MB wait for it. Default 16 777
   * 216.
   */
  maxBytes?: number;
  /** Milliseconds that `stop` waits for running handlers before it aborts their signals. Default 15 000. */
  gracefulTimeout?: number;
  /**
   * Milliseconds for which the `id` of a sent message is remembered, unless `publish` sets its own `idWindow`.
   * Default 600 000.
   */
  idWindow?: number;
  /**
   * Milliseconds after which the `maxlen` of a subscriber ignores a group that nobody reads: what that group has
   * not handled is trimmed (XTRIM), and the group loses it. A consumer counts as reading when it has sent a
   * command within that time (XINFO CONSUMERS). A consumer of redstart sends one at least once a minute, also
   * while it is paused; one of another program may send none while its handler runs. `health()` is yellow and
   * names the ignored group until somebody reads it or it is removed (`broker.groups`). Choose hours, not
   * minutes. Default: no group is ignored.
   */
  trimPast?: number;
  /** How long answers of calls with an `id` are kept. Default `{ keep: 600_000 }`. */
  answers?: AnswersOptions;
  /**
   * How many connections the broker opens to read lists and streams. `'dedicated'`: one for each list and each
   * stream. `'shared'`: at most five for all lists and streams of one server (of one hash slot, on a cluster). Up to
   * three of them carry blocking reads of several lists or streams (BLMPOP, XREAD, XREADGROUP). On one the server
   * reports that another list or stream has changed (CLIENT TRACKING), and on one the broker then reads it. A
   * message for a list or stream that is not in a blocking read takes one more round trip. On `memory://` the option
   * has no effect. Default: up to eight lists and streams of one server or slot have a connection each, more
   * share them.
   */
  connections?: 'shared' | 'dedicated';
  /** Settings of calls. Default: see each. */
  rpc?: RpcDefaults;
  /** Objects that see every event of the life of a message: metrics, traces. `broker.observe` adds more. Default: none. */
  observers?: readonly Observer[];
  /**
   * Whether this process answers questions about its state, and pauses and resumes its subscribers when asked,
   * over the channel `<prefix>redstart:control`. The dashboard and `broker.fleet` ask. `'status'`: it answers
   * questions only. Everybody who may publish to that channel can ask. Default `false`.
   */
  control?: boolean | 'status';
}

export const BROKER = {
  ...SHARED,
  codec,
  format: codec,
  logger,
  maxBytes: count,
  gracefulTimeout: milliseconds,
  idWindow: window,
  trimPast: window,
  answers: options(ANSWERS),
  connections: oneOf(SHARINGS),
  rpc: options(RPC),
  observers,
  control,
} satisfies Checks<BrokerOptions>;

/** Options of a handler that do not depend on its schemas and its address. */
export interface HandlerOptions<I extends Injections = Injections> extends HandlingOptions {
  /**
   * Milliseconds that the handler may take; see the same option of brokers and routers. Default: that of the
   * router, or no limit.
   */
  timeout?: number;
  /**
   * The handler gets only messages for which this function returns true. A handler without a filter at the same
   * address gets the rest. Default: all messages.
   */
  filter?: Filter;
  /** Functions that run around this handler, inside those of the broker and the routers. Default: none. */
  middlewares?: readonly Middleware[];
  /** Answers for errors of this handler, and for messages to it that cannot be decoded or validated. Default: none. */
  onError?: readonly ErrorHandler[];
  /** Values for `ctx.state`: an object of functions of `ctx` that make them before the handler runs. Default: none. */
  inject?: I;
  /** Converts the bodies of this subscriber. Default: that of the broker. */
  codec?: Codec;
  /** Reads and writes the frames of this subscriber. Default: that of the broker. */
  format?: MessageFormat;
}

/** Options of every subscriber. */
export interface SubscriberOptions<
  S extends Schema = Schema,
  R extends Schema = Schema,
  I extends Injections = Injections,
> extends HandlerOptions<I> {
  /**
   * Validates the body (in a batch: each item) and gives it its type. It is any Standard Schema: zod, valibot,
   * arktype. Default: no validation.
   */
  schema?: S;
  /**
   * Validates what the handler returns. The value is sent as the handler returned it, not as the schema converts
   * it. Default: no validation.
   */
  reply?: R;
  /** The handler never answers. A redstart caller gets a `NoReplyError` at once. Default `false`. */
  noReply?: boolean;
}

export interface ChannelSubscription<
  S extends Schema = Schema,
  R extends Schema = Schema,
  I extends Injections = Injections,
>
  extends SubscriberOptions<S, R, I>, ChannelAddress {}

export interface ListSubscription<
  S extends Schema = Schema,
  R extends Schema = Schema,
  B extends boolean = boolean,
  I extends Injections = Injections,
>
  extends SubscriberOptions<S, R, I>, ListAddress<B> {}

export interface StreamSubscription<
  S extends Schema = Schema,
  R extends Schema = Schema,
  B extends boolean = boolean,
  I extends Injections = Injections,
>
  extends SubscriberOptions<S, R, I>, StreamAddress<B> {}

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

/**
 * Options that only mean something where a handler runs: here, and not in {@link SUBSCRIBER} alone, or
 * `broker.subscribe`, which runs no handler, would accept and ignore them.
 */
const HANDLER = {
  reply: schema,
  noReply: flag,
  concurrency: HANDLING.concurrency,
  ordered: HANDLING.ordered,
  timeout: milliseconds,
  errorPolicy: HANDLING.errorPolicy,
  replies: HANDLING.replies,
  filter,
  middlewares,
  onError: errorHandlers,
  inject: injections,
  description: HANDLING.description,
};

/** For handlers alone, whatever the kind of address. */
export const FOR_HANDLERS = { ...HANDLER, ...BATCHING, once: ONCE };

const SUBSCRIBER = {
  ...HANDLER,
  schema,
  ackPolicy: HANDLING.ackPolicy,
  title: HANDLING.title,
  codec,
  format: codec,
} satisfies Checks<SubscriberOptions>;

/** The options of a subscriber, for each kind of address. */
export const SUBSCRIBERS = {
  channel: { ...ADDRESSES.channel, ...SUBSCRIBER } satisfies Checks<ChannelSubscription>,
  list: { ...ADDRESSES.list, ...SUBSCRIBER } satisfies Checks<ListSubscription>,
  stream: { ...ADDRESSES.stream, ...SUBSCRIBER } satisfies Checks<StreamSubscription>,
};

/** What is refused where messages are taken by hand. */
export type NoHandlerOptions = {
  [
    K in keyof typeof FOR_HANDLERS
  ]?: Mistake<`'${K}' is for handlers, and messages taken by hand have none`>;
} & { ackPolicy?: 'manual' };

/** An address to take messages from by hand. */
export type ConsumerAddress<S extends Schema = Schema> =
  | string
  | (SubscriberAddress<S, Schema, false> & object & NoHandlerOptions);

/** Defaults of a publisher. */
export interface PublisherOptions<S extends Schema = Schema> {
  /** Validates the body before it is sent. Default: no validation. */
  schema?: S;
  /** Headers of every message. A header that is given with a message wins. Default: none. */
  headers?: HeadersInput;
  /** Where the handler sends its answer. Default: no answer. */
  replyTo?: ReplyDestination;
  /** Converts the bodies of this publisher. Default: that of the broker. */
  codec?: Codec;
  /** Writes the frames of this publisher. Default: that of the broker. */
  format?: MessageFormat;
  /**
   * For `@publisher`: the method returns an array, and each item is sent as one message, all in one round trip.
   * With `false` the array is one message. Default `false`.
   */
  batch?: boolean;
  /**
   * `false`: braces in the name of a channel are part of the name. Default: `logs.{level}` is a template, and
   * `path` fills it.
   */
  pattern?: false;
  /** The name of the publisher in descriptions. Default: none. */
  title?: string;
  /** What it sends, for people: shown by `broker.describe()` and AsyncAPI. Default: none. */
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
  batch: flag,
  pattern: needs('channel', flag),
  title: nonEmptyText,
  description: nonEmptyText,
} satisfies Checks<Destination & PublisherOptions>;
