import { clearTimer, monotonicTime, setTimer } from '../../internal/clock.ts';
import { Timers } from '../../internal/timers.ts';
import { Feed } from '../feed.ts';
import type { Delivery, Source, StreamSourceOptions } from '../source.ts';
import { parseId, type Entry, type MemoryGroup, type MemoryStream } from './stream.ts';

let consumers = 0;

export class MemoryStreamSource implements Source {
  readonly canReturn = true;
  readonly needsAck: boolean;
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
  /** Ids of pending entries that this source is to deliver again. */
  #again: string[];
  readonly #retries = new Timers();
  readonly #feed = new Feed({ fetch: (max) => this.#fetch(max) });
  /** Wakes a waiting reader when the next entry becomes stale. */
  #staleTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(stream: MemoryStream, options: StreamSourceOptions) {
    this.needsAck = options.group !== undefined;
    this.#name = options.name;
    this.#stream = stream;
    this.#noAck = options.noAck;
    this.#maxlen = options.maxlen;
    this.#minIdle = options.minIdle;
    this.#deleteOnAck = options.deleteOnAck;
    this.#consumer = options.consumer ?? `memory-${++consumers}`;
    const start = options.lastId ?? (options.group === undefined ? '$' : '0');
    if (start !== '$') parseId(start);
    this.#cursor = start === '$' ? this.#stream.lastId : start;
    this.#group =
      options.group === undefined ? undefined : this.#stream.group(options.group, this.#cursor);
    this.#again = [...(this.#group?.pending ?? [])]
      .filter(([, pending]) => pending.consumer === this.#consumer)
      .map(([id]) => id);
  }

  read(max: number): Promise<Delivery[]> {
    return this.#feed.next(max);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retries.clear();
    this.#feed.end();
    this.#unwait();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    if (this.#group === undefined) return;
    const { pending, idle } = this.#group;
    const waiting = new Set(unstarted.map(({ id }) => id));
    for (const [id, { consumer, count }] of pending) {
      if (consumer !== this.#consumer || idle.has(id)) continue;
      // What was not started counts as not delivered, and any consumer may take it at once.
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
      this.#feed.wake();
    });
  }

  abandon(delivery: Delivery): void {
    const id = delivery.id as string;
    if (this.#group?.pending.has(id) === true) this.#group.idle.set(id, monotonicTime());
  }

  #fetch(max: number): undefined {
    this.#unwait();
    const group = this.#group;
    const deliveries = group === undefined ? this.#readOn(max) : this.#readGroup(group, max);
    for (const delivery of deliveries) this.#feed.push(delivery);
    if (deliveries.length > 0) return;
    this.#stream.wait(this.#feed.wake);
    const stale = group === undefined ? Infinity : this.#untilStale(group);
    if (stale < 2 ** 31) this.#staleTimer = setTimer(this.#feed.wake, stale).unref();
  }

  #unwait(): void {
    clearTimer(this.#staleTimer);
    this.#staleTimer = undefined;
    this.#stream.unwait(this.#feed.wake);
  }

  #forget(group: MemoryGroup, id: string): void {
    group.pending.delete(id);
    group.idle.delete(id);
  }

  /** Ids that have been idle for `minIdle`: their consumer counts as dead. */
  #stale(group: MemoryGroup): string[] {
    const limit = monotonicTime() - this.#minIdle;
    return [...group.pending.keys()].filter((id) => (group.idle.get(id) ?? Infinity) <= limit);
  }

  /** Milliseconds until the next entry becomes stale, if nothing changes. */
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
