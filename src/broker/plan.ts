import { isDeepStrictEqual } from 'node:util';
import type { ErrorPolicy } from '../api/addresses.ts';
import type { SubscriberSpec } from '../api/check.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import type { ReadingPlan } from '../consume/reading-plan.ts';
import { SetupError } from '../errors.ts';
import { channelPattern, type ChannelPattern } from '../transport/address.ts';
import { globMatcher } from '../transport/glob.ts';
import type { SourceOptions } from '../transport/source.ts';
import { failurePlan, over } from './failure-plan.ts';
import type { Declaration, Subscriber } from './subscriber.ts';

/** Messages in one batch where the subscriber does not say. */
const DEFAULT_BATCH = 100;

/** Milliseconds of silence after which a consumer counts as dead. */
const MIN_IDLE = 30_000;

/** A subscriber, what it inherits, and how it is named to users. */
export interface Member extends Declaration {
  readonly info: SubscriberInfo;
}

/** One source to open, and the subscribers that share it: several only where filters choose among them. */
export interface Plan extends ReadingPlan {
  readonly members: readonly Member[];
  /** Whether its subscription receives what is sent to this channel, list or stream. */
  readonly hears: (name: string) => boolean;
  readonly errorPolicy: ErrorPolicy;
}

/** What to open for these subscribers. Throws for names and combinations that cannot be. */
export function plan(declarations: readonly Declaration[]): Plan[] {
  const plans = new Map<string, Plan>();
  const others: Plan[] = [];
  for (const one of declarations.map(planOne)) {
    const key = placeOf(one);
    const twin = plans.get(key);
    if (twin === undefined) plans.set(key, one);
    else if (isFiltered(one) || isFiltered(twin)) plans.set(key, merge(twin, one));
    else others.push(one); // the same address twice, and no filter: both get every message, or compete
  }
  return [...plans.values(), ...others];
}

function planOne(declaration: Declaration): Plan {
  const { subscriber, inherited } = declaration;
  const { spec, title } = subscriber;
  const { options } = spec;
  const { prefix, defaults } = inherited;
  const address = `${spec.kind} '${prefix + spec.name}'`;
  const where = `@subscriber on ${title}`;
  const pattern =
    spec.kind === 'channel' ? channelPattern(spec.name, options.pattern, prefix, where) : undefined;
  return {
    name: `${address} (${title})`,
    address,
    members: [{ ...declaration, info: subscriber.infoAt(address, prefix + spec.name) }],
    source: sourceOf(subscriber, prefix, pattern),
    pattern,
    hears: pattern === undefined ? (place) => place === prefix + spec.name : hearing(pattern),
    concurrency: options.concurrency ?? defaults.concurrency ?? 1,
    ...failurePlan(
      over(inherited.failures, options, prefix, where),
      needsAck(spec),
      prefix + spec.name,
    ),
    noReply: options.noReply ?? false,
    errorPolicy: options.errorPolicy ?? defaults.errorPolicy ?? 'send',
    batch: options.batch === true ? (options.maxRecords ?? DEFAULT_BATCH) : undefined,
    fetch: options.maxRecords,
    maxWait: options.maxWait ?? 0,
  };
}

/** Whether Redis keeps a message until it is acknowledged. */
function needsAck({ kind, options }: SubscriberSpec): boolean {
  if (kind === 'list') return options.reliable === true;
  return kind === 'stream' && options.group !== undefined && options.noAck !== true;
}

function sourceOf(
  { title, spec: { kind, name, options } }: Subscriber,
  prefix: string,
  pattern: ChannelPattern | undefined,
): SourceOptions {
  if (pattern !== undefined) {
    const { name: channel, isPattern } = pattern;
    const { sharded = false } = options;
    if (sharded && isPattern) {
      throw new SetupError(
        `@subscriber on ${title}: Redis has no patterns of sharded channels: give '${name}' as one exact name ({ pattern: false }), or leave 'sharded' out`,
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

function hearing({ name, isPattern, match }: ChannelPattern): (channel: string) => boolean {
  if (!isPattern) return (channel) => channel === name;
  return match === undefined ? globMatcher(name) : (channel) => match(channel) !== undefined;
}

function isFiltered({ members }: Plan): boolean {
  return members.some(({ subscriber: { spec } }) => spec.options.filter !== undefined);
}

/** What two handlers read in common: the same messages come to both. */
function placeOf({ source }: Plan): string {
  const { kind, name } = source;
  if (kind === 'channel') return JSON.stringify([kind, name, source.isPattern, source.sharded]);
  return JSON.stringify([kind, name, kind === 'stream' ? source.group : undefined]);
}

/** Options of the reader, or of what becomes of any message. */
const MUST_AGREE = [
  ...(['noReply', 'ackPolicy', 'errorPolicy', 'batch', 'retry', 'deadLetter'] as const),
  ...(['pause', 'timeout'] as const),
] as const;

/** Filtered handlers of one address share one reader, so what concerns the reader must agree. */
function merge(first: Plan, second: Plan): Plan {
  for (const key of MUST_AGREE) {
    if (!isDeepStrictEqual(first[key], second[key])) throw disagreement(first, second, key);
  }
  const one = new Map<string, unknown>(Object.entries(first.source));
  const other = new Map<string, unknown>(Object.entries(second.source));
  const keys = [...one.keys(), ...other.keys()];
  const differing = keys.find((key) => one.get(key) !== other.get(key));
  if (differing !== undefined) throw disagreement(first, second, differing);
  const members = [...first.members, ...second.members];
  return {
    ...first,
    name: `${first.address} (${members.map(({ subscriber }) => subscriber.title).join(', ')})`,
    members,
    concurrency: Math.max(first.concurrency, second.concurrency),
  };
}

function disagreement(first: Plan, second: Plan, option: string): SetupError {
  return new SetupError(
    `${first.name} and ${second.name} share one reader, since filters choose between them, and must agree on '${option}'`,
  );
}
