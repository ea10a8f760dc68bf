import type { Incident, Vitals } from '../consume/vitals.ts';
import { messageOf } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { SourceOptions } from '../transport/source.ts';
import type { GroupState } from '../transport/store.ts';
import { describe, type Target } from '../transport/address.ts';
import type { Transport } from '../transport/transport.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import type { Plan } from './plan.ts';
import { trimmingProblems } from './trimming-health.ts';

/** Counters of one broker, for monitoring. */
export interface BrokerStats {
  /** Calls that wait for an answer. */
  readonly pendingCalls: number;
  /** Answers that no call waited for: they were late, or the call already had one. */
  readonly lateAnswers: number;
  /** Messages that were not handled: requests whose caller no longer waits, and those past their `expires`. */
  readonly expiredRequests: number;
  /** How often this broker found that the server refuses a delayed message that is due. It is tried again every minute. */
  readonly refusedDelayed: number;
}

/** Milliseconds to wait for answers of the server. */
const ANSWER_TIMEOUT = 3_000;
/** After this many milliseconds without a connection, the status is red. */
const RED_AFTER = 10_000;
/** A handler without a `timeout` that runs longer than this many milliseconds is stuck. */
const STUCK_AFTER = 60_000;
/** For this many milliseconds after a message was dropped, the status is yellow. */
const REPORT_DROPS_FOR = 60_000;

/** From this part of their cap on, dead letters are about to be trimmed: the status is yellow. */
const NEARLY_FULL = 0.9;

/** The state of a broker and its subscribers. Plain data that `JSON.stringify` can write. */
export interface Health {
  /**
   * Whether the process works: false if a subscriber has `failed`, which another attempt does not
   * fix. For a liveness probe. It stays true while Redis is away, because a restart does not help then.
   */
  readonly live: boolean;
  /**
   * Whether the broker takes work: started, connected, and no subscriber `starting` or `failed`. For a
   * readiness probe. It stays true while a subscriber is `open` or `paused`.
   */
  readonly ready: boolean;
  /**
   * - `green`: connected, and every subscriber reads.
   * - `yellow`: a problem that may pass by itself: the server does not answer or is disconnected for
   *   less than 10 s, a subscriber is `starting`, `retrying`, `open` or `stuck`, dead letters cannot be
   *   sent or are about to be trimmed, messages were dropped during the last minute, or a group keeps a
   *   stream from its `maxlen` or is ignored there (`trimPast`).
   * - `red`: a subscriber has `failed`, the connection has been down for 10 s or more, or the broker
   *   is not connected.
   */
  readonly status: 'green' | 'yellow' | 'red';
  /** Whether the server answered a PING for this report. */
  readonly connected: boolean;
  /** All subscribers of the broker and its included routers. */
  readonly subscribers: readonly SubscriberHealth[];
  /** Why the status is not green, one sentence each. */
  readonly problems: readonly string[];
}

/** The state of one subscriber. Handlers that share a reader (`filter`) have the same numbers. */
export interface SubscriberHealth {
  readonly address: string;
  readonly title: string;
  /**
   * - `starting`: Redis has not confirmed its subscription yet.
   * - `running`: it reads or handles messages.
   * - `retrying`: reading failed, and is repeated until it succeeds.
   * - `failed`: it has stopped, because of an error that another attempt does not fix.
   * - `stuck`: a handler without a `timeout` has run for more than 60 s.
   * - `open`: its handler failed so often in a row that it pauses (option `pause`).
   * - `paused`: by `subscriber.pause()`.
   * - `stopped`: not started yet, or stopped.
   */
  readonly state:
    | 'starting'
    | 'running'
    | 'retrying'
    | 'failed'
    | 'stuck'
    | 'open'
    | 'paused'
    | 'stopped';
  /** The last error of reading; it may be over, see `state`. Errors of handlers are not included. */
  readonly lastError?: { readonly message: string; readonly at?: string };
  /** Handlers that run now. */
  readonly running: number;
  /** Milliseconds that the oldest of them has run. */
  readonly longest: number;
  /** Messages handled since the start. */
  readonly handled: number;
  /** Channels: messages that have arrived and are not handled yet. Lists: items in the list (LLEN). */
  readonly waiting?: number;
  /** Channels: messages dropped because 65 536 already waited. */
  readonly dropped?: number;
  /** Groups: entries not delivered to any consumer yet. Missing if the server cannot tell. */
  readonly lag?: number;
  /** Groups: entries delivered to any consumer and not acknowledged. */
  readonly pending?: number;
  /** Groups and reliable lists: messages in this process that are not acknowledged, those that wait for a retry included. */
  readonly held?: number;
  /**
   * Reliable lists: items of all processes that wait in Redis for their next delivery, because it is more than
   * 9 s away (ZCARD). Those of a group are part of `pending`.
   */
  readonly parked?: number;
  /** Where failed messages go, and how many are there. */
  readonly deadLetters?: {
    readonly address: string;
    readonly count: number;
    readonly maxlen?: number;
  };
  /** Groups: consumers, including dead ones that are not removed yet. */
  readonly consumers?: number;
}

/** The {@link Vitals} of a subscriber; if it does not run, its state and the error, if any. */
export type SubscriberVitals =
  | Vitals
  | { readonly state: 'starting' | 'stopped' | 'failed'; error?: string };

/** One source and the handlers that share it. */
interface ReaderVitals {
  readonly address: string;
  readonly source: SourceOptions;
  readonly deadLetter: Target | undefined;
  /** Milliseconds for a handler; undefined: no limit. */
  readonly timeout: number | undefined;
  readonly handlers: readonly { readonly title: string; readonly vitals: SubscriberVitals }[];
}

/** What the server knows about one source. */
interface Depth {
  readonly waiting?: number;
  /** Items that wait for their next delivery. */
  readonly parked?: number;
  readonly group?: GroupState;
  /** Dead letters. */
  readonly letters?: number;
}

/** Milliseconds that the clocks of this machine and of the server may differ without a word. */
const MAX_SKEW = 1_000;

/**
 * The health of a broker. `transport` is undefined if the broker is not connected. `plans` may throw
 * if a registration is invalid. Takes at most 3 s, and never rejects. Without `asks` the server is
 * asked for nothing, and what only it knows is left out.
 */
export async function healthOf(
  transport: Transport | undefined,
  isRunning: boolean,
  plans: () => readonly Plan[],
  vitalsOf: (info: SubscriberInfo) => SubscriberVitals,
  asks = true,
): Promise<Health> {
  let all: readonly ReaderVitals[];
  try {
    all = plans().map((planned) => readerOf(planned, vitalsOf));
  } catch (error) {
    const problems = [messageOf(error)];
    return {
      ...{ live: true, ready: false, status: 'red' },
      connected: false,
      subscribers: [],
      problems,
    };
  }
  const depths = new Map<ReaderVitals, Depth>();
  const { isConnected: connected, isFull } = await ask(transport, all, depths, asks);
  const problems: string[] = [];
  let isRed = false;
  const downFor = transport?.downFor ?? 0;
  if (transport === undefined) {
    isRed = true;
    problems.push('not connected: the broker has not been started, or was stopped');
  } else if (!connected) {
    isRed = downFor >= RED_AFTER;
    problems.push(
      downFor > 0
        ? `the connection has been down for ${Math.round(downFor)} ms`
        : `the server did not answer within ${ANSWER_TIMEOUT} ms`,
    );
  }
  if (isFull) problems.push('Redis is full (maxmemory, noeviction): it refuses what is sent');
  problems.push(...clockProblems(transport));
  const subscribers = all.flatMap((reader) =>
    reader.handlers.map(({ title, vitals }): SubscriberHealth => {
      const about = { address: reader.address, title };
      const one = { ...about, ...stateOf(vitals, depths.get(reader) ?? {}, reader) };
      for (const problem of problemsOf(one, vitals, reader.source, depths.get(reader)))
        problems.push(`${one.address} (${one.title}): ${problem}`);
      isRed ||= one.state === 'failed';
      return one;
    }),
  );
  const status = isRed ? 'red' : problems.length > 0 ? 'yellow' : 'green';
  const live = subscribers.every(({ state }) => state !== 'failed');
  const isTaking = subscribers.every(({ state }) => state !== 'starting');
  const ready = connected && live && isTaking && isRunning;
  return { live, ready, status, connected, subscribers, problems };
}

/** What is wrong with the times that this process and the server go by. */
function clockProblems(transport: Transport | undefined): string[] {
  if (transport === undefined) return [];
  const { skew = 0, uncertainty, refusal } = transport.timed.clock;
  if (refusal !== undefined && transport.downFor === 0) {
    const reason = messageOf(refusal);
    return [`Redis does not tell its time (${reason}): deadlines go by this machine's clock`];
  }
  // As much as is certain: of an answer that took long it is not known when it was true.
  if (Math.abs(skew) - uncertainty / 2 <= MAX_SKEW) return [];
  const seconds = (Math.abs(skew) / 1_000).toFixed(1);
  return [`this machine's clock is ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} Redis's`];
}

function readerOf(
  { address, source, deadLetter, timeout, members }: Plan,
  vitalsOf: (info: SubscriberInfo) => SubscriberVitals,
): ReaderVitals {
  const handlers = members.map(({ subscriber: { title }, info }) => ({
    title,
    vitals: vitalsOf(info),
  }));
  return { address, source, deadLetter, timeout, handlers };
}

/**
 * Whether the server answers, and is full. Also asks it for the lengths of lists and the states of groups, and puts
 * them into `depths`. Without `asks`, only what is known here.
 */
async function ask(
  transport: Transport | undefined,
  readers: readonly ReaderVitals[],
  depths: Map<ReaderVitals, Depth>,
  asks: boolean,
): Promise<{ isConnected: boolean; isFull: boolean }> {
  if (transport === undefined || transport.downFor > 0)
    return { isConnected: false, isFull: false };
  if (!asks) return { isConnected: true, isFull: false };
  let isFull = false;
  // A rejected ping counts as an answer: the server refused it. If the connection was lost, `downFor` says so.
  const answered = settledWithin(transport.ping(), ANSWER_TIMEOUT);
  const lookups = readers.filter(isAskedFor).map(async (reader) => {
    try {
      depths.set(reader, await depthOf(transport, reader));
    } catch {
      // The key or group does not exist yet, or Redis refused: the numbers are left out.
    }
  });
  const memory = transport.state.isFull().then(
    (full) => (isFull = full),
    () => undefined, // no right to ask
  );
  const [isAnswered] = await Promise.all([
    answered,
    settledWithin(
      Promise.all([...lookups, memory, transport.timed.clock.update()]),
      ANSWER_TIMEOUT,
    ),
  ]);
  return { isConnected: isAnswered && transport.downFor === 0, isFull };
}

/** Whether the server knows something about it: about most channels it does not. */
function isAskedFor({ source, deadLetter }: ReaderVitals): boolean {
  if (deadLetter !== undefined || source.kind === 'list') return true;
  return source.kind === 'stream' && source.group !== undefined;
}

async function depthOf(transport: Transport, reader: ReaderVitals): Promise<Depth> {
  const { source, deadLetter } = reader;
  const letters = deadLetter === undefined ? undefined : transport.count(deadLetter);
  const counted = letters?.catch(() => undefined); // of another type, or no right to ask
  const depth: Depth = {
    ...(source.kind === 'list' ? { waiting: await transport.count(source) } : {}),
    ...(await parkedIn(transport, source)),
    ...(source.kind === 'stream' && source.group !== undefined
      ? { group: await transport.groupState(source) }
      : {}),
  };
  return { ...depth, ...given('letters', await counted) };
}

async function parkedIn(transport: Transport, source: SourceOptions): Promise<Depth> {
  if (source.kind !== 'list' || !source.reliable) return {};
  const parked = transport.state.parked(source.name);
  return given('parked', await parked.catch(() => undefined)); // no right to ask
}

function stateOf(
  vitals: SubscriberVitals,
  depth: Depth,
  { deadLetter, timeout }: ReaderVitals,
): OwnHealth {
  const idle = { running: 0, longest: 0, handled: 0 };
  if (!('handled' in vitals)) {
    const { state, error } = vitals;
    return { state, ...(error === undefined ? {} : { lastError: { message: error } }), ...idle };
  }
  const { lastError, running, handled, fetched, backlog, held } = vitals;
  const { group } = depth;
  const waiting = backlog === undefined ? depth.waiting : backlog.waiting + fetched;
  const isStuck =
    vitals.state === 'running' && vitals.longest > STUCK_AFTER && timeout === undefined;
  // Filled in, and not put together from parts: a scrape of metrics asks for thousands.
  const found: State = {
    state: isStuck ? 'stuck' : vitals.state,
    running,
    longest: Math.round(vitals.longest),
    handled,
  };
  if (lastError !== undefined) found.lastError = lastError;
  if (waiting !== undefined) found.waiting = waiting;
  if (backlog !== undefined) found.dropped = backlog.dropped;
  if (group !== undefined) Object.assign(found, numbersOf(group));
  if (depth.parked !== undefined) found.parked = depth.parked;
  if (deadLetter === undefined) return found;
  if (held !== undefined) found.held = held;
  if (depth.letters !== undefined)
    found.deadLetters = {
      address: describe(deadLetter),
      count: depth.letters,
      ...given('maxlen', deadLetter.maxlen),
    };
  return found;
}

type OwnHealth = Omit<SubscriberHealth, 'address' | 'title'>;
type State = { -readonly [K in keyof OwnHealth]: OwnHealth[K] };

function numbersOf({ lag, pending, consumers }: GroupState): Partial<State> {
  return { ...given('lag', lag), ...given('pending', pending), ...given('consumers', consumers) };
}

/** The sentences of one subscriber. */
function problemsOf(
  one: SubscriberHealth,
  vitals: SubscriberVitals,
  source: SourceOptions,
  depth: Depth | undefined,
): string[] {
  const { deadLetters } = one;
  const { maxlen = Infinity } = deadLetters ?? {};
  const isFull = deadLetters !== undefined && deadLetters.count >= maxlen * NEARLY_FULL;
  const letters = isFull
    ? `${deadLetters.address} has ${deadLetters.count} dead letters, and keeps ${maxlen}: the oldest are about to be lost`
    : undefined;
  const unburied = 'unburied' in vitals ? vitals.unburied : 0;
  const unsent =
    unburied > 0 ? `${unburied} messages cannot be sent to their dead letters` : undefined;
  const found = source.kind === 'stream' ? trimmingProblems(source, depth?.group) : [];
  const own = problemOf(one, vitals);
  return (own ?? letters ?? unsent)
    ? [own, letters, unsent, ...found].filter((text) => text !== undefined)
    : found;
}

function problemOf(
  { state, lastError, longest, waiting, lag }: SubscriberHealth,
  vitals: SubscriberVitals,
): string | undefined {
  const reason = lastError === undefined ? '' : `: ${lastError.message}`;
  if (state === 'starting') return 'its subscription is not confirmed yet';
  if (state === 'failed') return `it has stopped${reason}`;
  if (state === 'retrying') return `it cannot read${reason}`;
  if (state === 'stuck') return `a handler has run for ${longest} ms`;
  if (state === 'open')
    return `its handler failed too often in a row, so it pauses; ${waiting ?? lag ?? 'unknown'} messages wait`;
  const { backlog } = vitals as Vitals;
  if (backlog !== undefined && backlog.droppedAgo < REPORT_DROPS_FOR)
    return `its handler is too slow, ${backlog.dropped} messages were dropped`;
  return undefined;
}

function given<K extends string, V extends number | Incident>(
  key: K,
  value: V | undefined,
): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: V });
}
