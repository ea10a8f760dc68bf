import type { FleetProcess, FleetSubscriber, RedisBroker } from '../index.ts';
import { findPlaces, lookAt, type Found, type Place } from './places.ts';

/** Places that are watched. */
const MAX_PLACES = 1_000;

/** Milliseconds after which places are looked for again. */
const FIND_AFTER = 10_000;

/** Milliseconds that processes are waited for. */
const PATIENCE = 500;

/** One line of `redstart top`: a group, a list, a channel. Null is what nobody knows. */
export interface Row {
  readonly kind: Place['kind'];
  readonly name: string;
  readonly group: string | null;
  /** The worst state of its subscribers, as far as their processes answer. */
  readonly state: string | null;
  /** Entries that are not delivered yet, items of a list. */
  readonly waiting: number | null;
  readonly pending: number | null;
  /** Consumers of a group, receivers of a channel. */
  readonly readers: number | null;
  /** Handlers that run now. */
  readonly running: number | null;
  /** A second, since the sample before. */
  readonly handled: number | null;
  readonly failed: number | null;
  /** Dead letters. */
  readonly dead: number | null;
}

export interface Sample {
  readonly server: string;
  readonly rows: readonly Row[];
  readonly processes: number;
  /** Those that are not green. */
  readonly unwell: number;
  readonly hasMore: boolean;
}

/** Counters of one place at one time. */
interface Counts {
  readonly handled: ReadonlyMap<string, number>;
  readonly failed: ReadonlyMap<string, number>;
  /** Entries that were ever delivered to a group. */
  readonly delivered: number | undefined;
}

/** Looks at everything under a prefix again and again, and tells how fast it changes. */
export class Sampler {
  readonly #broker: RedisBroker;
  #found:
    | { readonly at: number; readonly places: readonly Found[]; readonly hasMore: boolean }
    | undefined;
  #before: { readonly at: number; readonly counts: ReadonlyMap<string, Counts> } | undefined;

  constructor(broker: RedisBroker) {
    this.#broker = broker;
  }

  async take(): Promise<Sample> {
    const { client, fleet } = this.#broker;
    const now = performance.now();
    if (this.#found === undefined || now - this.#found.at > FIND_AFTER)
      this.#found = { at: now, ...(await findPlaces(this.#broker, MAX_PLACES)) };
    const { places, hasMore } = this.#found;
    const [looked, [, ...processes], info] = await Promise.all([
      lookAt(client, places),
      fleet.status({ timeout: PATIENCE }), // the first is this process
      client.info(),
    ]);
    const at = performance.now();
    const subscribers = byPlace(processes);
    const seconds = this.#before === undefined ? 0 : (at - this.#before.at) / 1_000;
    const counts = new Map<string, Counts>();
    const lengths = new Map(
      looked.map(({ kind, name, length }) => [keyOf(kind, name, null), length]),
    );
    const rows = linesOf(looked, subscribers).map((line): Row => {
      const key = keyOf(line.kind, line.name, line.group);
      const known = subscribers.get(key) ?? [];
      const current = countsOf(known, line.delivered);
      counts.set(key, current);
      const before = this.#before?.counts.get(key);
      const rate = (of: 'handled' | 'failed'): number | null =>
        before === undefined || known.length === 0
          ? null
          : round(growth(before[of], current[of]) / seconds);
      const { delivered, ...row } = line;
      const isMoved = delivered !== undefined && before?.delivered !== undefined;
      return {
        ...row,
        state: known.length === 0 ? null : worstOf(known.map(({ subscriber }) => subscriber.state)),
        running: known.length === 0 ? null : sum(known.map(({ subscriber }) => subscriber.running)),
        // Of others than redstart's, what was delivered is known.
        handled:
          rate('handled') ??
          (isMoved ? round(Math.max(0, delivered - before.delivered) / seconds) : null),
        failed: rate('failed'),
        dead:
          deadOf(known, lengths) ?? lengths.get(keyOf('stream', `${line.name}:dead`, null)) ?? null,
      };
    });
    this.#before = { at, counts };
    const unwell = processes.filter(({ health }) => health.status !== 'green').length;
    return { server: serverLine(info), rows, processes: processes.length, unwell, hasMore };
  }
}

interface Known {
  readonly process: string;
  readonly subscriber: FleetSubscriber;
}

type Line = Pick<Row, 'kind' | 'name' | 'group' | 'waiting' | 'pending' | 'readers'> & {
  readonly delivered: number | undefined;
};

/** A line for each group, list and channel in Redis, and for what processes read beside that. */
function linesOf(places: readonly Place[], known: ReadonlyMap<string, readonly Known[]>): Line[] {
  const lines = places.flatMap((place): Line[] => {
    const { kind, name, length, added, groups } = place;
    const none = { kind, name, pending: null, readers: null, delivered: undefined };
    if (kind === 'list') return [{ ...none, group: null, waiting: length }];
    if (kind === 'channel') return [{ ...none, group: null, waiting: null, readers: length }];
    if (groups.length === 0) return [{ ...none, group: null, waiting: null }];
    return groups.map((group) => ({
      ...none,
      group: group.name,
      waiting: group.lag,
      pending: group.pending,
      readers: group.consumers,
      delivered: added === null || group.lag === null ? undefined : added - group.lag,
    }));
  });
  const seen = new Set(lines.map(({ kind, name, group }) => keyOf(kind, name, group)));
  for (const [key, [first]] of known) {
    if (seen.has(key) || first === undefined) continue;
    const { kind, name, group } = first.subscriber;
    const nothing = { waiting: null, pending: null, readers: null, delivered: undefined };
    lines.push({ kind, name, group, ...nothing });
  }
  return lines;
}

function byPlace(processes: readonly FleetProcess[]): Map<string, Known[]> {
  const found = new Map<string, Known[]>();
  for (const { id, subscribers } of processes) {
    for (const [i, subscriber] of subscribers.entries()) {
      const { kind, name, group } = subscriber;
      const key = keyOf(kind, name, group);
      found.set(key, [...(found.get(key) ?? []), { process: `${id} ${i}`, subscriber }]);
    }
  }
  return found;
}

function countsOf(known: readonly Known[], delivered: number | undefined): Counts {
  return {
    handled: new Map(known.map(({ process, subscriber }) => [process, subscriber.handled])),
    failed: new Map(known.map(({ process, subscriber }) => [process, subscriber.failures.count])),
    delivered,
  };
}

/** By how much counters have grown, those alone that were there before. */
function growth(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): number {
  return sum([...now].map(([key, value]) => Math.max(0, value - (before.get(key) ?? value))));
}

function deadOf(known: readonly Known[], lengths: ReadonlyMap<string, number>): number | undefined {
  const place = known.map(({ subscriber }) => subscriber.buriesIn).find((one) => one !== null);
  if (place === undefined) return undefined;
  return lengths.get(keyOf(place.kind, place.name, null)) ?? 0;
}

/** From the worst on. */
const STATES = ['failed', 'stuck', 'open', 'retrying', 'paused', 'starting', 'stopped', 'running'];

function worstOf(states: readonly string[]): string {
  return STATES.find((state) => states.includes(state)) ?? 'running';
}

function serverLine(info: string): string {
  const field = (name: string): string =>
    new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '?';
  const valkey = field('valkey_version');
  const version = valkey === '?' ? `Redis ${field('redis_version')}` : `Valkey ${valkey}`;
  return `${version}, ${field('used_memory_human')}, ${field('connected_clients')} clients, ${field('instantaneous_ops_per_sec')} commands/s`;
}

function keyOf(kind: string, name: string, group: string | null): string {
  return JSON.stringify([kind, name, group]);
}

function round(value: number): number {
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : 0;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
