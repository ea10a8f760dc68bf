import { deadLetterTarget, type RetryOptions } from '../api/delivery.ts';
import { SetupError } from '../errors.ts';
import type { AckPolicy } from '../consume/acknowledge.ts';
import type { ErrorHandler } from '../api/error-handlers.ts';
import type { Middleware } from '../api/middleware.ts';
import type { Retry } from '../consume/settlement.ts';
import { backoff } from '../internal/backoff.ts';
import { globMatcher } from '../transport/glob.ts';
import type { ErrorPolicy } from '../api/options.ts';
import type { Registrar, Located } from './router.ts';
import type { Subscriber } from './subscriber.ts';
import { channelPattern, type ChannelPattern, type Target } from '../transport/address.ts';
import type { SourceOptions } from '../transport/transport.ts';

/** Messages in one batch where the subscriber does not say. */
const DEFAULT_BATCH = 100;

/** Milliseconds of silence after which a consumer counts as dead. */
const MIN_IDLE = 30_000;

/** A subscriber, and what the routers that lead to it add. */
export interface Member {
  readonly subscriber: Subscriber;
  /** All of it, the broker's first and the subscriber's own last. */
  readonly middlewares: readonly Middleware[];
  /** All routers' prefixes, outermost first. */
  readonly prefix: string;
  /** All routers', the innermost first. */
  readonly outerErrorHandlers: readonly ErrorHandler[];
}

/** One source to open, and the subscribers that share it: several only where filters choose among them. */
export interface Plan {
  /** For logs and errors: `list 'orders' (Orders.place)`. */
  readonly name: string;
  /** `list 'orders'` */
  readonly address: string;
  readonly members: readonly Member[];
  readonly source: SourceOptions;
  /** Channels only. */
  readonly pattern: ChannelPattern | undefined;
  readonly hears: (name: string) => boolean;
  readonly concurrency: number;
  readonly ackPolicy: AckPolicy;
  readonly retry: Retry | undefined;
  readonly deadLetter: Target | undefined;
  readonly noReply: boolean;
  readonly errors: ErrorPolicy;
  readonly batch: number | undefined;
  readonly fetch: number | undefined;
  /** Milliseconds that a batch may wait to be full. */
  readonly maxWait: number;
}

/** What to open for these subscribers. Throws for names and combinations that cannot be. */
export function plan(located: readonly Located[]): Plan[] {
  const plans = new Map<string, Plan>();
  const others: Plan[] = [];
  for (const one of located.map(planOne)) {
    const key = JSON.stringify(one.source);
    const twin = plans.get(key);
    if (twin === undefined) plans.set(key, one);
    else if (isFiltered(one) || isFiltered(twin)) plans.set(key, merge(twin, one));
    else others.push(one); // the same address twice, and no filter: both get every message, or compete
  }
  return [...plans.values(), ...others];
}

function planOne({ subscriber, path }: Located): Plan {
  const { spec, name } = subscriber;
  const { options } = spec;
  const prefix = path.map((router) => router.shared.prefix ?? '').join('');
  const outer = path.flatMap((router) => router.middlewares);
  const middlewares = [...outer, ...(options.middlewares ?? [])];
  const outerErrorHandlers = path.toReversed().flatMap((router) => router.errorHandlers);
  const address = `${spec.kind} '${prefix + spec.name}'`;
  const pattern =
    spec.kind === 'channel'
      ? channelPattern(spec.name, options.pattern, prefix, `@subscriber on ${name}`)
      : undefined;
  return {
    name: `${address} (${name})`,
    address,
    members: [{ subscriber, middlewares, prefix, outerErrorHandlers }],
    source: sourceOf(subscriber, prefix, pattern),
    pattern,
    hears: pattern === undefined ? (place) => place === prefix + spec.name : hearing(pattern),
    concurrency: options.concurrency ?? nearest(path, 'concurrency') ?? 1,
    ackPolicy: options.ackPolicy ?? nearest(path, 'ackPolicy') ?? 'reject-on-error',
    retry: retryOf(options.retry),
    deadLetter:
      options.deadLetter && deadLetterTarget(options.deadLetter, prefix, `@subscriber on ${name}`),
    noReply: options.noReply ?? false,
    errors: options.errors ?? nearest(path, 'errors') ?? 'send',
    batch: options.batch === true ? (options.maxRecords ?? DEFAULT_BATCH) : undefined,
    fetch: options.maxRecords,
    maxWait: options.maxWait ?? 0,
  };
}

function sourceOf(
  { name: subscriberName, spec: { kind, name, options } }: Subscriber,
  prefix: string,
  pattern: ChannelPattern | undefined,
): SourceOptions {
  if (pattern !== undefined) {
    const { name: channel, isPattern } = pattern;
    const { sharded = false } = options;
    if (sharded && isPattern) {
      throw new SetupError(
        `@subscriber on ${subscriberName}: Redis has no patterns of sharded channels: give '${name}' as one exact name ({ pattern: false }), or leave 'sharded' out`,
      );
    }
    return { kind: 'channel', name: channel, isPattern, sharded };
  }
  if (kind === 'list') return { kind, name: prefix + name, reliable: options.reliable ?? false };
  const { group, consumer, lastId, declare = true, noAck = false, maxlen } = options;
  return {
    ...{ kind: 'stream', name: prefix + name, group, consumer, lastId, declare, noAck, maxlen },
    minIdle: options.claim?.minIdle ?? MIN_IDLE,
    deleteOnAck: options.deleteOnAck ?? false,
  };
}

function retryOf(options: RetryOptions | undefined): Retry | undefined {
  if (options === undefined) return undefined;
  const { maxDeliveries, backoff: given } = options;
  if (typeof given === 'function') return { maxDeliveries, delay: given };
  if (given !== undefined) return { maxDeliveries, delay: () => given };
  return { maxDeliveries, delay: (deliveries) => backoff(deliveries - 1, 200, 30_000) };
}

function nearest<K extends 'concurrency' | 'ackPolicy' | 'errors'>(
  path: readonly Registrar[],
  key: K,
): Registrar['shared'][K] {
  return path.findLast((router) => router.shared[key] !== undefined)?.shared[key];
}

function hearing({ name, isPattern, match }: ChannelPattern): (channel: string) => boolean {
  if (!isPattern) return (channel) => channel === name;
  return match === undefined ? globMatcher(name) : (channel) => match(channel) !== undefined;
}

function isFiltered({ members }: Plan): boolean {
  return members.some(({ subscriber: { spec } }) => spec.options.filter !== undefined);
}

/** Filtered handlers of one address share one reader, so what concerns the reader must agree. */
function merge(first: Plan, second: Plan): Plan {
  for (const key of ['noReply', 'ackPolicy', 'errors', 'batch', 'retry', 'deadLetter'] as const) {
    if (JSON.stringify(first[key]) === JSON.stringify(second[key])) continue;
    throw new SetupError(
      `${first.name} and ${second.name} share one reader, since filters choose between them, and must agree on '${key}'`,
    );
  }
  const members = [...first.members, ...second.members];
  return {
    ...first,
    name: `${first.address} (${members.map(({ subscriber }) => subscriber.name).join(', ')})`,
    members,
    concurrency: Math.max(first.concurrency, second.concurrency),
  };
}
