import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { deferred, settledWithin } from '../../internal/deferred.ts';
import { Feed } from '../feed.ts';
import type { Handled } from '../marks.ts';
import {
  idAfter,
  type Delivery,
  type IsFull,
  type Listener,
  type Report,
  type Source,
  type StreamSourceOptions,
} from '../source.ts';
import type { Lanes } from '../lanes.ts';
import type { Timings } from '../timings.ts';
import { Claims, readNothing } from './claims.ts';
import type { Connections } from './connections.ts';
import { ConsumerName } from './consumer-name.ts';
import { GroupEntries } from './group-entries.ts';
import { createGroup, parkedKey, pausesKey, recreateGroup, removeUnused } from './group-admin.ts';
import { besideKey } from './list-keys.ts';
import type { RateGate } from '../rate.ts';
import { Parked } from './parked.ts';
import { rateGate } from './permits.ts';
import type { Opener, Reader } from './readers.ts';
import { delivery, entriesRead, groupRows, pendingRows, type Entry } from './replies.ts';

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
  readonly #name: ConsumerName | undefined;
  readonly #madeUp: string;
  readonly #report: Report;
  readonly #reader: Reader;
  readonly #entries: GroupEntries;
  /** Undefined where nothing is ever pending. */
  readonly #claims: Claims | undefined;
  readonly #lanes: Lanes | undefined;
  readonly #gate: RateGate | undefined;
  /** Entries fetched so far. */
  #fetched = 0;
  readonly #feed: Feed;
  /** Our pending entries from this id on are still to be read; undefined once all have been. */
  #history: string | undefined = '-';
  readonly #parked: Parked;
  #listener: Promise<Listener | undefined> | undefined;
  readonly #stopping = new AbortController();
  readonly #stopped = deferred<void>();

  static async open(
    opener: Opener,
    options: StreamSourceOptions,
    report: Report,
    listen: Listen,
    lanes?: Lanes,
  ): Promise<GroupSource> {
    await createGroup(opener.connections.client, options, options.lastId ?? '0');
    const reader = await opener.open();
    const source = new GroupSource(opener.connections, options, report, reader, lanes);
    source.#hearNotices(listen);
    await source.#begin();
    return source;
  }

  private constructor(
    connections: Connections,
    options: StreamSourceOptions,
    report: Report,
    reader: Reader,
    lanes: Lanes | undefined,
  ) {
    this.#client = connections.client;
    this.#timings = connections.timings;
    this.#options = options;
    this.#key = options.name;
    this.#group = options.group as string;
    this.#base = `${besideKey('group', options.name)}:${this.#group}`;
    this.#madeUp = options.consumer ?? reader.consumer;
    this.#report = report;
    this.#reader = reader;
    this.#lanes = lanes;
    this.#gate = rateGate(connections.client, options);
    this.#feed = new Feed({ fetch: (max) => this.#fetch(max), lanes });
    const { consumer } = options;
    if (consumer !== undefined)
      this.#name = new ConsumerName(
        connections,
        `${this.#base}:name:${consumer}`,
        consumer,
        report,
      );
    const parked = parkedKey(options.name, this.#group);
    this.#parked = new Parked({
      client: this.#client,
      timings: this.#timings,
      key: this.#key,
      parkedKey: parked,
      group: this.#group,
      consumer: () => this.#consumer,
      run: (name, args) => this.#run(name, args),
    });
    this.#entries = new GroupEntries({
      connections,
      options,
      consumer: () => this.#consumer,
      parkedKey: parked,
      pausesKey: lanes && pausesKey(options.name, this.#group),
      report,
      onGone: (gone) => lanes?.settled(gone),
      gate: this.#gate,
      onAgain: (again) => this.#feed.pushPast(again),
      onParked: (delay) => this.#parked.dueIn(delay),
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
    this.#gate?.stop();
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

  get hasUnread(): boolean {
    return this.#feed.hasUnread;
  }

  async giveBack(deliveries: readonly Delivery[]): Promise<void> {
    if (this.#lanes !== undefined) {
      const interrupt = (): Promise<void> => this.#reader.interrupt();
      return this.#feed.giveBack(deliveries, interrupt, (all) => this.#leaveToOthers(all));
    }
    // A read that nobody waits for any more would fetch in the place of others.
    if (!this.#feed.isAwaited) {
      await this.#reader.interrupt();
      // With a rate it may wait long for its permits.
      if (this.#gate === undefined) await this.#feed.fetching?.catch(() => undefined);
    }
    const unread = this.#feed.isAwaited ? [] : this.#feed.drain();
    const all = [...deliveries, ...unread];
    if (all.length > 0) await this.#feed.orKept(unread, this.#leaveToOthers(all));
  }

  async #leaveToOthers(all: readonly Delivery[]): Promise<void> {
    await this.#entries.giveBack(all);
    await this.#gate?.giveBack(all.length);
    // They come before new entries, where nobody else has taken them by then.
    this.#history = '-';
    await this.#client.publish(`${this.#base}:notice`, '');
  }

  begins(delivery: Delivery): Promise<boolean> {
    return this.#entries.begins(delivery);
  }

  ack(settled: Delivery, handled?: Handled): Promise<void> | undefined {
    this.#lanes?.settled(settled);
    return this.#entries.ack(settled, handled);
  }

  nack(settled: Delivery, delay: number, isCounted = true): void {
    this.#entries.nack(settled, delay, isCounted);
  }

  abandon(left: Delivery): void {
    this.#lanes?.settled(left);
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
      onConsumers: this.#parked.find,
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
      await Promise.all([this.#client.call('XREADGROUP', ...args), this.#parked.begin()]);
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
      if (this.#gate === undefined) await this.#fetchSome(max);
      else await this.#gate.fetch(max, (some) => this.#take(some), this.#untilSome);
    } catch (error) {
      const isGone = messageOf(error).includes('NOGROUP') && !this.#isStopped;
      if (!isGone || !(await recreateGroup(this.#client, this.#options, error, this.#report)))
        throw error;
    }
  }

  async #fetchSome(max: number): Promise<void> {
    if (this.#history !== undefined) await this.#fetchHistory(this.#history, max);
    else if (this.#claims === undefined) await this.#fetchNew(max);
    else if (this.#parked.wait <= 0) await this.#fetchParked(max);
    else if (this.#claims.wait <= 0) await this.#claim(this.#claims, max);
    else await this.#fetchNew(max);
  }

  /** With a rate: fetches what there is, up to `max`, and says how many. */
  async #take(max: number): Promise<number> {
    const before = this.#fetched;
    do await this.#fetchSome(max);
    while (this.#fetched === before && this.#isDue() && !this.#isStopped);
    return this.#fetched - before;
  }

  /** With a rate: waits until there is something, for whoever takes it (XREAD from where the group is). */
  readonly #untilSome = async (): Promise<boolean> => {
    if (this.#isDue()) return true;
    const groups = groupRows(await this.#client.call('XINFO', 'GROUPS', this.#key));
    const last = groups.find(({ name }) => name === this.#group)?.lastDeliveredId;
    // Without the group, reading meets that and makes it again.
    if (last === undefined) return true;
    const wait = Math.max(1, this.#untilDue());
    const args = ['COUNT', 1, 'BLOCK', wait, 'STREAMS', this.#key, last];
    return entriesRead(await this.#run('xread', args, wait)).length > 0 || this.#isDue();
  };

  /** Whether something other than new entries is to be looked for. */
  #isDue(): boolean {
    return this.#history !== undefined || (this.#claims !== undefined && this.#untilDue() <= 0);
  }

  /** Milliseconds until stale or parked entries are to be looked for; that of a blocking read at most. */
  #untilDue(): number {
    const { block } = this.#timings;
    if (this.#claims === undefined) return block;
    return Math.ceil(Math.min(block, this.#claims.wait, this.#parked.wait));
  }

  async #fetchNew(max: number): Promise<void> {
    const { noAck } = this.#options;
    const args: (string | number)[] = ['GROUP', this.#group, this.#consumer, 'COUNT', max];
    // Not past the time at which stale or parked entries are to be looked for.
    const wait = this.#gate === undefined ? this.#untilDue() : 0;
    if (wait > 0) args.push('BLOCK', wait);
    if (noAck) args.push('NOACK');
    args.push('STREAMS', this.#key, '>');
    for (const entry of entriesRead(await this.#run('xreadgroup', args, wait))) {
      const fresh = delivery(this.#key, entry, 1);
      if (!noAck) this.#entries.add(fresh.id as string);
      this.#fetched++;
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
    const again = await this.#entries.deliverPending(chosen, (name, args) => this.#run(name, args));
    for (const { entry, count, pause } of again) this.#push(entry, count, pause);
  }

  /** Takes over entries that their consumer, possibly this one, has not renewed for `minIdle`. */
  async #claim(claims: Claims, max: number): Promise<void> {
    const claimed = await claims.step(max);
    for (const { entry, count, pause } of await this.#entries.withPauses(claimed))
      this.#push(entry, count, pause);
    // New entries do not wait for the end of a long scan, unless they belong behind what it finds.
    if (claims.isScanning && claimed.length === 0 && this.#lanes === undefined)
      await this.#fetchNew(max);
  }

  async #fetchParked(max: number): Promise<void> {
    for (const [entry, count] of await this.#parked.take(max)) this.#push(entry, count);
  }

  /** What others have left, or what was parked. */
  #push(entry: Entry, count: number, pause?: number): void {
    const plain = delivery(this.#key, entry, count);
    const again = count === 1 ? plain : { ...plain, comesAgain: true as const };
    this.#entries.add(plain.id as string);
    this.#fetched++;
    this.#feed.push(pause === undefined ? again : { ...again, pause });
  }

  /**
   * Gives back what was not started, parks what waits for its next delivery, and removes a consumer with a
   * made-up name that has nothing pending. Where that fails, other consumers do it later.
   */
  async #leave(unstarted: readonly Delivery[]): Promise<void> {
    if (this.#client.status !== 'ready') return;
    if (!this.#options.noAck) {
      const all = this.#feed.takeBack(unstarted);
      await this.#entries.leave(all);
      if (all.length > 0 || this.#lanes !== undefined)
        await this.#client.publish(`${this.#base}:notice`, '');
    }
    await this.#name?.release();
    if (this.#consumer === this.#options.consumer) return;
    if (await removeUnused(this.#client, this.#key, this.#group, this.#consumer))
      this.#reader.freeConsumer?.();
  }
}
