/** What users give, read and checked: everything that contradicts itself is found here, before anything runs. */
import { isContract, type Contract } from './contract.ts';
import { DELIVERY_KEYS, checkDelivery } from './delivery.ts';
import { SetupError } from '../errors.ts';
import { ACK_POLICIES } from './ack-policy.ts';
import { checkInjections } from './inject.ts';
import { checkErrorHandlers } from './error-handlers.ts';
import { checkMiddleware } from './middleware.ts';
import {
  checkKeys,
  expectCount,
  expectMilliseconds,
  expectType,
  isObject,
} from '../internal/checks.ts';
import { isSchema, type Schema } from '../message/schema.ts';
import {
  HANDLING,
  type BrokerOptions,
  type PublisherOptions,
  type SharedOptions,
  type StreamSubscription,
  type SubscriberOptions,
} from './options.ts';
import { targetOf, type Kind } from '../transport/address.ts';

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
  ...['middlewares', 'onError', 'inject'],
];
const ABOUT = ['title', 'description', 'codec', 'format'];
const SUBSCRIBER_KEYS: Record<Kind, readonly string[]> = {
  channel: ['channel', 'pattern', 'sharded', ...COMMON, ...ABOUT],
  list: [
    'list',
    'reliable',
    'batch',
    'maxRecords',
    'maxWait',
    ...DELIVERY_KEYS,
    ...COMMON,
    ...ABOUT,
  ],
  stream: [
    ...[
      'stream',
      'group',
      'consumer',
      'batch',
      'maxRecords',
      'maxWait',
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
const SHARED_KEYS = ['concurrency', 'ackPolicy', 'errors', 'middlewares', 'onError', 'prefix'];
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
  checkInjections(options.inject, where);
  expectCount(options.maxRecords, 'maxRecords', where);
  expectMilliseconds(options.maxWait, 'maxWait', where);
  expectCount(options.maxlen, 'maxlen', where);
  checkPairs(options, where);
  checkDelivery(options, options.group !== undefined || options.reliable === true, where);
  return { kind, name, options };
}

/** The same for `subscribe`, without what is for handlers. */
export function consumerSpec(address: unknown): SubscriberSpec {
  const spec = subscriberSpec(address, undefined, 'subscribe');
  const { ackPolicy = 'manual' } = spec.options;
  const idle =
    ackPolicy === 'manual' ? HANDLING.find((key) => spec.options[key] !== undefined) : 'ackPolicy';
  if (idle === undefined || spec.contract !== undefined) return spec;
  throw new SetupError(
    `subscribe: '${idle}' is for handlers, and messages taken by hand have none: leave it out`,
  );
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
  if (options.maxWait !== undefined && options.batch !== true) {
    throw new SetupError(`${where}: 'maxWait' only means something together with 'batch: true'`);
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
  checkErrorHandlers(options.onError, where);
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
