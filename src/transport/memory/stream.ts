import { monotonicTime, setTimer, unixTime } from '../../internal/clock.ts';
import { PARKED, compareIds } from '../source.ts';
import type { GroupState, GroupSummary, ReadGroup } from '../store.ts';
import { trimmingOf, upToOwn, type Trimming } from '../trimming.ts';
import { NotedPauses } from './noted-pauses.ts';
import type { RateState } from './permits.ts';

export interface Entry {
  readonly id: string;
  readonly time: number;
  readonly sequence: number;
  readonly frame: Buffer | readonly Buffer[];
}

/** An entry that was delivered to a consumer of a group and not yet acknowledged. */
export interface PendingEntry {
  readonly consumer: string;
  readonly count: number;
}

export interface MemoryGroup {
  /** The last entry delivered to the group. */
  lastId: string;
  readonly pending: Map<string, PendingEntry>;
  /** Ids of pending entries that no handler has, and since when: after `minIdle` another consumer takes them over. */
  readonly idle: Map<string, number>;
  /** When the pauses of entries end that are delivered in lanes. */
  readonly pauses: NotedPauses;
  /** The permits of all its consumers together. */
  readonly rate: RateState;
  /** Names of consumers that read now. */
  readonly names: Set<string>;
  /** Since when nobody reads, where nobody does. */
  silentSince: number;
}

/** A stream key: entries in order of their ids, groups, and readers that wait for new ones. */
export class MemoryStream {
  readonly groups = new Map<string, MemoryGroup>();
  readonly #entries: Entry[] = [];
  readonly #waiting = new Set<() => void>();
  #time = 0;
  #sequence = 0;

  add(frame: Buffer | readonly Buffer[], maxlen?: number): string {
    const now = unixTime();
    // Ids only grow, also when the clock is set back.
    this.#sequence = now > this.#time ? 0 : this.#sequence + 1;
    this.#time = Math.max(this.#time, now);
    const id = `${this.#time}-${this.#sequence}`;
    this.#entries.push({ id, time: this.#time, sequence: this.#sequence, frame });
    if (maxlen !== undefined) this.trim(maxlen);
    this.wake();
    return id;
  }

  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  delete(id: string): boolean {
    const at = this.#after(id) - 1;
    if (this.#entries[at]?.id !== id) return false;
    this.#entries.splice(at, 1);
    return true;
  }

  trim(maxlen: number): void {
    this.#entries.splice(0, Math.max(0, this.#entries.length - maxlen));
  }

  /** Whether every group has acknowledged the entry. */
  isHandled(id: string): boolean {
    const [time, sequence] = parseId(id);
    return [...this.groups.values()].every((group) => isPast(group, { id, time, sequence }));
  }

  /** Trims entries that every group has handled, but for groups that are silent for `trimPast`. */
  trimHandled({ group: own, maxlen = Infinity, trimPast = Infinity }: ReadGroup): void {
    const excess = this.#entries.length - maxlen;
    if (excess <= 0) return;
    const needing = [...this.groups].filter(
      ([name, group]) => name === own || silenceOf(group) < trimPast,
    );
    const isNeeded = (entry: Entry): boolean => needing.some(([, group]) => !isPast(group, entry));
    let handled = 0;
    while (handled < excess && !isNeeded(this.#entries[handled] as Entry)) handled++;
    this.#entries.splice(0, handled);
  }

  /** As XINFO GROUPS tells of one group; throws where there is none. */
  stateOf(of: ReadGroup): GroupState {
    const found = this.summaries().find(({ name }) => name === of.group);
    if (found === undefined) throw new Error(`NOGROUP No such consumer group '${of.group}'`);
    const { pending, lag } = found;
    const trimming = of.maxlen === undefined ? undefined : this.#trimming(of);
    return { pending, lag, consumers: undefined, trimming };
  }

  #trimming({ group: own, trimPast = Infinity }: ReadGroup): Trimming | undefined {
    const all = [...this.groups].map(([group, { lastId, pending }]) => ({
      group,
      from: [...pending.keys()].reduce(lower, lastId),
    }));
    const needs = upToOwn(all, own as string);
    const heard = needs.findIndex(
      ({ group }) => group === own || silenceOf(this.groups.get(group) as MemoryGroup) < trimPast,
    );
    return trimmingOf(this.length, needs, heard);
  }

  /** Whether a server would have a key: looking at a stream makes none. */
  get exists(): boolean {
    return this.#time > 0 || this.groups.size > 0;
  }

  get lastId(): string {
    return `${this.#time}-${this.#sequence}`;
  }

  get length(): number {
    return this.#entries.length;
  }

  entry(id: string): Entry | undefined {
    const at = this.#after(id) - 1;
    return this.#entries[at]?.id === normal(id) ? this.#entries[at] : undefined;
  }

  after(id: string, max: number): Entry[] {
    const from = this.#after(id);
    return this.#entries.slice(from, from + max);
  }

  group(name: string, lastId: string): MemoryGroup {
    let group = this.groups.get(name);
    if (group === undefined) {
      group = {
        lastId: lastId === '$' ? this.lastId : lastId,
        pending: new Map(),
        idle: new Map(),
        pauses: new NotedPauses(),
        rate: { due: 0 },
        names: new Set(),
        silentSince: monotonicTime(),
      };
      this.groups.set(name, group);
    }
    return group;
  }

  /** As XINFO GROUPS. */
  summaries(): GroupSummary[] {
    const all = [...this.groups].map(([name, { lastId, pending, names }]) => {
      const lag = this.after(lastId, Infinity).length;
      const owners = [...pending.values()].map(({ consumer }) => consumer);
      const consumers = new Set([...names, ...owners]).size;
      return { name, lastId, pending: pending.size, lag, consumers };
    });
    return all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** As XGROUP SETID; false where there is no such group. */
  seek(name: string, id: string): boolean {
    const group = this.groups.get(name);
    if (group === undefined) return false;
    group.lastId = id === '$' ? this.lastId : id;
    this.wake();
    return true;
  }

  /** Has the entry wait for its next delivery, which any consumer may get in `delay` milliseconds. */
  park(group: MemoryGroup, id: string, delay: number): void {
    const pending = group.pending.get(id);
    if (pending === undefined) return;
    const parked = { consumer: PARKED, count: pending.count };
    group.pending.set(id, parked);
    group.idle.delete(id);
    const due = (): void => {
      if (group.pending.get(id) !== parked) return;
      group.idle.set(id, -Infinity);
      this.wake();
    };
    setTimer(due, delay).unref();
  }

  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }

  unwait(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  /** The index of the first entry above `id`. */
  #after(id: string): number {
    const [time, sequence] = parseId(id);
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle] as Entry;
      if (entry.time > time || (entry.time === time && entry.sequence > sequence)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

export function parseId(id: string): [time: number, sequence: number] {
  const [time, sequence = '0'] = id.split('-');
  if (!/^\d+$/.test(time as string) || !/^\d+$/.test(sequence)) {
    throw new Error('ERR Invalid stream ID specified as stream command argument');
  }
  return [Number(time), Number(sequence)];
}

function normal(id: string): string {
  return parseId(id).join('-');
}

/** What a reader gets: it may change its bytes, and the entry is delivered again, or to another group. */
export function copyOf(frame: Entry['frame']): Entry['frame'] {
  return Buffer.isBuffer(frame)
    ? Buffer.from(frame)
    : frame.map((part: Buffer) => Buffer.from(part));
}

/** Whether the group has acknowledged the entry. */
function isPast(
  { lastId, pending }: MemoryGroup,
  { id, time, sequence }: Pick<Entry, 'id' | 'time' | 'sequence'>,
): boolean {
  const [lastTime, lastSequence] = parseId(lastId);
  const isDelivered = lastTime > time || (lastTime === time && lastSequence >= sequence);
  return isDelivered && !pending.has(id);
}

/** Milliseconds for which nobody has read for the group. */
function silenceOf({ names, silentSince }: MemoryGroup): number {
  return names.size > 0 ? 0 : monotonicTime() - silentSince;
}

function lower(a: string, b: string): string {
  return compareIds(a, b) < 0 ? a : b;
}
