import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import { PARKED, idAfter, type Report } from '../source.ts';
import type { Timings } from '../timings.ts';
import { removeGone } from './group-admin.ts';
import { CLAIM, RENEW } from './group-scripts.ts';
import type { Send } from './script.ts';
import {
  entries,
  idOf,
  pendingRows,
  type ConsumerRow,
  type Entry,
  type PendingRow,
} from './replies.ts';

/** Ids in one script that renews, and rows of one XPENDING. */
const CHUNK = 200;
/** Idle time of an entry that was given back, in milliseconds: above every sensible `minIdle`. */
export const GIVEN_BACK = 86_400_000;
/** The highest id that a stream can have: reading our pending entries after it finds none. */
const LAST_ID = '18446744073709551615-18446744073709551614';
/** Leases are renewed, and stale entries looked for, at least this often, however long `minIdle` is. */
const MAX_RENEWAL = 60_000;

/** XREADGROUP that finds nothing at once: it makes the consumer where it is missing, and is a sign of life. */
export function readNothing(key: string, group: string, consumer: string): (string | number)[] {
  return ['GROUP', group, consumer, 'COUNT', 1, 'STREAMS', key, LAST_ID];
}

export interface ClaimsOptions {
  readonly client: Redis;
  readonly key: string;
  readonly group: string;
  readonly consumer: () => string;
  /** Milliseconds after which another consumer may take over an entry that its own has not renewed; Infinity: never. */
  readonly minIdle: number;
  readonly report: Report;
  readonly timings: Timings;
  /** The ids that this consumer is handling. */
  readonly held: () => string[];
  /** Whether this consumer has the entry in hand. */
  readonly isHeld: (id: string) => boolean;
  /** Sends a command on the reading connection. */
  readonly run: Send;
  /** Called with the group's consumers after each scan. */
  readonly onConsumers: (rows: readonly ConsumerRow[]) => Promise<void>;
}

/** An entry that was taken over, and how often it has been delivered, this time included. */
export interface Claimed {
  readonly entry: Entry;
  readonly count: number;
}

/**
 * How entries of a dead consumer reach another one: each consumer renews the entries that it is
 * handling, and takes over those that nobody has renewed for `minIdle`. After an outage each renews
 * first, and waits until the others can have renewed before it takes over.
 */
export class Claims {
  readonly #options: ClaimsOptions;
  readonly #interval: number;
  /** Where the scan under way goes on; undefined between two scans. */
  #cursor: string | undefined;
  /** The idle time that the scan under way looks for. */
  #idle: number = GIVEN_BACK;
  /** When the next scan for stale entries is due. */
  #next: number;
  /** Whether somebody may have given back entries. */
  #noticed = true;
  #supported = true;
  /** When the server was last told that this consumer lives, though it holds nothing. */
  #signed = monotonicTime();
  /** Since when the server has not been heard of. */
  #lostAt: number | undefined;
  readonly #renewing: NodeJS.Timeout;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    const { minIdle, timings } = options;
    this.#interval = Math.min(timings.claimMax, Math.max(timings.claimMin, minIdle / 2));
    // A consumer that starts after an outage waits for the others, too.
    this.#next = monotonicTime() + Math.min(minIdle, timings.expiry);
    const renewal = Math.min(MAX_RENEWAL, Math.max(1, minIdle / 3));
    this.#renewing = setInterval(() => void this.#renew(), renewal).unref();
  }

  /** Milliseconds until the next look for entries; 0 or less when it is due. */
  get wait(): number {
    if (!this.#supported) return Infinity;
    return this.#cursor === undefined && !this.#noticed ? this.#next - monotonicTime() : 0;
  }

  /** Whether a scan is under way, and should not wait for new entries. */
  get isScanning(): boolean {
    return this.#cursor !== undefined;
  }

  /** Entries were given back: they are looked for at once. */
  notice(): void {
    this.#noticed = true;
  }

  /** The server has answered a command that was sent at `sent` and allowed to wait for `block` milliseconds. */
  heard(sent: number, block: number): void {
    const { minIdle, timings } = this.#options;
    const now = monotonicTime();
    const away = now - (this.#lostAt ?? sent + block);
    this.#lostAt = undefined;
    if (away < Math.max(100, minIdle / 3)) return;
    // Others may not be connected again, and have had no chance to renew what they hold.
    const grace = Math.min(away, timings.reconnectMax) + Math.min(minIdle, timings.grace);
    this.#next = Math.max(this.#next, now + grace);
    if (this.#idle < GIVEN_BACK) this.#cursor = undefined;
    void this.#renew();
  }

  /** A command that was sent at `sent` has found no server. */
  lost(sent: number): void {
    this.#lostAt ??= sent;
  }

  /** One step of the scan: up to `max` entries that are ours from now on (XPENDING with IDLE, Redis 6.2, and XCLAIM). */
  async step(max: number): Promise<Claimed[]> {
    const { key, group, isHeld, run, report } = this.#options;
    if (this.#cursor === undefined) {
      this.#idle = this.#next <= monotonicTime() ? this.#options.minIdle : GIVEN_BACK;
      this.#noticed = false;
      this.#cursor = '-';
    }
    const idle = Math.ceil(Math.min(this.#idle, GIVEN_BACK));
    try {
      const page = [key, group, 'IDLE', idle, this.#cursor, '+', Math.max(max, CHUNK)];
      const rows = pendingRows((await run('xpending', page)) ?? []);
      // After an outage this scan is over: what it found may be in hand.
      if (this.#cursor === undefined) return [];
      const free = rows.filter(({ id, consumer }) => consumer !== PARKED && !isHeld(id));
      const chosen = free.slice(0, max);
      const last = chosen.length < free.length ? chosen.at(-1) : rows.at(-1);
      const isLast = chosen.length === free.length && rows.length < Math.max(max, CHUNK);
      if (isLast || last === undefined) this.#end();
      else this.#cursor = idAfter(last.id);
      if (chosen.length === 0) return [];
      const reply = await this.#take(idle, chosen);
      const counts = new Map(chosen.map(({ id, count }) => [id, count + 1]));
      return entries(reply)
        .filter((entry) => entry !== null && entry[1] !== null)
        .map((entry) => ({ entry, count: counts.get(idOf(entry)) ?? 2 }));
    } catch (error) {
      if (!/syntax error/.test(messageOf(error))) throw error;
      this.#supported = false;
      this.#cursor = undefined;
      report('entries of dead consumers are not taken over before Redis 6.2', error);
      return [];
    }
  }

  #take(idle: number, rows: readonly PendingRow[]): Promise<unknown> {
    const { client, key, group, consumer, run } = this.#options;
    // The first delivery is counted now, as XREADGROUP counts it; the others when they begin.
    const pairs = rows.flatMap(({ id, count }) => [id, Math.max(1, count)]);
    return CLAIM.run(client, [key], [group, consumer(), idle, ...pairs], run);
  }

  close(): void {
    clearInterval(this.#renewing);
  }

  #end(): void {
    this.#cursor = undefined;
    if (this.#idle >= GIVEN_BACK && this.#next > monotonicTime()) return;
    // Consumers of one group that started together should not all scan at once.
    this.#next = monotonicTime() + this.#interval * (0.9 + Math.random() * 0.2);
    // Not awaited: it uses the command connection, whose errors must not fail this read.
    void this.#cleanUp();
  }

  /** Before Redis 7.2 a read that finds nothing is no sign of life; this one is. */
  async #giveSign(): Promise<void> {
    const { client, key, group, consumer } = this.#options;
    this.#signed = monotonicTime();
    await client.call('XREADGROUP', ...readNothing(key, group, consumer()));
  }

  async #cleanUp(): Promise<void> {
    const { client, key, group, minIdle, report, timings, onConsumers, consumer } = this.#options;
    const self = consumer();
    const idle = Math.max(Math.min(minIdle, MAX_RENEWAL), 4 * timings.claimMax);
    try {
      await this.#giveSign();
      await onConsumers(await removeGone(client, key, group, idle, self));
    } catch (error) {
      if (!messageOf(error).startsWith('NOGROUP') && client.status === 'ready')
        report('consumers that are gone could not be removed', error);
    }
  }

  /**
   * XCLAIM … JUSTID resets the idle time and counts no delivery; entries that are others' by now are left
   * to them. One that holds nothing and does not read, since it is paused, gives a sign of life.
   */
  async #renew(): Promise<void> {
    const { client, key, group, consumer, held, report, timings } = this.#options;
    // Without a connection the next round renews them.
    if (client.status !== 'ready') return;
    const ids = held();
    if (ids.length === 0 && monotonicTime() - this.#signed > 2 * timings.claimMax)
      // Where it is refused, the next read says why.
      return this.#giveSign().catch(() => undefined);
    try {
      for (let i = 0; i < ids.length; i += CHUNK)
        await RENEW.run(client, [key], [group, consumer(), ...ids.slice(i, i + CHUNK)]);
    } catch (error) {
      // The transport has been closed.
      if ((client.status as string) === 'end') return;
      report(
        'entries of running handlers could not be renewed, other consumers may take them over',
        error,
      );
    }
  }
}
