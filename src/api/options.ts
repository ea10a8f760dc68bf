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
  options,
  text,
  type Check,
  type Checks,
} from '../internal/checks.ts';

/** Whether a handler takes a message. The body is decoded and not yet validated. */
export type Filter = (message: Message) => boolean | Promise<boolean>;

/** Options that a broker or a router sets for all subscribers under it. A subscriber's own value wins, then that of the nearest router. */
export interface RouterOptions extends DeliveryOptions {
  /** Messages that one subscriber handles at once. Default 1: one at a time, in order but for those that are retried. */
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
  /**
   * `inboxes` sends answers only to channels that begin with the broker's `rpc.inboxPrefix`, so that
   * no message can have its answer written anywhere else. FastStream's callers get no answer then, nor
   * do messages that were published with `replyTo`. `any` answers at every channel, and at lists and
   * streams under the broker's `prefix`. Default `any`.
   */
  replies?: Replies;
  /** Run around every handler, the first outermost; outer ones (the broker's) before inner ones. */
  middlewares?: readonly Middleware[];
  /** Answers for errors of handlers: `[onError(NotFound, () => null)]`. Of all that fit, that of the most specific class runs. */
  onError?: readonly ErrorHandler[];
  /** Is put before the name of every channel, list and stream. Default: nothing. */
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
  /**
   * Bytes of the largest message that is sent, headers included; a larger one is refused with an
   * `EncodeError`. Redis cuts off a subscriber for whom more than 32 MB wait. Default 16 777 216.
   */
  maxBytes?: number;
  /** Milliseconds that `stop` waits for handlers before it aborts their signals. Default 15 000. */
  gracefulTimeout?: number;
  /** Milliseconds in which the id of a message is known: the default of the publish option `idWindow`. Default 600 000. */
  idWindow?: number;
  answers?: AnswersOptions;
  rpc?: RpcDefaults;
  /** See the whole life of messages: metrics, traces. More can be added by `broker.observe`. Default: none. */
  observers?: readonly Observer[];
  /**
   * Whether this process answers questions for its state, and pauses and resumes its subscribers, over
   * the channel `<prefix>redstart:control`: for the dashboard and `broker.fleet`. `'status'`: for its state
   * alone. Whoever may publish to that channel can ask. Default false.
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
  answers: options(ANSWERS),
  rpc: options(RPC),
  observers,
  control,
} satisfies Checks<BrokerOptions>;

/** Options of a handler that do not depend on its schemas and its address. */
export interface HandlerOptions<I extends Injections = Injections> extends HandlingOptions {
  /** Milliseconds that the handler may take. Default: the router's, or no limit. */
  timeout?: number;
  /** Take only messages for which this returns true; a handler without a filter on the same address takes the rest. */
  filter?: Filter;
  /** Run inside those of the broker and the routers. */
  middlewares?: readonly Middleware[];
  /** Answers for errors of this handler, and for messages to it that cannot be read. */
  onError?: readonly ErrorHandler[];
  /** What `ctx.state` is given before the handler runs: names, and functions of ctx that make the values. */
  inject?: I;
  codec?: Codec;
  format?: MessageFormat;
}

/** Options of every subscriber. */
export interface SubscriberOptions<
  S extends Schema = Schema,
  R extends Schema = Schema,
  I extends Injections = Injections,
> extends HandlerOptions<I> {
  /** Validates the body (each item of a batch) and types it. Anything that implements Standard Schema. */
  schema?: S;
  /** Validates what the handler answers. What is sent is the answer as the handler gave it. */
  reply?: R;
  /** Never answer; a redstart caller is told so at once. Default false. */
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
  /** Validates what is published. */
  schema?: S;
  /** Sent with every message; a call's own headers win. */
  headers?: HeadersInput;
  replyTo?: ReplyDestination;
  codec?: Codec;
  format?: MessageFormat;
  /**
   * Of `@publisher`: the handler returns an array, and each item is sent as a message of its own, all in
   * one round trip. Default false: the array is one message.
   */
  batch?: boolean;
  /** `false`: braces in a channel's name are part of it. Default: `logs.{level}` is a template, filled by `path`. */
  pattern?: false;
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
  batch: flag,
  pattern: needs('channel', flag),
  title: nonEmptyText,
  description: nonEmptyText,
} satisfies Checks<Destination & PublisherOptions>;
