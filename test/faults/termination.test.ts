// A process that is told to end while it works: SIGTERM calls `broker.stop()`, as docs/delivery.md shows.
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { heldUp } from '../support/held-up.ts';
import { startProgram } from './child.ts';

/** Far more than is handled before this test has sent its signal, on a busy machine, too. */
const TOTAL = 1_500;
const numbers = Array.from({ length: TOTAL }, (_, n) => String(n));
const inOrder = (items: readonly string[]): string[] =>
  items.toSorted((a, b) => Number(a) - Number(b));

it(
  'ended by SIGTERM under load, it finishes what it has begun, returns what it has fetched, and loses nothing',
  { timeout: 120_000 },
  async () => {
    const [prefix, client] = [unique('term'), rawClient()];
    const broker = newBroker(redisUrl());
    await broker.publishBatch(numbers, { list: `${prefix}:list` });
    await broker.publishBatch(numbers, { stream: `${prefix}:group` });
    const child = await startProgram('draining', [redisUrl(), prefix, '50']);
    expect(await child.next()).toBe('ready');
    await eventually(async () => {
      expect(await client.llen(`${prefix}:handled:list`)).toBeGreaterThan(20);
      expect(await client.llen(`${prefix}:handled:group`)).toBeGreaterThan(20);
    });
    const [began, held] = [performance.now(), heldUp()];
    const ended = once(child.process, 'exit');
    child.process.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    // Its handlers take 50 ms; a busy machine adds to that.
    expect(performance.now() - began - held()).toBeLessThan(10_000);

    const handled = async (what: string): Promise<string[]> =>
      client.lrange(`${prefix}:handled:${what}`, 0, -1);
    for (const what of ['list', 'group']) {
      expect(await handled(what)).toEqual(await client.lrange(`${prefix}:started:${what}`, 0, -1));
    }
    // The list: what was not begun is there again, where it was, in order.
    const rest: string[] = [];
    broker.subscriber({ list: `${prefix}:list` }, (body) => void rest.push(String(body)));
    // The group: what was not begun is delivered to whoever comes next.
    const others: string[] = [];
    const group = { stream: `${prefix}:group`, group: 'g' };
    broker.subscriber(group, (body) => void others.push(String(body)));
    const [listed, grouped] = [await handled('list'), await handled('group')];
    expect(listed.length).toBeLessThan(TOTAL);
    expect(grouped.length).toBeLessThan(TOTAL);
    await broker.start();
    await eventually(() => expect(rest).toHaveLength(TOTAL - listed.length));
    expect(rest).toEqual(inOrder(rest));
    expect(inOrder([...listed, ...rest])).toEqual(numbers);
    await eventually(() => expect(others).toHaveLength(TOTAL - grouped.length));
    expect(inOrder([...grouped, ...others])).toEqual(numbers);
    await eventually(async () => {
      expect(((await client.xpending(`${prefix}:group`, 'g')) as [number])[0]).toBe(0);
    });
  },
);

it(
  'told a second time, it ends at once, and a group delivers what it was handling to another',
  { timeout: 120_000 },
  async () => {
    const [prefix, client] = [unique('term'), rawClient()];
    const broker = newBroker(redisUrl());
    await broker.publishBatch(['1', '2'], { stream: `${prefix}:group` });
    // A handler that would take longer than anybody waits.
    const child = await startProgram('draining', [redisUrl(), prefix, '60000']);
    expect(await child.next()).toBe('ready');
    await eventually(async () => {
      expect(await client.llen(`${prefix}:started:group`)).toBe(2);
    });
    const ended = once(child.process, 'exit');
    child.process.kill('SIGTERM');
    // Two signals that are sent before a process has seen one are one signal.
    expect(await child.next()).toBe('told');
    // That it goes on working after the first signal can only be seen by waiting.
    const isEarly = await Promise.race([
      ended.then(() => true),
      new Promise((resolve) => setTimeout(resolve, 500, false)),
    ]);
    expect(isEarly).toBe(false);
    const [began, held] = [performance.now(), heldUp()];
    child.process.kill('SIGTERM');
    expect(await ended).toEqual([null, 'SIGTERM']);
    // Far from the minute that its handlers would take, on a busy machine, too.
    expect(performance.now() - began - held()).toBeLessThan(10_000);
    const seen: string[] = [];
    const group = { stream: `${prefix}:group`, group: 'g', claim: { minIdle: 1_000 } };
    broker.subscriber(group, (body) => void seen.push(String(body)));
    await broker.start();
    await eventually(() => expect(inOrder(seen)).toEqual(['1', '2']));
  },
);
