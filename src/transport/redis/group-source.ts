import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { deferred, settledWithin } from '../../internal/deferred.ts';
import { Feed } from '../feed.ts';
import {
  PARKED,
  idAfter,
  type Delivery,
  type IsFull,
  type Listener,
  type Report,
  type Source,
  type StreamSourceOptions,
} from '../source.ts';
import type { Timings } from '../timings.ts';
import { BlockingReader } from './blocking-reader.ts';
import { Claims, readNothing } from './claims.ts';
import type { Connections } from './connections.ts';
import { ConsumerName } from './consumer-name.ts';
import { GroupEntries } from './group-entries.ts';
import { createGroup, makeUpName, parkedKey } from './group-admin.ts';
import { DELIVER_AGAIN, FIND_PARKED, REMOVE, UNPARK } from './group-scripts.ts';
import { besideKey } from './list-keys.ts';
import {
  delivery,
  entries,
  entriesRead,
  entriesUnparked,
  idOf,
  pendingRows,
  type ConsumerRow,
  type Entry,
} from './replies.ts';

/** Listens to a channel, for notices of other consumers. */
export type Listen = (channel: string, onFrame: () => void) => Promise<Listener>;

/** A stream read by one consumer of a group: XREADGROUP, own pending entries first, XACK when settled. */
export class GroupSource implements Source {
  readonly canReturn = true;
  readonly needsAck = true;
  readonly #client: Redis;
  readonly #timings: Timings;
  readonly #options: StreamSourceOptions;
  readonly #key: string;
  readonly #group: string;
  /** What our keys and the channel for notices begin with. */
  readonly #base: string;
  readonly #parkedKey: string;
  readonly #name: ConsumerName | undefined;
  readonly #madeUp: string;
  readonly #report: Report;
  readonly #reader: BlockingReader;
  readonly #entries: GroupEntries;
  /** Undefined where nothing is ever pending. */
  readonly #claims: Claims | undefined;
  readonly #feed = new Feed({ fetch: (max) => this.#fetch(max) });
  /** Our pending entries from this id on are still to be read; undefined once all have been. */
  #history: string | undefined = '-';
  /** When to look for what is parked. */
  #parkedDue = 0;
  #listener: Promise<Listener | undefined> | undefined;
  readonly #stopping = new AbortController();
  readonly #stopped = deferred<void>();

  static async open(
    connections: Connections,
    options: StreamSourceOptions,
    report: Report,
    listen: Listen,
  ): Promise<GroupSource> {
    await createGroup(connections.client, options, options.lastId ?? '0');
    const reader = await BlockingReader.open(connections, options.name);
    const source = new GroupSource(connections, options, report, reader);
    source.#hearNotices(listen);
    await source.#begin();
    return source;
  }

  private constructor(
    connections: Connections,
    options: StreamSourceOptions,
    report: Report,
    reader: BlockingReader,
  ) {
    this.#client = connections.client;
    this.#timings = connections.timings;
    this.#options = options;
    this.#key = options.name;
    this.#group = options.group as string;
    this.#base = `${besideKey('group', options.name)}:${this.#group}`;
    this.#parkedKey = parkedKey(options.name, this.#group);
    this.#madeUp = options.consumer ?? makeUpName();
    this.#report = report;
    this.#reader = reader;
    const { consumer } = options;
    if (consumer !== undefined)
      this.#name = new ConsumerName(
        connections,
        `${this.#base}:name:${consumer}`,
        consumer,
        report,
      );
    this.#entries = new GroupEntries({
      connections,
      options,
      consumer: () => this.#consumer,
      parkedKey: this.#parkedKey,
      report,
      onAgain: (again) => this.#feed.pushPast(again),
      onParked: (delay) => this.#parkedDueIn(delay),
    });
    if (!options.noAck) this.#claims = this.#makeClaims();
    reader.onReconnect = () => {
      // What Redis sent on the lost connection is among our pending entries.
      this.#history = '-';
    };
  }

  get held(): number {
    return this.#entries.size;
  }

  read(max: number, isFull?: IsFull): Promise<Delivery[]> {
    return this.#feed.next(max, isFull);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#stopped.resolve();
    this.#entries.stop();
    this.#feed.end();
    await this.#reader.stop();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    this.#claims?.close();
    // Bounded, because the server may be gone.
    const { leave } = this.#timings;
    await settledWithin(this.#entries.settled(), leave);
    this.#reader.close();
    const unheard = this.#listener?.then((listener) => listener?.close());
    const left = this.#leave(unstarted);
    left.catch((error: unknown) => this.#report('entries could not be given back', error));
    await settledWithin(Promise.all([left, unheard]), leave);
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    // A read that nobody waits for any more would fetch in the place of others.
    if (!this.#feed.isAwaited) await this.#reader.interrupt();
    const unread = this.#feed.isAwaited ? [] : this.#feed.drain();
    const all = [...deliveries, ...unread];
    if (all.length === 0) return;
    await this.#entries.giveBack(all);
    // They come before new entries, where nobody else has taken them by then.
    this.#history = '-';
    await this.#client.publish(`${this.#base}:notice`, '');
  }

  ack(settled: Delivery): Promise<void> | undefined {
    return this.#entries.ack(settled);
  }

  nack(settled: Delivery, delay: number, isCounted = true): void {
    this.#entries.nack(settled, delay, isCounted);
  }

  abandon(left: Delivery): void {
    this.#entries.abandon(left);
  }

  get #consumer(): string {
    return this.#name?.current ?? this.#madeUp;
  }

  get #isStopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  #makeClaims(): Claims {
    return new Claims({
      client: this.#client,
      key: this.#key,
      group: this.#group,
      consumer: () => this.#consumer,
      minIdle: this.#options.minIdle,
      report: this.#report,
      timings: this.#timings,
      held: () => this.#entries.ids(),
      isHeld: (id) => this.#entries.has(id),
      run: (name, args) => this.#run(name, args),
      onConsumers: (rows) => this.#findParked(rows),
    });
  }

  /** Other consumers tell when they give entries back; without the right to hear them, these are found by the next scan. */
  #hearNotices(listen: Listen): void {
    const claims = this.#claims;
    if (claims === undefined) return;
    const heard = (): void => {
      claims.notice();
      void this.#reader.interrupt();
    };
    this.#listener = listen(`${this.#base}:notice`, heard).catch((error: unknown) => {
      if (!this.#isStopped)
        this.#report(`notices of group '${this.#group}' cannot be heard`, error, 'info');
      return undefined;
    });
  }

  /** Makes the consumer, which operators are to see also while it has nothing, and looks for what is parked. */
  async #begin(): Promise<void> {
    if (this.#claims === undefined) return;
    try {
      const args = readNothing(this.#key, this.#group, this.#consumer);
      const [, parked] = await Promise.all([
        this.#client.call('XREADGROUP', ...args),
        this.#client.zrange(this.#parkedKey, '0', '0'),
      ]);
      if (parked.length === 0) this.#parkedDue = monotonicTime() + this.#timings.parkedLook;
    } catch {
      // Reading meets the same error, and says so.
    }
  }

  async #run(name: string, args: (string | number | Buffer)[], block = 0): Promise<unknown> {
    const sent = monotonicTime();
    try {
      const reply = await this.#reader.run(name, args);
      this.#claims?.heard(sent, block);
      return reply;
    } catch (error) {
      if ((error as Error).name !== 'ReplyError') this.#claims?.lost(sent);
      throw error;
    }
  }

  async #fetch(max: number): Promise<void> {
    try {
      const named = this.#name?.settle(this.#stopping.signal);
      if (named !== undefined) await Promise.race([named, this.#stopped.promise]);
      if (this.#isStopped) return;
      if (this.#history !== undefined) await this.#fetchHistory(this.#history, max);
      else if (this.#claims === undefined) await this.#fetchNew(max);
      else if (monotonicTime() >= this.#parkedDue) await this.#fetchParked(max);
      else if (this.#claims.wait <= 0) await this.#claim(this.#claims, max);
      else await this.#fetchNew(max);
    } catch (error) {
      if (!(await this.#recreated(error))) throw error;
    }
  }

  async #fetchNew(max: number): Promise<void> {
    const { noAck } = this.#options;
    const args: (string | number)[] = ['GROUP', this.#group, this.#consumer, 'COUNT', max];
    // Not past the time at which stale or parked entries are to be looked for.
    let wait = this.#timings.block;
    if (this.#claims !== undefined)
      wait = Math.ceil(Math.min(wait, this.#claims.wait, this.#parkedDue - monotonicTime()));
    if (wait > 0) args.push('BLOCK', wait);
    if (noAck) args.push('NOACK');
    args.push('STREAMS', this.#key, '>');
    for (const entry of entriesRead(await this.#run('xreadgroup', args, wait))) {
      const fresh = delivery(this.#key, entry, 1);
      if (!noAck) this.#entries.add(fresh.id as string);
      this.#feed.push(fresh);
    }
  }

  /** Entries that are pending for this consumer, from an earlier connection or process. */
  async #fetchHistory(from: string, max: number): Promise<void> {
    const page = [this.#key, this.#group, from, '+', Math.max(max, 100), this.#consumer];
    const rows = pendingRows((await this.#run('xpending', page)) ?? []);
    // A reconnect meanwhile has started over; this page is read again.
    if (this.#history !== from) return;
    const unknown = rows.filter(({ id }) => !this.#entries.knows(id));
    const chosen = unknown.slice(0, max);
    const last = chosen.length < unknown.length ? chosen.at(-1) : rows.at(-1);
    const isLast = chosen.length === unknown.length && rows.length < Math.max(max, 100);
    this.#history = isLast || last === undefined ? undefined : idAfter(last.id);
    if (chosen.length === 0) return;
    const counts = new Map(chosen.map(({ id, count }) => [id, count + 1]));
    const args = [this.#group, this.#consumer, ...[...counts].flat()];
    const run = (name: string, all: (string | number | Buffer)[]): Promise<unknown> =>
      this.#run(name, all);
    const again = entries(await DELIVER_AGAIN.run(this.#client, [this.#key], args, run));
    for (const entry of again) this.#push(entry, counts.get(idOf(entry)) ?? 2);
  }

  /** Takes over entries that their consumer, possibly this one, has not renewed for `minIdle`. */
  async #claim(claims: Claims, max: number): Promise<void> {
    const claimed = await claims.step(max);
    for (const { entry, count } of claimed) this.#push(entry, count);
    // New entries do not wait for the end of a long scan.
    if (claims.isScanning && claimed.length === 0) await this.#fetchNew(max);
  }

  /** Takes parked entries that are due, whoever parked them. */
  async #fetchParked(max: number): Promise<void> {
    const { parkedLook } = this.#timings;
    const some = (await this.#run('zrange', [this.#parkedKey, 0, 0])) as unknown[] | null;
    this.#parkedDue = monotonicTime() + parkedLook;
    if (some === null || some.length === 0) return;
    const run = (name: string, all: (string | number | Buffer)[]): Promise<unknown> =>
      this.#run(name, all);
    const keys = [this.#key, this.#parkedKey];
    const args = [this.#group, this.#consumer, PARKED, max];
    const { due, taken } = entriesUnparked(await UNPARK.run(this.#client, keys, args, run));
    if (due !== undefined) this.#parkedDue = monotonicTime() + Math.min(due, parkedLook);
    for (const [entry, count] of taken) this.#push(entry, count);
  }

  #push(entry: Entry, count: number): void {
    const again = delivery(this.#key, entry, count);
    this.#entries.add(again.id as string);
    this.#feed.push(again);
  }

  #parkedDueIn(delay: number): void {
    const { parkedLook } = this.#timings;
    this.#parkedDue = Math.min(this.#parkedDue, monotonicTime() + Math.min(delay, parkedLook));
  }

  /** The due times of parked entries are a key that may be lost (eviction): then they are due now. */
  async #findParked(rows: readonly ConsumerRow[]): Promise<void> {
    const pending = rows.find(({ name }) => name === PARKED)?.pending ?? 0;
    if (pending === 0) return;
    const keys = [this.#key, this.#parkedKey];
    const args = [this.#group, PARKED, this.#timings.keyLife];
    if (Number(await FIND_PARKED.run(this.#client, keys, args)) > 0) this.#parkedDue = 0;
  }

  /** Creates a group again that has disappeared (flush, fail-over, eviction), from the start of the stream. */
  async #recreated(error: unknown): Promise<boolean> {
    if (!messageOf(error).includes('NOGROUP') || this.#isStopped) return false;
    try {
      this.#report(`group '${this.#group}' is gone, it is created again`, error);
      await createGroup(this.#client, { ...this.#options, declare: true }, '0');
      this.#report(
        `group '${this.#group}' is there again, from the start of the stream`,
        undefined,
        'info',
      );
      return true;
    } catch {
      return false; // `error` is reported, and the next read tries again
    }
  }

  /**
   * Gives back what was not started, parks what waits for its next delivery, and removes a consumer with a
   * made-up name that has nothing pending. Where that fails, other consumers do it later.
   */
  async #leave(unstarted: readonly Delivery[]): Promise<void> {
    if (this.#client.status !== 'ready') return;
    if (!this.#options.noAck)
      await Promise.all([this.#entries.parkAll(), this.giveBack(unstarted)]);
    await this.#name?.release();
    if (this.#consumer === this.#options.consumer) return;
    await REMOVE.run(this.#client, [this.#key], [this.#group, this.#consumer]);
  }
}
