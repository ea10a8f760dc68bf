import type { Incident, Vitals } from '../consume/subscription.ts';
import { messageOf } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { SourceOptions } from '../transport/source.ts';
import type { GroupState } from '../transport/store.ts';
import type { Transport } from '../transport/transport.ts';

/** Counters of one broker, for monitoring. */
export interface BrokerStats {
  /** Calls that wait for an answer. */
  readonly pendingCalls: number;
  /** Answers that no call waited for: they were late, or the call already had one. */
  readonly lateAnswers: number;
  /** Requests that were not handled, because their caller no longer waits. */
  readonly expiredRequests: number;
}

/** Milliseconds to wait for answers of the server. */
const ANSWER_TIMEOUT = 3_000;
/** After this many milliseconds without a connection, the status is red. */
const RED_AFTER = 10_000;
/** A handler that runs longer than this many milliseconds while messages wait is stuck. */
const STUCK_AFTER = 60_000;
/** For this many milliseconds after a message was dropped, the status is yellow. */
const REPORT_DROPS_FOR = 60_000;

/** The state of a broker and its subscribers. Plain data that `JSON.stringify` can write. */
export interface Health {
  /**
   * - `green`: connected, and every subscriber reads.
   * - `yellow`: a problem that may pass by itself: the server does not answer or is disconnected for
   *   less than 10 s, a subscriber is `starting`, `retrying` or `stuck`, or messages were dropped
   *   during the last minute.
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
   * - `stuck`: a handler has run for more than 60 s while messages wait.
   * - `stopped`: not started yet, or stopped.
   */
  readonly state: 'starting' | 'running' | 'retrying' | 'failed' | 'stuck' | 'stopped';
  /** The last error of reading, which may be over (see `state`). Errors of handlers are not included. */
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
  /** Groups: consumers, including dead ones that are not removed yet. */
  readonly consumers?: number;
}

/** The {@link Vitals} of a subscriber; if it does not run, its state and the error, if any. */
export type SubscriberVitals =
  | Vitals
  | { readonly state: 'starting' | 'stopped' | 'failed'; error?: string };

/** One source and the handlers that share it. */
export interface ReaderVitals {
  readonly address: string;
  readonly source: SourceOptions;
  readonly handlers: readonly { readonly title: string; readonly vitals: SubscriberVitals }[];
}

/** What the server knows about one source. */
interface Depth {
  readonly waiting?: number;
  readonly group?: GroupState;
}

/**
 * The health of a broker. `transport` is undefined if the broker is not connected. `readers` may throw
 * if a registration is invalid. Takes at most 3 s, and never rejects.
 */
export async function healthOf(
  transport: Transport | undefined,
  readers: () => readonly ReaderVitals[],
): Promise<Health> {
  let all: readonly ReaderVitals[];
  try {
    all = readers();
  } catch (error) {
    return { status: 'red', connected: false, subscribers: [], problems: [messageOf(error)] };
  }
  const depths = new Map<ReaderVitals, Depth>();
  const connected = transport !== undefined && (await ask(transport, all, depths));
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
  const subscribers = all.flatMap((reader) =>
    reader.handlers.map(({ title, vitals }): SubscriberHealth => {
      const about = { address: reader.address, title };
      const one = { ...about, ...stateOf(vitals, depths.get(reader) ?? {}) };
      const problem = problemOf(one, vitals);
      if (problem !== undefined) problems.push(`${one.address} (${one.title}): ${problem}`);
      isRed ||= one.state === 'failed';
      return one;
    }),
  );
  const status = isRed ? 'red' : problems.length > 0 ? 'yellow' : 'green';
  return { status, connected, subscribers, problems };
}

/** Whether the server answers. Also asks it for the lengths of lists and the states of groups, and puts them into `depths`. */
async function ask(
  transport: Transport,
  readers: readonly ReaderVitals[],
  depths: Map<ReaderVitals, Depth>,
): Promise<boolean> {
  if (transport.downFor > 0) return false;
  // A rejected ping counts as an answer: the server refused it. If the connection was lost, `downFor` says so.
  const answered = settledWithin(transport.ping(), ANSWER_TIMEOUT);
  const lookups = readers.map(async (reader) => {
    try {
      depths.set(reader, await depthOf(transport, reader));
    } catch {
      // The key or group does not exist yet, or Redis refused: the numbers are left out.
    }
  });
  const [isAnswered] = await Promise.all([
    answered,
    settledWithin(Promise.all(lookups), ANSWER_TIMEOUT),
  ]);
  return isAnswered && transport.downFor === 0;
}

async function depthOf(transport: Transport, { source }: ReaderVitals): Promise<Depth> {
  if (source.kind === 'list') return { waiting: await transport.count(source) };
  if (source.kind === 'channel' || source.group === undefined) return {};
  return { group: await transport.groupState(source.name, source.group) };
}

function stateOf(
  vitals: SubscriberVitals,
  depth: Depth,
): Omit<SubscriberHealth, 'address' | 'title'> {
  const idle = { running: 0, longest: 0, handled: 0 };
  if (!('handled' in vitals)) {
    const { state, error } = vitals;
    return { state, ...(error === undefined ? {} : { lastError: { message: error } }), ...idle };
  }
  const { lastError, running, handled, fetched, backlog } = vitals;
  const { group } = depth;
  const waiting = backlog === undefined ? depth.waiting : backlog.waiting + fetched;
  const hasWaiting = fetched > 0 || (waiting ?? 0) > 0 || (group?.lag ?? 0) > 0;
  const isStuck = vitals.state === 'running' && vitals.longest > STUCK_AFTER && hasWaiting;
  return {
    state: isStuck ? 'stuck' : vitals.state,
    ...given('lastError', lastError),
    running,
    longest: Math.round(vitals.longest),
    handled,
    ...given('waiting', waiting),
    ...given('dropped', backlog?.dropped),
    ...given('lag', group?.lag),
    ...given('pending', group?.pending),
    ...given('consumers', group?.consumers),
  };
}

function problemOf(
  { state, lastError, longest }: SubscriberHealth,
  vitals: SubscriberVitals,
): string | undefined {
  const reason = lastError === undefined ? '' : `: ${lastError.message}`;
  if (state === 'starting') return 'its subscription is not confirmed yet';
  if (state === 'failed') return `it has stopped${reason}`;
  if (state === 'retrying') return `it cannot read${reason}`;
  if (state === 'stuck') return `a handler has run for ${longest} ms, and messages wait`;
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
