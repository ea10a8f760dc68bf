import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import type { Report } from '../source.ts';
import type { Timings } from '../timings.ts';
import { removeGone } from './group-admin.ts';
import { entriesClaimed, type Entry } from './replies.ts';
import type { BlockingReader } from './blocking-reader.ts';

/** Ids in one XCLAIM. */
const CHUNK = 1_000;

export interface ClaimsOptions {
  readonly client: Redis;
  readonly key: string;
  readonly group: string;
  readonly consumer: string;
  /** Milliseconds after which another consumer may take over an entry that its own has not renewed. */
  readonly minIdle: number;
  readonly report: Report;
  readonly timings: Timings;
}

/**
 * How entries of a dead consumer reach another one: each consumer renews the entries that it is
 * handling, and takes over those that nobody has renewed for `minIdle`.
 */
export class Claims {
  readonly #options: ClaimsOptions;
  readonly #interval: number;
  /** The cursor of the scan under way; undefined between two scans. */
  #cursor: string | undefined;
  #next = 0;
  #supported = true;
  readonly #renewing: NodeJS.Timeout;

  /** `held` returns the ids that this consumer is handling. */
  constructor(options: ClaimsOptions, held: () => Iterable<string>) {
    this.#options = options;
    const { claimMin, claimMax } = options.timings;
    this.#interval = Math.min(claimMax, Math.max(claimMin, options.minIdle / 2));
    this.#renewing = setInterval(() => void this.#renew([...held()]), options.minIdle / 3).unref();
  }

  /** Milliseconds until the next look for stale entries; 0 or less when it is due. */
  get wait(): number {
    if (!this.#supported) return Infinity;
    return this.#cursor === undefined ? this.#next - monotonicTime() : 0;
  }

  /** Whether a scan is under way, and should not wait for new entries. */
  get isScanning(): boolean {
    return this.#cursor !== undefined;
  }

  /** One step of the scan: up to `max` entries that are ours from now on (XAUTOCLAIM, Redis 6.2). */
  async step(reader: BlockingReader, max: number): Promise<Entry[]> {
    const { key, group, consumer, minIdle } = this.#options;
    const args = [key, group, consumer, minIdle, this.#cursor ?? '0-0', 'COUNT', max];
    try {
      const reply = entriesClaimed(await reader.run('xautoclaim', args));
      if (reply === undefined) return [];
      const { cursor, claimed } = reply;
      // Not awaited: it uses the command connection, whose errors must not fail this read.
      if (cursor === '0-0') void this.#finish();
      else this.#cursor = cursor;
      return claimed;
    } catch (error) {
      if (!messageOf(error).includes('unknown command')) throw error;
      this.#supported = false;
      this.#options.report('entries of dead consumers are not taken over before Redis 6.2', error);
      return [];
    }
  }

  close(): void {
    clearInterval(this.#renewing);
  }

  async #finish(): Promise<void> {
    this.#cursor = undefined;
    // Consumers of one group that started together should not all scan at once.
    this.#next = monotonicTime() + this.#interval * (0.9 + Math.random() * 0.2);
    const { client, key, group, minIdle, report, timings } = this.#options;
    try {
      await removeGone(client, key, group, Math.max(minIdle, timings.claimMax));
    } catch (error) {
      report('consumers that are gone could not be removed', error);
    }
  }

  /** XCLAIM … JUSTID resets the idle time and counts no delivery; entries acknowledged meanwhile are ignored. */
  async #renew(ids: string[]): Promise<void> {
    const { client, key, group, consumer, report } = this.#options;
    // Without a connection the next round renews them.
    if (client.status !== 'ready') return;
    try {
      for (let i = 0; i < ids.length; i += CHUNK) {
        await client.xclaim(key, group, consumer, 0, ...ids.slice(i, i + CHUNK), 'JUSTID');
      }
    } catch (error) {
      report('entries in hand could not be renewed, other consumers may take them over', error);
    }
  }
}
