import { expect, it } from 'vitest';
import { isLong } from '../support/long.ts';
import { ownServer } from '../support/redis.ts';
import { startProgram } from './child.ts';

const ITEMS = isLong ? 1_000_000 : 200_000;
const WINDOW = 64;
const TEN_MEGABYTES = 10 * 2 ** 20;

interface Report {
  readonly read: number;
  readonly lead: number;
  readonly isInOrder: boolean;
  readonly finished: number;
  /** Bytes at each tenth. */
  readonly heaps: number[];
  readonly pending: number;
}

it(
  `${ITEMS} items to a slow reader: the producer is never more than a window ahead, and memory stays as it was`,
  { timeout: 300_000 },
  async () => {
    const server = await ownServer();
    const child = await startProgram('streaming', [server.url, String(ITEMS), String(WINDOW)]);
    const started = performance.now();
    const { heaps, lead, ...rest } = (await child.next()) as Report;
    const megabytes = heaps.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(' ');
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    process.stderr.write(`${ITEMS} items in ${seconds} s: lead ${lead}, MB ${megabytes}\n`);
    expect(rest).toEqual({ read: ITEMS, isInOrder: true, finished: 1, pending: 0 });
    expect(lead).toBeLessThanOrEqual(WINDOW);
    expect(lead).toBeGreaterThan(WINDOW / 4); // the producer did run ahead
    expect(heaps).toHaveLength(10);
    // The first tenth warms up.
    const settled = heaps.slice(1);
    expect(Math.max(...settled) - Math.min(...settled)).toBeLessThan(TEN_MEGABYTES);
  },
);
