/** Every option that a user gives: its effect, its unit, its default, and the checks on what contradicts itself. */
import { isContract, type Contract } from './contract.ts';
import {
  DELIVERY_KEYS,
  checkDelivery,
  type ClaimOptions,
  type DeliveryOptions,
  type NoDeliveryOptions,
} from './delivery-options.ts';
import { SetupError } from './errors.ts';
import { ACK_POLICIES, type AckPolicy } from './handle/acknowledge.ts';
import type { Middleware } from './handle/middleware.ts';
import type { Filter } from './handle/pipeline.ts';
import {
  checkKeys,
  expectCount,
  expectMilliseconds,
  expectType,
  isObject,
} from './internal/checks.ts';
import type { Logger } from './internal/logger.ts';
import type { Codec } from './message/codec.ts';
import type { MessageFormat } from './message/format.ts';
import type { HeadersInput } from './message/headers.ts';
import { isSchema, type Schema } from './message/schema.ts';
import type { ReplyDestination } from './publish/publishing.ts';
import { targetOf, type Kind } from './transport/address.ts';

/** Whether an error that a handler throws crosses the wire to its caller. */
export type ErrorPolicy = 'send' | 'hide';

/** What a router hands down to its subscribers, and a broker to its routers; the nearest wins. */
export interface SharedOptions {
  /** Messages that one subscriber handles at once. Default 1: in order, one at a time. */
  concurrency?: number;
  /** What becomes of a message of a stream group or reliable list when its handler is done. Default `reject-on-error`. */
  ackPolicy?: AckPolicy;
  /** `hide` tells callers only `Internal error`, and no name, message, code or data. For edges that are not trusted. Default `send`. */
  errors?: ErrorPolicy;
  /** Run around every handler, the first outermost; outer ones (the broker's) before inner ones. */
  middlewares?: readonly Middleware[];
  /** Put before the name of every channel, list and stream. */
  prefix?: string;
}

export interface RpcDefaults {
  /** Milliseconds that a call waits for its answer; `null` for ever. Default 30 000. */
  timeout?: number | null;
  /** Calls that may wait at once; past it a call fails with `OverloadedError`. Default 65 536. */
  maxPending?: number;
  /** Begins the name of the channel that answers come to. Default `redstart:inbox:`. */
  inboxPrefix?: string;
}

export interface BrokerOptions extends SharedOptions {
  /** How values become bodies. Default: FastStream's rules (text, JSON, bytes). */
  codec?: Codec;
  /** How headers and body share a frame. Default: FastStream's binary format. */
  format?: MessageFormat;
  /** Where failures are logged, and what `ctx.logger` is; `false` for nowhere. Default: lines on stderr. */
  logger?: Logger | false;
  /** Milliseconds that `stop` waits for handlers before it aborts their signals. Default 15 000. */
  gracefulTimeout?: number;
  rpc?: RpcDefaults;
}

/** Options of every subscriber. */
export interface SubscriberOptions<S extends Schema = Schema, R extends Schema = Schema> {
  /** Validates the body (each item of a batch) and types it. Anything that implements Standard Schema. */
  schema?: S;
  /** Validates what the handler answers. */
  reply?: R;
  /** Never answer; a redstart caller is told so at once. Default false. */
  noReply?: boolean;
  /** Messages handled at once. Default: the router's, or 1. */
  concurrency?: number;
  /** For stream groups and reliable lists. Default: the router's, or `reject-on-error`. */
  ackPolicy?: AckPolicy;
  /** Default: the router's, or `send`. */
  errors?: ErrorPolicy;
  /** Take only messages for which this returns true; a handler without a filter on the same address takes the rest. */
  filter?: Filter;
  /** Run inside those of the broker and the routers. */
  middlewares?: readonly Middleware[];
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
  /** Hand over what there is as one array, `maxRecords` at most. Default false. */
  batch?: B;
  /** Messages fetched at once. Default: 100 in batches; otherwise what the handler's pace suggests. */
  maxRecords?: number;
}

export interface ChannelSubscription<S extends Schema, R extends Schema>
  extends SubscriberOptions<S, R>, NotList, NotStream, NoDeliveryOptions {
  /** A channel, or a template such as `logs.{level}`, which gives `ctx.path.level`. */
  channel: string;
  /** `true`: a raw glob, for PSUBSCRIBE. `false`: the exact name, whatever it contains. */
  pattern?: boolean;
  /** SSUBSCRIBE: hear what is published with `sharded`. On a cluster one node carries it, not all. Redis 7. Default false. */
  sharded?: boolean;
  batch?: never;
  maxRecords?: never;
}

export interface ListSubscription<S extends Schema, R extends Schema, B extends boolean>
  extends SubscriberOptions<S, R>, Batching<B>, NotChannel, NotStream, DeliveryOptions {
  /** Items are taken from the left, so RPUSH makes a queue. */
  list: string;
  /** At least once: an item stays in Redis until it is acknowledged, and comes again where its consumer dies. Needs Redis 6.2. Default false: at most once. */
  reliable?: boolean;
}

export interface StreamSubscription<S extends Schema, R extends Schema, B extends boolean>
  extends SubscriberOptions<S, R>, Batching<B>, NotChannel, NotList, DeliveryOptions {
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
> = string | ChannelSubscription<S, R> | ListSubscription<S, R, B> | StreamSubscription<S, R, B>;

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

/** A subscriber's address and options as one checked record; names are still without prefix. */
export interface SubscriberSpec {
  readonly kind: Kind;
  readonly name: string;
  /** Where it was subscribed to by one. */
  readonly contract?: Contract;
  /** The same as given, checked. */
  readonly options: Readonly<
    SubscriberOptions &
      Omit<
        StreamSubscription<Schema, Schema, boolean>,
        'channel' | 'pattern' | 'sharded' | 'list' | 'stream' | 'reliable'
      > & {
        pattern?: boolean;
        sharded?: boolean;
        reliable?: boolean;
      }
  >;
}

const COMMON = [
  ...['schema', 'reply', 'noReply', 'concurrency', 'ackPolicy', 'errors', 'filter'],
  'middlewares',
];
const ABOUT = ['title', 'description', 'codec', 'format'];
const SUBSCRIBER_KEYS: Record<Kind, readonly string[]> = {
  channel: ['channel', 'pattern', 'sharded', ...COMMON, ...ABOUT],
  list: ['list', 'reliable', 'batch', 'maxRecords', ...DELIVERY_KEYS, ...COMMON, ...ABOUT],
  stream: [
    ...[
      'stream',
      'group',
      'consumer',
      'batch',
      'maxRecords',
      'lastId',
      'noAck',
      'maxlen',
      'declare',
      'claim',
      'deleteOnAck',
    ],
    ...DELIVERY_KEYS,
    ...COMMON,
    ...ABOUT,
  ],
};
const SHARED_KEYS = ['concurrency', 'ackPolicy', 'errors', 'middlewares', 'prefix'];
const BROKER_KEYS = [...SHARED_KEYS, 'codec', 'format', 'logger', 'gracefulTimeout', 'rpc'];
const RPC_KEYS = ['timeout', 'maxPending', 'inboxPrefix'];

/** Reads a subscriber's address and options. Throws {@link SetupError} for every mistake that can be seen now. */
export function subscriberSpec(address: unknown, more: unknown, where: string): SubscriberSpec {
  if (isContract(address)) {
    const { schema, reply } = address;
    const spec = subscriberSpec({ ...address.address, schema, reply }, more, where);
    return { ...spec, contract: address };
  }
  if (typeof address !== 'string' && !isObject(address)) {
    throw new SetupError(
      `${where}: expected a channel's name or { channel }, { list } or { stream }, got ${typeof address}`,
    );
  }
  if (more !== undefined && !isObject(more)) {
    throw new SetupError(`${where}: options must be an object, got ${typeof more}`);
  }
  const given = { ...(typeof address === 'string' ? { channel: address } : address), ...more };
  const { kind, name } = targetOf(given, where);
  checkKeys(given, SUBSCRIBER_KEYS[kind], where, `a ${kind} subscriber`);
  const options = given as SubscriberSpec['options'];
  checkShared(options, where);
  checkCodecs(options, where);
  for (const key of ['schema', 'reply'] as const) {
    if (options[key] !== undefined && !isSchema(options[key])) {
      throw new SetupError(
        `${where}: '${key}' must implement Standard Schema, as those of zod, valibot and arktype do`,
      );
    }
  }
  for (const key of [
    'noReply',
    'reliable',
    'batch',
    'noAck',
    'declare',
    'pattern',
    'deleteOnAck',
  ] as const) {
    expectType(options[key], 'boolean', key, where);
  }
  for (const key of ['title', 'description', 'group', 'consumer', 'lastId'] as const) {
    expectType(options[key], 'string', key, where);
    if (options[key] === '') throw new SetupError(`${where}: '${key}' must not be empty`);
  }
  expectType(options.filter, 'function', 'filter', where);
  expectCount(options.maxRecords, 'maxRecords', where);
  expectCount(options.maxlen, 'maxlen', where);
  checkPairs(options, where);
  checkDelivery(options, options.group !== undefined || options.reliable === true, where);
  return { kind, name, options };
}

function checkPairs(options: SubscriberSpec['options'], where: string): void {
  for (const key of ['consumer', 'noAck', 'maxlen', 'deleteOnAck'] as const) {
    if (options[key] !== undefined && options.group === undefined) {
      throw new SetupError(`${where}: '${key}' only means something together with 'group'`);
    }
  }
  if (options.lastId !== undefined && !/^(\$|\d+(-\d+)?)$/.test(options.lastId)) {
    throw new SetupError(
      `${where}: 'lastId' must be '$', '0' or an entry's id such as '1700000000000-0', got '${options.lastId}'`,
    );
  }
  if (options.filter !== undefined && options.batch === true) {
    throw new SetupError(
      `${where}: 'filter' chooses for one message and cannot be combined with 'batch'`,
    );
  }
}

/** Checks a broker's options. */
export function checkBrokerOptions(options: BrokerOptions): void {
  const where = 'RedisBroker';
  if (!isObject(options)) throw new SetupError(`${where}: options must be an object`);
  checkKeys(options, BROKER_KEYS, where, 'a broker');
  checkShared(options, where);
  checkCodecs(options, where);
  expectMilliseconds(options.gracefulTimeout, 'gracefulTimeout', where);
  const { logger, rpc = {} } = options;
  if (logger !== undefined && logger !== false && typeof logger?.error !== 'function') {
    throw new SetupError(`${where}: 'logger' must have debug, info, warn and error, or be false`);
  }
  checkKeys(rpc, RPC_KEYS, `${where}: rpc`, "'rpc'");
  if (rpc.timeout !== null) expectMilliseconds(rpc.timeout, 'rpc.timeout', where);
  expectCount(rpc.maxPending, 'rpc.maxPending', where);
  expectType(rpc.inboxPrefix, 'string', 'rpc.inboxPrefix', where);
}

export function checkRouterOptions(options: SharedOptions): void {
  if (!isObject(options)) throw new SetupError('RedisRouter: options must be an object');
  checkKeys(options, SHARED_KEYS, 'RedisRouter', 'a router');
  checkShared(options, 'RedisRouter');
}

export function checkPublisherOptions(options: object, where: string): void {
  checkKeys(options, ['schema', 'headers', 'replyTo', ...ABOUT], where, 'a publisher');
  checkCodecs(options, where);
  const { schema } = options as PublisherOptions;
  if (schema !== undefined && !isSchema(schema)) {
    throw new SetupError(`${where}: 'schema' must implement Standard Schema`);
  }
}

export function checkMiddleware(middleware: unknown, where: string): void {
  if (typeof middleware === 'function') return;
  const given = isObject(middleware) ? Object.entries(middleware) : [];
  const isFine = given.every(
    ([key, value]) => (key === 'consume' || key === 'publish') && typeof value === 'function',
  );
  if (given.length === 0 || !isFine) {
    throw new SetupError(
      `${where}: a middleware must be a function (ctx, next) or an object { consume, publish } of functions`,
    );
  }
}

function checkShared(options: SharedOptions, where: string): void {
  expectCount(options.concurrency, 'concurrency', where);
  expectType(options.prefix, 'string', 'prefix', where);
  const { ackPolicy, errors, middlewares = [] } = options;
  if (errors !== undefined && errors !== 'send' && errors !== 'hide') {
    throw new SetupError(`${where}: 'errors' must be 'send' or 'hide', got '${String(errors)}'`);
  }
  if (ackPolicy !== undefined && !ACK_POLICIES.includes(ackPolicy)) {
    throw new SetupError(
      `${where}: 'ackPolicy' must be one of ${ACK_POLICIES.join(', ')}, got '${ackPolicy}'`,
    );
  }
  if (!Array.isArray(middlewares)) throw new SetupError(`${where}: 'middlewares' must be an array`);
  for (const middleware of middlewares) checkMiddleware(middleware, where);
}

function checkCodecs(options: { codec?: unknown; format?: unknown }, where: string): void {
  for (const key of ['codec', 'format'] as const) {
    const value = options[key] as { encode?: unknown; decode?: unknown } | undefined;
    if (value === undefined) continue;
    if (typeof value?.encode !== 'function' || typeof value.decode !== 'function') {
      throw new SetupError(`${where}: '${key}' must have the functions encode and decode`);
    }
  }
}
