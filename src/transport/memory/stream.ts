import { clearTimer, monotonicTime, setTimer, unixTime } from '../../internal/clock.ts';
import { Timers } from '../../internal/timers.ts';
import type { Delivery, Source, StreamSourceOptions } from '../source.ts';

interface Entry {
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
  /** Ids of pending entries that no handler has or will have, and since when: they are taken over in time. */
  readonly idle: Map<string, number>;
}

/** A stream key: entries in order of their ids, groups, and readers that wait for news. */
export class MemoryStream {
  readonly groups = new Map<string, MemoryGroup>();
  readonly #entries: Entry[] = [];
  readonly #waiting = new Set<() => void>();
  #time = 0;
  #sequence = 0;

  add(frame: Buffer | readonly Buffer[], maxlen?: number): string {
    const now = unixTime();
    // Ids only ever grow, also when the clock is set back.
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

  /** Trims what every group has handled, and no more. */
  trimHandled(maxlen: number): void {
    const needed = [...this.groups.values()].map(({ lastId, pending }) => {
      const lowest = [...pending.keys()].map((id) => this.#after(id) - 1);
      return Math.min(this.#after(lastId), ...lowest);
    });
    this.#entries.splice(0, Math.min(Math.max(0, this.#entries.length - maxlen), ...needed));
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
      };
      this.groups.set(name, group);
    }
    return group;
  }

  wait(wake: () => void): void {
    this.#waiting.add(wake);
  }

  unwait(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  /** The index of the first entry above `id`. */
  #after(id: string): number {
    const [time, sequence] = parse(id);
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

function parse(id: string): [time: number, sequence: number] {
  const [time, sequence = '0'] = id.split('-');
  if (!/^\d+$/.test(time as string) || !/^\d+$/.test(sequence)) {
    throw new Error('ERR Invalid stream ID specified as stream command argument');
  }
  return [Number(time), Number(sequence)];
}

function normal(id: string): string {
  return parse(id).join('-');
}

let consumers = 0;

export class MemoryStreamSource implements Source {
  readonly takesBack = true;
  readonly settles: boolean;
  readonly #name: string;
  readonly #stream: MemoryStream;
  readonly #group: MemoryGroup | undefined;
  readonly #consumer: string;
  readonly #noAck: boolean;
  readonly #maxlen: number | undefined;
  readonly #minIdle: number;
  readonly #deleteOnAck: boolean;
  /** Without a group: the last entry read. */
  #cursor: string;
  /** Ids that this source may still deliver from its consumer's pending entries. */
  #again: string[];
  readonly #retries = new Timers();
  #wake: (() => void) | undefined;
  #stopped = false;

  constructor(stream: MemoryStream, options: StreamSourceOptions) {
    this.settles = options.group !== undefined;
    this.#name = options.name;
    this.#stream = stream;
    this.#noAck = options.noAck;
    this.#maxlen = options.maxlen;
    this.#minIdle = options.minIdle;
    this.#deleteOnAck = options.deleteOnAck;
    this.#consumer = options.consumer ?? `memory-${++consumers}`;
    const start = options.lastId ?? (options.group === undefined ? '$' : '0');
    if (start !== '$') parse(start);
    this.#cursor = start === '$' ? this.#stream.lastId : start;
    this.#group =
      options.group === undefined ? undefined : this.#stream.group(options.group, this.#cursor);
    this.#again = [...(this.#group?.pending ?? [])]
      .filter(([, pending]) => pending.consumer === this.#consumer)
      .map(([id]) => id);
  }

  async read(max: number): Promise<Delivery[]> {
    while (!this.#stopped) {
      const deliveries =
        this.#group === undefined ? this.#readOn(max) : this.#readGroup(this.#group, max);
      if (deliveries.length > 0) return deliveries;
      const stale = this.#group === undefined ? Infinity : this.#untilStale(this.#group);
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#stream.wait(resolve);
        if (stale < 2 ** 31) timer = setTimer(resolve, stale).unref();
      });
      clearTimer(timer);
      this.#stream.unwait(this.#wake as () => void);
      this.#wake = undefined;
    }
    return [];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retries.clear();
    this.#wake?.();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    if (this.#group === undefined) return;
    const { pending, idle } = this.#group;
    const waiting = new Set(unstarted.map(({ id }) => id));
    for (const [id, { consumer, count }] of pending) {
      if (consumer !== this.#consumer || idle.has(id)) continue;
      // What was not started counts as not delivered, and is anybody's at once.
      if (waiting.has(id)) pending.set(id, { consumer, count: count - 1 });
      idle.set(id, waiting.has(id) ? -Infinity : monotonicTime());
    }
    this.#stream.wake();
  }

  ack(delivery: Delivery): undefined {
    if (this.#group !== undefined) this.#forget(this.#group, delivery.id as string);
    if (this.#deleteOnAck) this.#stream.delete(delivery.id as string);
    if (this.#group !== undefined && this.#maxlen !== undefined)
      this.#stream.trimHandled(this.#maxlen);
  }

  nack(delivery: Delivery, delay: number): void {
    if (this.#group === undefined || this.#stopped) return;
    this.#retries.after(delay, () => {
      this.#again.push(delivery.id as string);
      this.#wake?.();
    });
  }

  abandon(delivery: Delivery): void {
    const id = delivery.id as string;
    if (this.#group?.pending.has(id) === true) this.#group.idle.set(id, monotonicTime());
  }

  #forget(group: MemoryGroup, id: string): void {
    group.pending.delete(id);
    group.idle.delete(id);
  }

  /** Ids that nobody has renewed for so long that their consumer counts as dead. */
  #stale(group: MemoryGroup): string[] {
    const limit = monotonicTime() - this.#minIdle;
    return [...group.pending.keys()].filter((id) => (group.idle.get(id) ?? Infinity) <= limit);
  }

  /** Milliseconds until there is a stale one, if nothing changes. */
  #untilStale(group: MemoryGroup): number {
    let earliest = Infinity;
    for (const since of group.idle.values()) earliest = Math.min(earliest, since);
    return Math.max(1, earliest + this.#minIdle - monotonicTime());
  }

  #readOn(max: number): Delivery[] {
    const entries = this.#stream.after(this.#cursor, max);
    this.#cursor = entries.at(-1)?.id ?? this.#cursor;
    return entries.map((entry) => this.#delivery(entry, 1));
  }

  #readGroup(group: MemoryGroup, max: number): Delivery[] {
    const again: Delivery[] = [];
    if (this.#again.length === 0 && group.idle.size > 0) this.#again = this.#stale(group);
    while (again.length < max) {
      const id = this.#again.shift();
      if (id === undefined) break;
      const pending = group.pending.get(id);
      const entry = this.#stream.entry(id);
      // Trimmed or deleted meanwhile: there is nothing left to deliver.
      if (entry === undefined) this.#forget(group, id);
      if (pending === undefined || entry === undefined) continue;
      this.#hold(group, id, pending.count + 1);
      again.push(this.#delivery(entry, pending.count + 1));
    }
    if (again.length > 0) return again;
    const entries = this.#stream.after(group.lastId, max);
    group.lastId = entries.at(-1)?.id ?? group.lastId;
    if (!this.#noAck) {
      for (const { id } of entries) this.#hold(group, id, 1);
    }
    return entries.map((entry) => this.#delivery(entry, 1));
  }

  #hold(group: MemoryGroup, id: string, count: number): void {
    group.pending.set(id, { consumer: this.#consumer, count });
    group.idle.delete(id);
  }

  #delivery(entry: Entry, count: number): Delivery {
    return { frame: entry.frame, name: this.#name, id: entry.id, count };
  }
}
