// What the fault tests share: one echo on each structure, and a tally of how calls ended.
import type { Destination, RedisBroker } from 'redstart';
import { heldUp } from '../support/held-up.ts';
import { unique } from '../support/redis.ts';

export type Structure = 'channel' | 'list' | 'stream';
export const STRUCTURES: readonly Structure[] = ['channel', 'list', 'stream'];

/** Where to send, for each structure. */
export type Places = Record<Structure, Destination>;

/**
 * How calls may end while connections break. Redis delivers on channels and lists at most once:
 * what was on a broken connection may be gone. A channel without a subscriber says so.
 */
export const MAY_END: Record<Structure, readonly string[]> = {
  channel: ['value', 'NoRespondersError', 'RpcTimeoutError'],
  list: ['value', 'RpcTimeoutError'],
  stream: ['value'],
};

/** Subscribes one handler to a channel, a list and a stream group. */
export function everywhere(
  service: RedisBroker,
  handler: (body: unknown) => unknown,
  concurrency = 50,
): Places {
  const name = unique('fault');
  service.subscriber({ channel: `${name}:c`, concurrency }, handler);
  service.subscriber({ list: `${name}:l`, concurrency }, handler);
  service.subscriber({ stream: `${name}:s`, group: 'g', concurrency }, handler);
  return {
    channel: { channel: `${name}:c` },
    list: { list: `${name}:l` },
    stream: { stream: `${name}:s` },
  };
}

export interface Tally {
  /** How many ended in each way: `value`, `wrong`, or an error's name. */
  readonly ended: Record<string, number>;
  /** How many of the second half ended by value: none where a service never came back. */
  readonly lateValues: number;
  /** Milliseconds that the slowest took, without those for which this process was held up meanwhile. */
  readonly slowest: number;
}

/** Makes `total` calls, `width` at a time, each with its number; counts how they ended. */
export async function callMany(
  total: number,
  width: number,
  call: (n: number) => Promise<unknown>,
): Promise<Tally> {
  const ended: Record<string, number> = {};
  let slowest = 0;
  let lateValues = 0;
  let next = 0;
  const held = heldUp();
  const count = (how: string): void => void (ended[how] = (ended[how] ?? 0) + 1);
  const worker = async (): Promise<void> => {
    while (next < total) {
      const n = ++next;
      const started = performance.now();
      const heldBefore = held();
      try {
        const value = await call(n);
        count(value === n ? 'value' : 'wrong');
        if (value === n && n > total / 2) lateValues++;
      } catch (error) {
        count((error as Error).name);
      }
      slowest = Math.max(slowest, performance.now() - started - (held() - heldBefore));
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return { ended, lateValues, slowest };
}

/**
 * Strikes at connections again and again, but not before a call that was made after the last time
 * has ended by value: on a busy machine connections would otherwise never stand long enough.
 */
export class Strikes {
  /** How often it has struck. */
  count = 0;
  #stands = true;
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number, strike: () => void) {
    this.#timer = setInterval(() => {
      if (!this.#stands) return;
      this.#stands = false;
      this.count++;
      strike();
    }, ms);
  }

  /** Watches a call. */
  async watch(calling: Promise<unknown>): Promise<unknown> {
    const before = this.count;
    const value = await calling;
    if (this.count === before) this.#stands = true;
    return value;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
