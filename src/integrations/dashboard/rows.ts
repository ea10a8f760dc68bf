import type { FleetProcess, FleetSubscriber, Health } from '../../index.ts';
import type { Kind } from './options.ts';
import { withoutSecretsIn } from './redact.ts';
import type { GroupFacts, StreamFacts } from './server.ts';

/** One place that is read, by one group where it is a stream. */
export interface Row {
  readonly kind: Kind;
  readonly name: string;
  readonly group: string | null;
  readonly titles: readonly string[];
  /** Processes that answer and read here. */
  readonly processes: number;
  /** How many of their subscribers are in each state. */
  readonly states: Readonly<Record<string, number>>;
  /** What waits: the lag of a group, the length of a list, what has arrived on a channel. Null: nobody knows. */
  readonly waiting: number | null;
  /** Delivered and not acknowledged. */
  readonly pending: number | null;
  /** Milliseconds since the oldest of them was sent. */
  readonly oldest: number | null;
  /** Consumers of a group, subscribers of a channel, those that do not answer included. Null: nobody knows. */
  readonly consumers: number | null;
  /** Of the processes that answer. */
  readonly running: number;
  readonly longest: number;
  readonly handled: number;
  readonly dropped: number;
  readonly held: number;
  readonly failed: number;
  readonly errors: readonly { readonly error: string; readonly count: number }[];
  readonly problem: string | null;
  /** What cannot be known of it, in one sentence. */
  readonly unknown: string | null;
}

/** One reader that a process tells of. */
export interface Told {
  readonly process: FleetProcess;
  readonly subscriber: FleetSubscriber;
}

/** Those who read the same place, in the same group, together. */
export function grouped(told: readonly Told[]): Told[][] {
  const all = new Map<string, Told[]>();
  for (const one of told) {
    const { kind, name, group } = one.subscriber;
    const key = JSON.stringify([kind, name, group]);
    const readers = all.get(key);
    if (readers === undefined) all.set(key, [one]);
    else readers.push(one);
  }
  return [...all.values()];
}

type Facts = Partial<Pick<Row, 'waiting' | 'pending' | 'oldest' | 'consumers' | 'unknown'>>;

export function rowsOf(
  told: readonly Told[],
  streams: ReadonlyMap<string, StreamFacts>,
  lists: ReadonlyMap<string, number | undefined>,
  channels: ReadonlyMap<string, number>,
  named: readonly string[],
): Row[] {
  const rows: Row[] = [];
  const read = new Set<string>();
  for (const readers of grouped(told)) {
    const [{ subscriber }] = readers as [Told];
    const { kind, name, group } = subscriber;
    read.add(`${kind} ${name}`);
    if (kind === 'list') rows.push(rowOf(readers, { waiting: lists.get(name) ?? null }));
    else if (kind === 'channel') {
      rows.push(
        rowOf(readers, { waiting: waitingAt(readers), consumers: channels.get(name) ?? null }),
      );
    } else {
      const facts = streams.get(name)?.groups.find((one) => one.name === group);
      if (group !== null) read.add(`group ${name} ${group}`);
      rows.push(rowOf(readers, facts === undefined ? {} : groupFacts(facts, readers.length)));
    }
  }
  const nobody =
    'No process that answers reads this: FastStream, another program, or redstart without the option control. What it handles, and what fails there, cannot be known.';
  for (const [name, { groups, length }] of streams) {
    for (const facts of groups) {
      if (read.has(`group ${name} ${facts.name}`)) continue;
      const row = emptyRow('stream', name, facts.name);
      rows.push({ ...row, ...groupFacts(facts, 0), unknown: nobody });
    }
    if (groups.length === 0 && !read.has(`stream ${name}`))
      rows.push({
        ...emptyRow('stream', name, null),
        waiting: null,
        unknown: `${length} entries, no group. Who reads a stream without a group, and how far, Redis does not know.`,
      });
  }
  for (const [name, waiting] of lists)
    if (waiting !== undefined && !read.has(`list ${name}`))
      rows.push({
        ...emptyRow('list', name, null),
        waiting,
        unknown: `${nobody} Redis does not know who reads a list.`,
      });
  for (const name of new Set([...channels.keys(), ...named]))
    if (!read.has(`channel ${name}`))
      rows.push({
        ...emptyRow('channel', name, null),
        consumers: channels.get(name) ?? 0,
        unknown: nobody,
      });
  return rows;
}

function groupFacts({ consumers, pending, lag, oldest }: GroupFacts, answering: number): Facts {
  const silent = consumers - answering;
  const unknown = [
    ...(lag === null
      ? ['Redis cannot tell how far behind this group is: entries were deleted.']
      : []),
    ...(answering > 0 && silent > 0
      ? [`${silent} of ${consumers} consumers belong to no process that answers, or are gone.`]
      : []),
  ];
  return {
    waiting: lag,
    pending,
    oldest,
    consumers,
    unknown: unknown.length === 0 ? null : unknown.join(' '),
  };
}

export function memoryFacts(health: Health['subscribers'][number] | undefined): Facts {
  const { waiting, lag, pending, consumers } = health ?? {};
  return {
    waiting: waiting ?? lag ?? null,
    pending: pending ?? null,
    consumers: consumers ?? null,
  };
}

function waitingAt(readers: readonly Told[]): number {
  return total(readers, ({ waiting = 0 }) => waiting);
}

function emptyRow(kind: Kind, name: string, group: string | null): Row {
  return {
    ...{ kind, name, group, titles: [], processes: 0, states: {} },
    ...{ waiting: null, pending: null, oldest: null, consumers: null },
    ...{ running: 0, longest: 0, handled: 0, dropped: 0, held: 0, failed: 0, errors: [] },
    ...{ problem: null, unknown: null },
  };
}

export function rowOf(readers: readonly Told[], facts: Facts): Row {
  const [{ subscriber }] = readers as [Told];
  const { kind, name, group } = subscriber;
  const all = readers.map((one) => one.subscriber);
  const states: Record<string, number> = {};
  const errors = new Map<string, number>();
  for (const { state, failures } of all) {
    states[state] = (states[state] ?? 0) + 1;
    for (const { error, count } of failures.errors)
      errors.set(withoutSecretsIn(error), (errors.get(withoutSecretsIn(error)) ?? 0) + count);
  }
  const troubled = all.find(
    ({ state, lastError }) => lastError !== undefined && state !== 'running',
  );
  return {
    ...emptyRow(kind, name, group),
    titles: [...new Set(all.map(({ title }) => title))].slice(0, 5),
    processes: new Set(readers.map(({ process }) => process.id)).size,
    states,
    running: total(readers, ({ running }) => running),
    longest: Math.max(...all.map(({ longest }) => longest)),
    handled: total(readers, ({ handled }) => handled),
    dropped: total(readers, ({ dropped = 0 }) => dropped),
    held: total(readers, ({ held = 0 }) => held),
    failed: total(readers, ({ failures }) => failures.count),
    errors: [...errors]
      .map(([error, count]) => ({ error, count }))
      .toSorted((a, b) => b.count - a.count)
      .slice(0, 5),
    problem:
      troubled?.lastError === undefined ? null : withoutSecretsIn(troubled.lastError.message),
    ...facts,
  };
}

function total(readers: readonly Told[], of: (subscriber: FleetSubscriber) => number): number {
  return readers.reduce((sum, { subscriber }) => sum + of(subscriber), 0);
}
