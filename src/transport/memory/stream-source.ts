import { clearTimer, monotonicTime, setTimer } from '../../internal/clock.ts';
import { Feed } from '../feed.ts';
import type { Lanes } from '../lanes.ts';
import type { Handled } from '../marks.ts';
import { Pauses } from '../pauses.ts';
import type { RateGate } from '../rate.ts';
import {
  MAX_WAITING,
  compareIds,
  idBefore,
  longestPause,
  type Delivery,
  type IsFull,
  type Report,
  type Source,
  type StreamSourceOptions,
} from '../source.ts';
import { rateGate } from './permits.ts';
import type { MemoryMarks } from './marks.ts';
import { copyOf, parseId, type Entry, type MemoryGroup, type MemoryStream } from './stream.ts';

let consumers = 0;

export class MemoryStreamSource implements Source {
  readonly canReturn = true;
  readonly needsAck: boolean;
  readonly #name: string;
  readonly #stream: MemoryStream;
  readonly #marks: MemoryMarks;
  readonly #groupName: string | undefined;
  readonly #group: MemoryGroup | undefined;
  readonly #consumer: string;
  readonly #noAck: boolean;
  readonly #trimmed: StreamSourceOptions | undefined;
  readonly #minIdle: number;
  readonly #deleteOnAck: boolean;
  /** Without a group: the last entry read. */
  #cursor: string;
  /** Ids of pending entries that this source is to deliver again. */
  #again: string[];
  /** Ids of entries that were delivered here and are not settled. */
  readonly #held = new Set<string>();
  readonly #pauses: Pauses<string>;
  readonly #lanes: Lanes | undefined;
  readonly #gate: RateGate | undefined;
  /** With a rate: ends the wait for something to fetch. */
  #some: (() => void) | undefined;
  readonly #feed: Feed;
  /** Wakes a waiting reader when the next entry becomes stale. */
  #staleTimer: NodeJS.Timeout | undefined;
  /** Whether nothing is left to give back. */
  isOver = false;

  constructor(
    stream: MemoryStream,
    options: StreamSourceOptions,
    report: Report,
    marks: MemoryMarks,
    lanes?: Lanes,
  ) {
    this.#marks = marks;
    this.#lanes = lanes;
    this.#feed = new Feed({ fetch: (max) => this.#fetchAllowed(max), lanes });
    this.needsAck = options.group !== undefined;
    this.#name = options.name;
    this.#groupName = options.group;
    this.#stream = stream;
    this.#noAck = options.noAck;
    if (options.maxlen !== undefined) this.#trimmed = options;
    this.#minIdle = options.minIdle;
    this.#deleteOnAck = options.deleteOnAck;
    const start = options.lastId ?? (options.group === undefined ? '$' : '0');
    if (start !== '$') parseId(start);
    this.#cursor = start === '$' ? this.#stream.lastId : start;
    this.#group =
      options.group === undefined ? undefined : this.#stream.group(options.group, this.#cursor);
    if (this.#group !== undefined) this.#gate = rateGate(this.#group.rate, options.rate);
    this.#pauses = new Pauses(this.#gate);
    this.#consumer = nameIn(this.#group, options.consumer, report);
    this.#group?.names.add(this.#consumer);
    this.#again = [...(this.#group?.pending ?? [])]
      .filter(([, pending]) => pending.consumer === this.#consumer)
      .map(([id]) => id);
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  get held(): number {
    return this.#held.size;
  }

  async stop(): Promise<void> {
    this.#gate?.stop();
    this.#pauses.stop();
    this.#feed.end();
    this.#some?.();
    this.#unwait();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    if (this.#group === undefined) return;
    this.#leave(this.#group, this.#feed.takeBack(unstarted));
    for (const [id, left] of this.#pauses.drain()) {
      if (this.#lanes === undefined) this.#stream.park(this.#group, id, left);
      else this.#group.idle.set(id, -Infinity);
    }
    this.die();
  }

  /** Leaves everything to the others, who take it over after `minIdle`. */
  die(): void {
    void this.stop();
    const group = this.#group;
    if (group === undefined || this.isOver) return;
    this.isOver = true;
    group.names.delete(this.#consumer);
    group.silentSince = monotonicTime();
    for (const [id, { consumer }] of group.pending)
      if (consumer === this.#consumer && !group.idle.has(id)) group.idle.set(id, monotonicTime());
    this.#stream.wake();
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    const group = this.#group;
    if (group === undefined) {
      const [first] = deliveries;
      // Some after them may have begun: with lanes they wait here.
      if (this.#lanes !== undefined) this.#feed.keep(deliveries);
      else if (first !== undefined) this.#cursor = idBefore(first.id as string);
      return;
    }
    if (this.#lanes !== undefined)
      return this.#feed.giveBack(
        deliveries,
        async () => this.#some?.(),
        async (all) => this.#leave(group, all),
      );
    const unread = this.#feed.isAwaited ? [] : this.#feed.drain();
    this.#leave(group, [...deliveries, ...unread]);
  }

  /** Leaves entries to whoever looks next. */
  #leave(group: MemoryGroup, unstarted: readonly Delivery[]): void {
    void this.#gate?.giveBack(unstarted.length);
    for (const { id } of unstarted as readonly { id: string }[]) {
      const pending = group.pending.get(id);
      if (pending === undefined || !this.#held.delete(id)) continue;
      // What was not started counts as not delivered, and any consumer may take it at once.
      group.pending.set(id, { consumer: pending.consumer, count: pending.count - 1 });
      group.idle.set(id, -Infinity);
    }
    // What is free is looked for anew, so that it comes in order together with what was given back.
    this.#again = this.#again.filter((id) => !group.idle.has(id));
    this.#stream.wake();
  }

  ack(delivery: Delivery, handled?: Handled): undefined {
    const group = this.#group;
    if (group === undefined) return;
    if (handled !== undefined) {
      const { id, life } = handled;
      this.#marks.handled({ name: this.#name, group: this.#groupName, id }, life);
    }
    const id = delivery.id as string;
    this.#lanes?.settled(delivery);
    this.#held.delete(id);
    this.#pauses.delete(id);
    this.#forget(group, id);
    if (this.#deleteOnAck && this.#stream.isHandled(id)) this.#stream.delete(id);
    if (this.#trimmed !== undefined) this.#stream.trimHandled(this.#trimmed);
  }

  nack(delivery: Delivery, delay: number, isCounted = true): void {
    const id = delivery.id as string;
    const group = this.#group;
    const pending = group?.pending.get(id);
    if (group === undefined || pending === undefined || !this.#held.has(id)) return;
    if (!isCounted) group.pending.set(id, { ...pending, count: pending.count - 1 });
    const isLong = delay > longestPause(this.#minIdle) || this.#pauses.size >= MAX_WAITING;
    if (this.#lanes !== undefined) group.pauses.note(id, delay);
    else if (isLong) {
      this.#held.delete(id);
      this.#stream.park(group, id, delay);
      return;
    }
    this.#pauses.add(id, delay, () => this.#deliverAgain(group, id));
  }

  abandon(delivery: Delivery): void {
    const id = delivery.id as string;
    this.#lanes?.settled(delivery);
    this.#pauses.delete(id);
    this.#held.delete(id);
    if (this.#group?.pending.has(id) === true) this.#group.idle.set(id, monotonicTime());
  }

  #deliverAgain(group: MemoryGroup, id: string): void {
    const again = this.#takeAgain(group, id);
    if (again !== undefined) this.#feed.pushPast(again);
    else this.#lanes?.settled({ frame: [], name: this.#name, id, count: 0 });
  }

  #fetchAllowed(max: number): Promise<void> | undefined {
    if (this.#gate === undefined) return this.#fetch(max);
    const take = async (some: number): Promise<number> => {
      const deliveries = this.#readGroup(this.#group as MemoryGroup, some);
      for (const delivery of deliveries) this.#feed.push(delivery);
      return deliveries.length;
    };
    return this.#gate.fetch(max, take, this.#untilSome);
  }

  /** With a rate: waits until there may be something. */
  readonly #untilSome = (): Promise<boolean> =>
    new Promise((resolve) => {
      const stale = setTimer(() => this.#some?.(), this.#untilStale(this.#group as MemoryGroup));
      this.#some = (): void => {
        clearTimer(stale);
        this.#stream.unwait(wake);
        this.#some = undefined;
        resolve(true);
      };
      const wake = this.#some;
      this.#stream.wait(wake);
      stale.unref();
    });

  #fetch(max: number): undefined {
    this.#unwait();
    const group = this.#group;
    const deliveries = group === undefined ? this.#readOn(max) : this.#readGroup(group, max);
    for (const delivery of deliveries) this.#feed.push(delivery);
    if (deliveries.length > 0) return;
    this.#stream.wait(this.#feed.wake);
    const stale = group === undefined ? Infinity : this.#untilStale(group);
    if (stale < Infinity) this.#staleTimer = setTimer(this.#feed.wake, stale).unref();
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
    if (this.#lanes !== undefined && group.idle.size > 0)
      this.#again = [...new Set([...this.#again, ...this.#stale(group)])].sort(compareIds);
    else if (this.#again.length === 0 && group.idle.size > 0) this.#again = this.#stale(group);
    while (again.length < max) {
      const id = this.#again.shift();
      if (id === undefined) break;
      const one = this.#takeAgain(group, id);
      if (one !== undefined) again.push(one);
    }
    if (again.length > 0) return again;
    const entries = this.#stream.after(group.lastId, max);
    group.lastId = entries.at(-1)?.id ?? group.lastId;
    if (!this.#noAck) {
      for (const { id } of entries) this.#hold(group, id, 1);
    }
    return entries.map((entry) => this.#delivery(entry, 1));
  }

  /** The next delivery of a pending entry; undefined where it is settled, trimmed or deleted: there is nothing left to deliver. */
  #takeAgain(group: MemoryGroup, id: string): Delivery | undefined {
    const pending = group.pending.get(id);
    const entry = this.#stream.entry(id);
    if (entry === undefined) {
      this.#forget(group, id);
      this.#held.delete(id);
    }
    if (pending === undefined || entry === undefined) return undefined;
    this.#hold(group, id, pending.count + 1);
    const again = this.#delivery(entry, pending.count + 1);
    return this.#lanes === undefined ? again : { ...again, pause: group.pauses.left(id) };
  }

  #hold(group: MemoryGroup, id: string, count: number): void {
    group.pending.set(id, { consumer: this.#consumer, count });
    group.idle.delete(id);
    this.#held.add(id);
  }

  #delivery(entry: Entry, count: number): Delivery {
    return { frame: copyOf(entry.frame), name: this.#name, id: entry.id, count };
  }
}

/** The name of a consumer; one that reads already gets a name beside it, so that neither takes what the other is handling. */
function nameIn(group: MemoryGroup | undefined, given: string | undefined, report: Report): string {
  if (given === undefined) return `memory-${++consumers}`;
  if (group?.names.has(given) !== true) return given;
  const name = `${given}~${++consumers}`;
  report(`a consumer '${given}' reads already: this one reads as '${name}'`, undefined);
  return name;
}
