import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { settledWithin } from '../../internal/deferred.ts';
import { Timers } from '../../internal/timers.ts';
import { Feed } from '../feed.ts';
import type { Delivery, Report, Source, StreamSourceOptions } from '../source.ts';
import type { Timings } from '../timings.ts';
import type { Connections } from './connections.ts';
import { Claims, type ClaimsOptions } from './claims.ts';
import {
  delivery,
  entries,
  entriesRead,
  idOf,
  pendingRows,
  type Entry,
  type PendingRow,
} from './replies.ts';
import { createGroup, handBack, makeUpName } from './group-admin.ts';
import { BlockingReader } from './blocking-reader.ts';
import { trimmer } from './trim.ts';

/** A stream read by one consumer of a group: XREADGROUP, own pending entries first, XACK when settled. */
export class GroupSource implements Source {
  readonly canReturn = true;
  readonly needsAck = true;
  readonly #client: Redis;
  readonly #timings: Timings;
  readonly #options: StreamSourceOptions;
  readonly #key: string;
  readonly #group: string;
  readonly #consumer: string;
  readonly #report: Report;
  readonly #reader: BlockingReader;

  /** Ids delivered here and not settled: reading our pending entries again must not deliver them twice. */
  readonly #inFlight = new Set<string>();
  /** Ids that were abandoned. They are not renewed, so that another consumer takes them over. */
  readonly #abandoned = new Set<string>();
  /** Ids whose XACK is not answered yet: Redis may still report them as pending. */
  readonly #leaving = new Set<string>();
  /** Undefined where nothing is ever pending. */
  readonly #claims: Claims | undefined;
  readonly #feed = new Feed({ fetch: (max) => this.#fetch(max) });
  /** Our pending entries after this id are still to be read; undefined once all have been. */
  #history: string | undefined = '0';
  readonly #retries = new Timers();
  #acks: string[] = [];
  #acking: Promise<void> | undefined;
  readonly #trim: (() => Promise<void>) | undefined;
  #stopped = false;

  static async open(
    connections: Connections,
    options: StreamSourceOptions,
    report: Report,
  ): Promise<GroupSource> {
    await createGroup(connections.client, options, options.lastId ?? '0');
    const reader = await BlockingReader.open(connections, options.name);
    return new GroupSource(connections, options, report, reader);
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
    this.#consumer = options.consumer ?? makeUpName();
    this.#report = report;
    const { maxlen } = options;
    if (maxlen !== undefined)
      this.#trim = trimmer(connections.client, options.name, maxlen, this.#timings.trim);
    this.#reader = reader;
    if (!options.noAck) this.#claims = new Claims(this.#claimsOptions(), () => this.#inFlight);
    reader.onReconnect = () => {
      // What Redis sent on the lost connection is among our pending entries.
      this.#history = '0';
    };
  }

  read(max: number): Promise<Delivery[]> {
    return this.#feed.next(max);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retries.clear();
    this.#feed.end();
    await this.#reader.stop();
  }

  async close(unstarted: readonly Delivery[]): Promise<void> {
    await this.stop();
    this.#claims?.close();
    // Bounded, because the server may be gone.
    if (this.#acking !== undefined) await settledWithin(this.#acking, this.#timings.leave);
    this.#reader.close();
    if (this.#client.status === 'ready')
      await settledWithin(this.#leave(unstarted), this.#timings.leave);
  }

  ack(settled: Delivery): Promise<void> | undefined {
    const id = settled.id as string;
    if (!this.#inFlight.delete(id) && !this.#abandoned.delete(id)) return undefined;
    this.#leaving.add(id);
    this.#acks.push(id);
    // One XACK acknowledges everything that settles in one tick.
    return (this.#acking ??= new Promise((resolve) => {
      process.nextTick(() => void this.#flushAcks().then(resolve));
    }));
  }

  nack(settled: Delivery, delay: number): void {
    const id = settled.id as string;
    if (!this.#inFlight.has(id) || this.#stopped) return;
    this.#retries.after(delay, () => void this.#redeliver(settled));
  }

  abandon(left: Delivery): void {
    const id = left.id as string;
    if (this.#inFlight.delete(id)) this.#abandoned.add(id);
  }

  async #fetch(max: number): Promise<void> {
    try {
      if (this.#history !== undefined) await this.#fetchHistory(this.#history, max);
      else if (this.#claims !== undefined && this.#claims.wait <= 0) await this.#claim(max);
      else await this.#fetchNew(max);
    } catch (error) {
      if (!(await this.#recreated(error))) throw error;
    }
  }

  async #fetchNew(max: number): Promise<void> {
    const { noAck } = this.#options;
    const args: (string | number)[] = ['GROUP', this.#group, this.#consumer, 'COUNT', max];
    const { block } = this.#timings;
    // Not past the time at which stale entries are to be looked for.
    const wait = Math.min(block, this.#claims?.wait ?? block);
    if (wait > 0) args.push('BLOCK', Math.ceil(wait));
    if (noAck) args.push('NOACK');
    args.push('STREAMS', this.#key, '>');
    for (const entry of entriesRead(await this.#reader.run('xreadgroup', args))) {
      const fresh = delivery(this.#key, entry, 1);
      if (!noAck) this.#inFlight.add(fresh.id as string);
      this.#feed.push(fresh);
    }
  }

  #claimsOptions(): ClaimsOptions {
    const { name: key, group, minIdle } = this.#options;
    return {
      client: this.#client,
      key,
      group: group as string,
      consumer: this.#consumer,
      minIdle,
      report: this.#report,
      timings: this.#timings,
    };
  }

  async #fetchHistory(from: string, max: number): Promise<void> {
    const args = ['GROUP', this.#group, this.#consumer, 'COUNT', max, 'STREAMS', this.#key, from];
    const page = entriesRead(await this.#reader.run('xreadgroup', args));
    // A reconnect meanwhile has started over from '0'; this page is read again.
    if (this.#history !== from) return;
    if (page.length === 0) {
      this.#history = undefined;
      return;
    }
    this.#history = idOf(page.at(-1) as Entry);
    // Entries that were trimmed or deleted while pending can never be handled.
    const deleted = page.filter(([, fields]) => fields === null).map(idOf);
    await this.#deliver(page.filter((entry) => !this.#abandoned.has(idOf(entry))));
    if (deleted.length > 0) await this.#client.xack(this.#key, this.#group, ...deleted);
  }

  /** Takes over entries that their consumer, possibly this one, has not renewed for `minIdle`. */
  async #claim(max: number): Promise<void> {
    const claimed = await (this.#claims as Claims).step(this.#reader, max);
    for (const entry of claimed) this.#abandoned.delete(idOf(entry));
    await this.#deliver(claimed);
    // New entries do not wait for the end of a long scan.
    if (this.#claims?.isScanning === true && claimed.length === 0) await this.#fetchNew(max);
  }

  /** Delivers entries that were delivered before, but for those that are in flight here. */
  async #deliver(known: readonly Entry[]): Promise<void> {
    const isOurs = (id: string): boolean => this.#inFlight.has(id) || this.#leaving.has(id);
    const again = known.filter((entry) => entry[1] !== null && !isOurs(idOf(entry)));
    const [first, last] = [again[0], again.at(-1)];
    if (first === undefined || last === undefined) return;
    const others = this.#inFlight.size + this.#abandoned.size;
    const rows = await this.#pending(idOf(first), idOf(last), again.length + others);
    const counts = new Map(rows.map(({ id, count }) => [id, count]));
    for (const entry of again) {
      const id = idOf(entry);
      this.#inFlight.add(id);
      this.#feed.push(delivery(this.#key, entry, counts.get(id) ?? 2));
    }
  }

  /** Entries that this consumer has pending, from `first` to `last`. */
  async #pending(first: string, last: string, count: number): Promise<PendingRow[]> {
    return pendingRows(
      await this.#client.xpending(this.#key, this.#group, first, last, count, this.#consumer),
    );
  }

  /** Claims a nacked entry again with XCLAIM, so that Redis counts the delivery. */
  async #redeliver(before: Delivery): Promise<void> {
    const id = before.id as string;
    try {
      const reply = await this.#client.callBuffer(
        'XCLAIM',
        this.#key,
        this.#group,
        this.#consumer,
        0,
        id,
      );
      const entry = entries(reply)[0];
      // Somebody else has acknowledged or deleted it meanwhile.
      if (entry?.[1] == null) this.#inFlight.delete(id);
      else this.#feed.pushPast(delivery(this.#key, entry, before.count + 1));
    } catch (error) {
      if (this.#stopped) return;
      this.#report(
        `entry ${id} could not be taken up again, it is read anew after a restart`,
        error,
      );
    }
  }

  async #flushAcks(): Promise<void> {
    const ids = this.#acks;
    this.#acks = [];
    this.#acking = undefined;
    try {
      // Awaited together: where both fail, neither is an unhandled rejection.
      await Promise.all([
        this.#client.xack(this.#key, this.#group, ...ids),
        this.#options.deleteOnAck ? this.#client.xdel(this.#key, ...ids) : undefined,
      ]);
      await this.#trim?.();
    } catch (error) {
      this.#report(`${ids.length} entries could not be acknowledged and stay pending`, error);
    }
    for (const id of ids) this.#leaving.delete(id);
  }

  /** Creates a group again that has disappeared (flush, fail-over, eviction), from the start of the stream. */
  async #recreated(error: unknown): Promise<boolean> {
    if (!messageOf(error).startsWith('NOGROUP') || this.#stopped) return false;
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

  /** Gives back what was not started, and removes a consumer with a made-up name that has nothing pending. Where that fails, other consumers do both later. */
  async #leave(unstarted: readonly Delivery[]): Promise<void> {
    const left = [...unstarted, ...this.#feed.drain()].map(({ id, count }) => ({
      id: id as string,
      count: count - 1,
    }));
    if (left.length > 0 && !this.#options.noAck)
      await handBack(this.#client, this.#claimsOptions(), left);
    if (this.#options.consumer !== undefined) return;
    if ((await this.#pending('-', '+', 1)).length > 0) return;
    await this.#client.xgroup('DELCONSUMER', this.#key, this.#group, this.#consumer);
  }
}
