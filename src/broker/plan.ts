import { isDeepStrictEqual } from 'node:util';
import type { ErrorPolicy, Replies } from '../api/addresses.ts';
import type { SubscriberSpec } from '../api/check.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import type { ReadingPlan } from '../consume/reading-plan.ts';
import { SetupError } from '../errors.ts';
import type { Codec } from '../message/codec.ts';
import type { MessageFormat } from '../message/format.ts';
import { channelPattern, type ChannelPattern, type Target } from '../transport/address.ts';
import { globMatcher } from '../transport/glob.ts';
import type { SourceOptions } from '../transport/source.ts';
import { failurePlan, over } from './failure-plan.ts';
import type { Declaration, Inherited, Subscriber } from './subscriber.ts';

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
  /** What handlers read in common: the same messages come to all that have the same place. */
  readonly place: string;
  /** Whether its subscription receives what is sent to this channel, list or stream. */
  readonly hears: (name: string) => boolean;
  readonly errorPolicy: ErrorPolicy;
  /** Undefined for the broker's. */
  readonly codec: Codec | undefined;
  readonly format: MessageFormat | undefined;
  readonly replies: Replies;
}

/** What to open for these subscribers. Throws for names and combinations that cannot be. */
export function plan(declarations: readonly Declaration[]): Plan[] {
  const places = new Map<string, Plan[]>();
  for (const one of declarations.map(planOne)) {
    const there = places.get(one.place);
    if (there === undefined) places.set(one.place, [one]);
    else there.push(one);
  }
  const plans = [...places.values()].flatMap(combine);
  refuseCircles(plans, plans);
  return plans;
}

/**
 * The readers for the handlers of one place, given as a plan for each. Where one has a filter they
 * share one reader; without filters each has its own: all get every message, or they compete.
 * Throws `SetupError` where handlers that must share a reader cannot.
 */
export function combine(handlers: readonly Plan[]): Plan[] {
  const [first, ...others] = handlers;
  if (first === undefined) return [];
  if (!handlers.some(isFiltered)) {
    refuseRivals(handlers);
    return [...handlers];
  }
  const [rest, another] = handlers.filter((one) => !isFiltered(one));
  if (another !== undefined) {
    throw new SetupError(
      `${rest?.name} and ${another.name} both take the messages of ${first.address} that no filter takes: give one of them a filter`,
    );
  }
  return [others.reduce(merge, first)];
}

/** Two readers of one process that take turns handle two messages of a key at once: throws where one is `ordered`. */
function refuseRivals(handlers: readonly Plan[]): void {
  const [first, second] = handlers;
  if (first === undefined || second === undefined || !isShared(first)) return;
  if (!handlers.some(({ ordered }) => ordered)) return;
  throw new SetupError(
    `${first.name} and ${second.name} take turns, so 'ordered' cannot keep the messages of a key in order: register one of them, with a higher 'concurrency', or give one a filter`,
  );
}

/** What to tell of different handlers of one place that take turns, which is easily taken for both getting all; undefined where none do. */
export function rivalry(plans: readonly Plan[]): string | undefined {
  const [first, ...others] = plans;
  if (first === undefined || !isShared(first)) return undefined;
  const rival = others.find((other) => codeOf(other) !== codeOf(first));
  if (rival === undefined) return undefined;
  return `${first.name} and ${rival.name} take turns: a message comes to one of them, not to both. Give one a filter; if they do the same work, register one with a higher 'concurrency'`;
}

/** What runs, the same for two instances of a class. */
function codeOf({ members }: Plan): unknown {
  const { original, instance, method } = (members[0] as Member).subscriber.origin;
  if (instance === undefined || method === undefined) return original;
  return (instance as Readonly<Record<string | symbol, unknown>>)[method];
}

/** Whether a message comes to one reader of a place alone. */
function isShared({ source }: Plan): boolean {
  return source.kind === 'list' || (source.kind === 'stream' && source.group !== undefined);
}

/**
 * Throws `SetupError` for dead letters that come back to the source that they are from, directly or
 * through the dead letters of other subscribers: a message that always fails would go round for ever.
 * `plans` are all that run.
 */
export function refuseCircles(starts: readonly Plan[], plans: readonly Plan[]): void {
  if (starts.every(({ deadLetter }) => deadLetter === undefined)) return;
  const readers = new Map<string, Plan[]>();
  for (const one of plans) {
    const place = placeText(one.source);
    const there = readers.get(place);
    if (there === undefined) readers.set(place, [one]);
    else there.push(one);
  }
  for (const start of starts) refuseCircle(start, readers);
}

/** `readers`: who reads a list or stream, by {@link placeText}. */
function refuseCircle(start: Plan, readers: ReadonlyMap<string, readonly Plan[]>): void {
  const seen = new Set<string>();
  const follow = (from: Plan): void => {
    const { deadLetter } = from;
    if (deadLetter === undefined) return;
    const place = placeText(deadLetter);
    if (place === placeText(start.source)) {
      const through = from === start ? 'are sent to' : `come back, by ${from.name}, to`;
      throw new SetupError(
        `the dead letters of ${start.name} ${through} the ${deadLetter.kind} that it reads: set another address in 'deadLetter', or false`,
      );
    }
    if (seen.has(place)) return;
    seen.add(place);
    for (const next of readers.get(place) ?? []) follow(next);
  };
  follow(start);
}

function placeText({ kind, name }: Target | SourceOptions): string {
  return `${kind} ${name}`;
}

/** Plans that were made before, by what the subscriber inherits there. */
const made = new WeakMap<Subscriber, WeakMap<Inherited, Plan>>();

/** The codec that a subscriber at an address was given; undefined where none was. */
export function codecAt(
  { kind, name }: Target,
  declarations: readonly Declaration[],
): Codec | undefined {
  const reader = declarations.find(
    ({ subscriber: { spec }, inherited }) =>
      spec.kind === kind && inherited.prefix + spec.name === name,
  );
  return reader?.subscriber.spec.options.codec;
}

/** The plan for one handler alone, made once. Throws for a name that cannot be. */
export function planOne(declaration: Declaration): Plan {
  const { subscriber, inherited } = declaration;
  const known = made.get(subscriber) ?? new WeakMap<Inherited, Plan>();
  made.set(subscriber, known);
  let planned = known.get(inherited);
  if (planned === undefined) {
    planned = makePlan(declaration);
    known.set(inherited, planned);
  }
  return planned;
}

function makePlan(declaration: Declaration): Plan {
  const { subscriber, inherited } = declaration;
  const { spec, title } = subscriber;
  const { options } = spec;
  const { prefix, defaults } = inherited;
  const address = `${spec.kind} '${prefix + spec.name}'`;
  const where = `@subscriber on ${title}`;
  const pattern =
    spec.kind === 'channel' ? channelPattern(spec.name, options.pattern, prefix, where) : undefined;
  const source = sourceOf(subscriber, inherited, pattern);
  return {
    name: `${address} (${title})`,
    address,
    place: placeOf(source, prefix + spec.name),
    members: [{ ...declaration, info: subscriber.infoAt(address, prefix + spec.name) }],
    source,
    pattern,
    hears: pattern === undefined ? (place) => place === prefix + spec.name : hearing(pattern),
    concurrency: options.concurrency ?? defaults.concurrency ?? 1,
    ordered: options.ordered ?? false,
    needsAck: needsAck(spec),
    ...failurePlan(
      over(inherited.failures, options, prefix, where),
      needsAck(spec),
      prefix + spec.name,
    ),
    once: options.once,
    noReply: options.noReply ?? false,
    errorPolicy: options.errorPolicy ?? defaults.errorPolicy ?? 'send',
    replies: options.replies ?? defaults.replies ?? 'any',
    batch: options.batch === true ? (options.maxRecords ?? DEFAULT_BATCH) : undefined,
    fetch: options.maxRecords,
    maxWait: options.maxWait ?? 0,
    codec: options.codec,
    format: options.format,
  };
}

/** Whether Redis keeps a message until it is acknowledged. */
function needsAck({ kind, options }: SubscriberSpec): boolean {
  if (kind === 'list') return options.reliable === true;
  return kind === 'stream' && options.group !== undefined && options.noAck !== true;
}

function sourceOf(
  { title, spec: { kind, name, options } }: Subscriber,
  { prefix, defaults: { trimPast } }: Inherited,
  pattern: ChannelPattern | undefined,
): SourceOptions {
  if (pattern !== undefined) {
    const { name: channel, isPattern } = pattern;
    const { sharded = false } = options;
    if (sharded && isPattern) {
      throw new SetupError(
        `@subscriber on ${title}: a sharded channel cannot have a pattern: give '${name}' as one exact name ({ pattern: false }), or leave 'sharded' out`,
      );
    }
    return { kind: 'channel', name: channel, isPattern, sharded };
  }
  const { rate } = options;
  if (kind === 'list')
    return { kind, name: prefix + name, reliable: options.reliable ?? false, rate };
  const { group, consumer, lastId, declare = true, noAck = false, maxlen } = options;
  return {
    ...{ kind: 'stream', name: prefix + name, group, consumer, lastId, declare, noAck, maxlen },
    minIdle: options.claim?.minIdle ?? MIN_IDLE,
    deleteOnAck: options.deleteOnAck ?? false,
    trimPast: maxlen === undefined ? undefined : trimPast,
    rate,
  };
}

function hearing({ name, isPattern, match }: ChannelPattern): (channel: string) => boolean {
  if (!isPattern) return (channel) => channel === name;
  return match === undefined ? globMatcher(name) : (channel) => match(channel) !== undefined;
}

function isFiltered({ members }: Plan): boolean {
  return members.some(({ subscriber: { spec } }) => spec.options.filter !== undefined);
}

/** `template` is the name as the user wrote it: two templates with the same glob name their parameters apart. */
function placeOf(source: SourceOptions, template: string): string {
  const { kind, name } = source;
  if (kind === 'channel') return JSON.stringify([kind, template, source.isPattern, source.sharded]);
  return JSON.stringify([kind, name, kind === 'stream' ? source.group : undefined]);
}

/** The parts of a plan in which handlers that share a reader may differ. Of `concurrency` the highest counts. */
const APART: ReadonlySet<string> = new Set<keyof Plan>([
  'name',
  'address',
  'members',
  'place',
  'hears',
  'pattern',
  'concurrency',
  'source',
] as const);

/** The option behind a part of a plan, where it has another name. */
const OPTION_OF: Readonly<Record<string, string>> = {
  fetch: 'maxRecords',
  minIdle: 'claim.minIdle',
};

/** Filtered handlers of one address share one reader, so what concerns the reader must agree. */
function merge(first: Plan, second: Plan): Plan {
  // First the options that were given for the source: much in a plan follows from them.
  const differing =
    differenceOf(first.source, second.source, new Set()) ?? differenceOf(first, second, APART);
  if (differing !== undefined) throw disagreement(first, second, OPTION_OF[differing] ?? differing);
  const members = [...first.members, ...second.members];
  return {
    ...first,
    name: `${first.address} (${members.map(({ subscriber }) => subscriber.title).join(', ')})`,
    members,
    concurrency: Math.max(first.concurrency, second.concurrency),
  };
}

/** The first key under which the values differ. A codec or format must be the very same object. */
function differenceOf(
  first: object,
  second: object,
  except: ReadonlySet<string>,
): string | undefined {
  const [one, other] = [new Map(Object.entries(first)), new Map(Object.entries(second))];
  return [...new Set([...one.keys(), ...other.keys()])].find((key) => {
    if (except.has(key)) return false;
    const [a, b]: unknown[] = [one.get(key), other.get(key)];
    return key === 'codec' || key === 'format' ? a !== b : !isDeepStrictEqual(a, b);
  });
}

function disagreement(first: Plan, second: Plan, option: string): SetupError {
  return new SetupError(
    `${first.name} and ${second.name} share one reader, because filters choose between them, so they must have the same '${option}'`,
  );
}
