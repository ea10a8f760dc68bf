import { messageOf } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Incident, Vitals } from '../consume/subscription.ts';
import type { SourceOptions } from '../transport/source.ts';
import type { GroupState } from '../transport/store.ts';
import type { Transport } from '../transport/transport.ts';

/** What one broker is doing, for people and for monitoring. */
export interface BrokerStats {
  /** Calls that wait for an answer. */
  readonly pendingCalls: number;
  /** Answers that came when nobody waited for them any more: late, or second ones. */
  readonly lateAnswers: number;
  /** Requests that were dropped unhandled, because their caller had stopped waiting. */
  readonly expiredRequests: number;
}

/** What one subscriber is. */
export interface SubscriberInfo {
  readonly address: string;
  readonly title: string;
  readonly description: string | undefined;
}

/** Milliseconds that the server has to answer what is asked of it. */
const PATIENCE = 3_000;
/** Milliseconds without a connection before that is red. */
const GRACE = 10_000;
/** Milliseconds for one handler, with messages waiting behind it, before it counts as stuck. */
const STUCK_AFTER = 60_000;
/** Milliseconds after a message was dropped, during which health says so. */
const DROPS_MATTER = 60_000;

/** How a broker and its subscribers are doing. Plain data: `JSON.stringify` takes it as it is. */
export interface Health {
  /**
   * - `green`: connected, and every subscriber reads.
   * - `yellow`: it should pass by itself, or needs a look: reconnecting for less than 10 s, a
   *   subscriber `starting`, `retrying` or `stuck`, messages dropped during the last minute.
   * - `red`: a subscriber has `failed`, or there is no connection: for 10 s, or at all.
   */
  readonly status: 'green' | 'yellow' | 'red';
  /** Whether the server answered just now. */
  readonly connected: boolean;
  /** Every subscriber that was registered here or in an included router. */
  readonly subscribers: readonly SubscriberHealth[];
  /** Why it is not green, a sentence each. */
  readonly problems: readonly string[];
}

/** How one subscriber is doing. Handlers that share a reader (`filter`) share its numbers. */
export interface SubscriberHealth {
  readonly address: string;
  readonly title: string;
  /**
   * - `starting`: its subscription is not confirmed yet.
   * - `running`: reads, or handles what it has read.
   * - `retrying`: reading failed, and is tried again until it succeeds.
   * - `failed`: it has stopped for good, over an error that trying again does not end.
   * - `stuck`: a handler has run for more than 60 s, and messages wait behind it. It may be slow, or hang.
   * - `stopped`: not started yet, or stopped.
   */
  readonly state: 'starting' | 'running' | 'retrying' | 'failed' | 'stuck' | 'stopped';
  /** The last trouble with reading, which may be over: see `state`. Failures of handlers are not among these. */
  readonly lastError?: { readonly message: string; readonly at?: string };
  /** Handlers that run now. */
  readonly running: number;
  /** Milliseconds that the longest of them has run. */
  readonly longest: number;
  /** Messages handled since the start. */
  readonly handled: number;
  /** Channels: messages that have arrived and are not handled yet. Lists: the items in the list. */
  readonly waiting?: number;
  /** Channels: messages lost because 65 536 were waiting already. */
  readonly dropped?: number;
  /** Groups: entries that were not delivered to any consumer yet. Missing where the server does not know. */
  readonly lag?: number;
  /** Groups: entries that were delivered, to any consumer, and are not acknowledged. */
  readonly pending?: number;
  /** Groups: consumers, the dead ones among them included until they are removed. */
  readonly consumers?: number;
}

/** How one subscriber is doing: {@link Vitals}, or that it does not run, and perhaps why. */
export type SubscriberVitals =
  | Vitals
  | { readonly state: 'starting' | 'stopped' | 'failed'; error?: string };

/** One source, and the handlers that share it. */
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
 * The health of a broker. `transport` is undefined where the broker is not connected; `readers` may
 * throw, for a mistake in what is registered. Takes 3 s at most, and never rejects.
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
    isRed = downFor >= GRACE;
    problems.push(
      downFor > 0
        ? `the connection has been down for ${Math.round(downFor)} ms`
        : `the server did not answer within ${PATIENCE} ms`,
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

/** Whether the server answers; what it knows about the sources is put into `depths`. */
async function ask(
  transport: Transport,
  readers: readonly ReaderVitals[],
  depths: Map<ReaderVitals, Depth>,
): Promise<boolean> {
  if (transport.downFor > 0) return false;
  // A refusal is an answer, too; a connection that was lost shows in `downFor`.
  const answered = settledWithin(transport.ping(), PATIENCE);
  const told = readers.map(async (reader) => {
    try {
      depths.set(reader, await depthOf(transport, reader));
    } catch {
      // No such key or group yet, or no right to ask: the numbers are left out.
    }
  });
  const [isAnswered] = await Promise.all([answered, settledWithin(Promise.all(told), PATIENCE)]);
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
  const isWaitedFor = fetched > 0 || (waiting ?? 0) > 0 || (group?.lag ?? 0) > 0;
  const isStuck = vitals.state === 'running' && vitals.longest > STUCK_AFTER && isWaitedFor;
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
  if (state === 'failed') return `it has stopped for good${reason}`;
  if (state === 'retrying') return `it cannot read just now${reason}`;
  if (state === 'stuck') return `a handler has run for ${longest} ms, and messages wait behind it`;
  const { backlog } = vitals as Vitals;
  if (backlog !== undefined && backlog.droppedAgo < DROPS_MATTER)
    return `its handler cannot keep up, ${backlog.dropped} messages were dropped`;
  return undefined;
}

function given<K extends string, V extends number | Incident>(
  key: K,
  value: V | undefined,
): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: V });
}
