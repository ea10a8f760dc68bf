import type { Redis } from 'ioredis';
import { monotonicTime } from '../../internal/clock.ts';
import { PARKED } from '../source.ts';
import type { Timings } from '../timings.ts';
import { FIND_PARKED, UNPARK } from './group-scripts.ts';
import { entriesUnparked, type ConsumerRow, type Entry } from './replies.ts';
import type { Send } from './script.ts';

export interface ParkedOptions {
  readonly client: Redis;
  readonly timings: Timings;
  /** The stream. */
  readonly key: string;
  /** Where the due times are. */
  readonly parkedKey: string;
  readonly group: string;
  readonly consumer: () => string;
  /** Sends a command on the reading connection. */
  readonly run: Send;
}

/** The entries of a group that wait on the server for their next delivery, whoever parked them. */
export class Parked {
  readonly #options: ParkedOptions;
  /** When to look for them. */
  #due = 0;

  constructor(options: ParkedOptions) {
    this.#options = options;
  }

  /** Milliseconds until the next look; 0 or less when it is due. */
  get wait(): number {
    return this.#due - monotonicTime();
  }

  /** Looks whether there is any, for the first time. */
  async begin(): Promise<void> {
    const { client, parkedKey, timings } = this.#options;
    const parked = await client.zrange(parkedKey, '0', '0');
    if (parked.length === 0) this.#due = monotonicTime() + timings.parkedLook;
  }

  /** An entry that was parked is due in so many milliseconds. */
  dueIn(delay: number): void {
    const { parkedLook } = this.#options.timings;
    this.#due = Math.min(this.#due, monotonicTime() + Math.min(delay, parkedLook));
  }

  /** Takes what is due, up to `max`. */
  async take(max: number): Promise<readonly [entry: Entry, count: number][]> {
    const { client, timings, key, parkedKey, group, consumer, run } = this.#options;
    const some = (await run('zrange', [parkedKey, 0, 0])) as unknown[] | null;
    this.#due = monotonicTime() + timings.parkedLook;
    if (some === null || some.length === 0) return [];
    const args = [group, consumer(), PARKED, max];
    const { due, taken } = entriesUnparked(await UNPARK.run(client, [key, parkedKey], args, run));
    if (due !== undefined) this.dueIn(due);
    return taken;
  }

  /** The due times are a key that may be lost (eviction): then what is parked is due now. */
  readonly find = async (rows: readonly ConsumerRow[]): Promise<void> => {
    const { client, timings, key, parkedKey, group } = this.#options;
    const pending = rows.find(({ name }) => name === PARKED)?.pending ?? 0;
    if (pending === 0) return;
    const args = [group, PARKED, timings.keyLife];
    if (Number(await FIND_PARKED.run(client, [key, parkedKey], args)) > 0) this.#due = 0;
  };
}
