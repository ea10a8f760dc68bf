/** Reads addresses and options as users give them. Mistakes and contradictions are found here, before anything runs. */
import { SetupError } from '../errors.ts';
import { checkOptions, got, isObject, type Given, type Keys } from '../internal/checks.ts';
import { validator, type Schema, type Validate } from '../message/schema.ts';
import { templateParts } from '../transport/template.ts';
import { describe, targetOf, type Kind, type Target } from '../transport/address.ts';
import { destinationOf, isContract, refusePattern, type Contract } from './contract.ts';
import { isFromType } from './from-type.ts';
import {
  BROKER,
  FOR_HANDLERS,
  PUBLISHER,
  SHARED,
  SUBSCRIBERS,
  type BrokerOptions,
  type ChannelSubscription,
  type ListSubscription,
  type PublisherOptions,
  type RouterOptions,
  type StreamSubscription,
} from './options.ts';
import type { Destination } from './destination.ts';

/** The options that a type has, without those that it forbids. */
type Own<T> = Pick<T, Keys<T> & keyof T>;

type AnySubscription = Own<ChannelSubscription> & Own<ListSubscription> & Own<StreamSubscription>;

/** A subscriber's address and options as one checked record; names are still without prefix. */
export interface SubscriberSpec {
  readonly kind: Kind;
  readonly name: string;
  /** The contract that it was subscribed to, if it was by one. */
  readonly contract?: Contract;
  /** The same as given, checked. */
  readonly options: Readonly<Partial<Omit<AnySubscription, Kind>>>;
}

/** A publisher's destination and defaults, checked. */
export interface PublisherSpec {
  /** As given: the prefix is put on by whoever sends. */
  readonly destination: Destination;
  readonly options: PublisherOptions;
  readonly validate: Validate | undefined;
  /** Literal parts and parameters of the channel's name in turn, where it is a template. */
  readonly template: readonly string[] | undefined;
  /** The contract that it was made by, if it was by one. */
  readonly contract?: Contract;
}

/**
 * Reads a subscriber's address and options. `typed` makes the schema that `schema: fromType` stands
 * for; without it (no decorator, no method) `fromType` is refused. Throws {@link SetupError} for
 * every mistake that can be seen now.
 */
export function subscriberSpec(
  address: unknown,
  more: unknown,
  where: string,
  typed?: () => Schema,
): SubscriberSpec {
  if (isContract(address)) {
    refuseSet(more, ['channel', 'list', 'stream', 'sharded', 'schema', 'reply', 'noReply'], where);
    const { schema, reply } = address;
    const { maxlen, ...place } = address.address;
    // Without a group there is nothing to trim by: the publishing side alone uses it.
    const isTrimmed =
      ((more as { group?: unknown } | undefined)?.group ?? place['group']) !== undefined;
    const all = { ...place, ...(isTrimmed ? { maxlen } : {}), schema, reply };
    const spec = subscriberSpec(all, more, where, typed);
    if (address.many && spec.options['batch'] === true) {
      throw new SetupError(
        `${where}: a contract with 'many' answers each message with a stream, which a 'batch' handler cannot: leave one of them out`,
      );
    }
    return { ...spec, contract: address };
  }
  const given = together(address, more, where);
  const { kind, name } = targetOf(given, where);
  if (isFromType(given['schema']) && typed !== undefined) given['schema'] = typed();
  checkOptions(given, SUBSCRIBERS[kind], where, `a ${kind} subscriber`);
  return { kind, name, options: given };
}

/** Reads the address of `subscribe`, and refuses options that only a handler can use. */
export function consumerSpec(address: unknown): SubscriberSpec {
  const spec = subscriberSpec(address, undefined, 'subscribe');
  // What a contract says of its handlers is not for messages taken by hand.
  if (spec.contract !== undefined) {
    const { batch: _, maxWait: __, ackPolicy: ___, once: ____, ...options } = spec.options;
    return { ...spec, options };
  }
  const given: Readonly<Record<string, unknown>> = spec.options;
  const { ackPolicy = 'manual' } = spec.options;
  const idle =
    ackPolicy === 'manual'
      ? Object.keys(FOR_HANDLERS).find((key) => given[key] !== undefined)
      : 'ackPolicy';
  if (idle === undefined) return spec;
  throw new SetupError(
    `subscribe: '${idle}' is for handlers, and messages taken by hand have none: leave it out`,
  );
}

/** Reads a publisher's address and options. Throws {@link SetupError} for every mistake that can be seen now. */
export function publisherSpec(address: unknown, more: unknown, where: string): PublisherSpec {
  if (isContract(address)) {
    refuseSet(more, ['channel', 'list', 'stream', 'sharded', 'maxlen', 'schema', 'pattern'], where);
    refusePattern(address, where);
    const { schema } = address;
    const { pattern } = address.address as { pattern?: boolean };
    return {
      ...publisherSpec({ ...destinationOf(address), schema, pattern }, more, where),
      contract: address,
    };
  }
  const given = together(address, more, where);
  const target = targetOf(given, where);
  checkOptions(given, PUBLISHER, where, 'a publisher');
  const options: PublisherOptions = given;
  const { schema, pattern } = options;
  const isTemplate = target.kind === 'channel' && target.sharded !== true && pattern !== false;
  const parts = isTemplate ? templateParts(target.name, where) : [];
  return {
    template: parts.length > 1 ? parts : undefined,
    destination: destinationFrom({ ...target, maxlen: given['maxlen'] as number | undefined }),
    options,
    validate:
      schema === undefined ? undefined : validator(schema, `the message for ${describe(target)}`),
  };
}

/** Throws {@link SetupError} for the first mistake in a broker's options. */
export function checkBrokerOptions(options: BrokerOptions): void {
  checkAll(options, BROKER, 'RedisBroker', 'a broker');
}

/** Throws {@link SetupError} for the first mistake in a router's options. */
export function checkRouterOptions(options: RouterOptions): void {
  checkAll(options, SHARED, 'RedisRouter', 'a router');
}

function checkAll(
  options: unknown,
  checks: Parameters<typeof checkOptions>[1],
  where: string,
  of: string,
): void {
  if (!isObject(options)) {
    throw new SetupError(`${where}: options must be an object, got ${got(options)}`);
  }
  checkOptions(options, checks, where, of);
}

/** Throws {@link SetupError} for options that a contract sets. */
function refuseSet(more: unknown, names: readonly string[], where: string): void {
  const given = (more ?? {}) as Readonly<Record<string, unknown>>;
  const set = names.find((name) => given[name] !== undefined);
  if (set === undefined) return;
  throw new SetupError(`${where}: '${set}' is set by the contract: leave it out`);
}

/** An address and the options beside it as one new object. */
function together(address: unknown, more: unknown, where: string): Record<string, unknown> {
  if (typeof address !== 'string' && !isObject(address)) {
    throw new SetupError(
      `${where}: expected a channel's name or { channel }, { list } or { stream }, got ${got(address)}`,
    );
  }
  if (more !== undefined && !isObject(more)) {
    throw new SetupError(`${where}: options must be an object, got ${got(more)}`);
  }
  const place = ['channel', 'list', 'stream'].find(
    (key) => (more as Given | undefined)?.[key] !== undefined,
  );
  if (place !== undefined) {
    throw new SetupError(
      `${where}: '${place}' is an address, and one was given before the options`,
    );
  }
  // What is undefined is not given: it leaves the other's value as it is.
  const own = Object.entries(more ?? {}).filter(([, value]) => value !== undefined);
  const all = typeof address === 'string' ? { channel: address } : { ...address };
  return Object.assign(all, Object.fromEntries(own));
}

function destinationFrom({ kind, name, sharded, maxlen }: Target): Destination {
  if (kind === 'list') return { list: name };
  if (kind === 'stream') return maxlen === undefined ? { stream: name } : { stream: name, maxlen };
  return sharded === undefined ? { channel: name } : { channel: name, sharded };
}
