import type { RedisBroker } from 'redstart';
import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import type { LogLine } from '../support/logs.ts';
import { startProgram } from './child.ts';

interface Counts {
  started: number;
  finished: number;
}

/** Counts for ever on the channel `numbers`. */
async function counter(service: RedisBroker): Promise<Counts> {
  const counts: Counts = { started: 0, finished: 0 };
  service.subscriber({ channel: 'numbers', concurrency: 10 }, async function* () {
    counts.started++;
    try {
      for (let n = 1; ; n++) yield n;
    } finally {
      counts.finished++;
    }
  });
  await service.start();
  return counts;
}

/** Reads until the stream ends, and does something at item 1 000. Returns how it ended. */
async function read(client: RedisBroker, atThousand: () => unknown): Promise<string> {
  let count = 0;
  let isInOrder = true;
  const stream = client.requestMany<number>(1, { channel: 'numbers', itemTimeout: 40_000 });
  try {
    for await (const item of stream) {
      isInOrder &&= item === ++count;
      if (count === 1_000) await atThousand();
    }
    return 'ended';
  } catch (error) {
    return isInOrder ? (error as Error).name : 'not in order';
  }
}

// The first connection of a broker carries commands, the second answers; where it has subscribers of
// channels, the third is for these.
const second = (index: number): boolean => index === 1;
const third = (index: number): boolean => index === 2;

it.concurrent.for([
  ['all connections of the caller are cut', true, (proxy: FaultProxy) => proxy.cut()],
  ['the caller’s answers are cut', true, (proxy: FaultProxy) => proxy.cut(second)],
  ['all connections of the caller are half-open', true, (proxy: FaultProxy) => proxy.halfOpen()],
  ['all connections of the responder are cut', false, (proxy: FaultProxy) => proxy.cut()],
  ['the responder’s answers are cut', false, (proxy: FaultProxy) => proxy.cut(second)],
  [
    'all connections of the responder are half-open',
    false,
    (proxy: FaultProxy) => proxy.halfOpen(),
  ],
] as const)(
  'a stream in whose middle %s breaks for its reader, and its generator finishes',
  { timeout: 180_000 },
  async ([, isCallers, strike], { own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const near = own.broker(proxy.url, { logger: false });
    const far = own.broker(server.url, { logger: false });
    const [service, client] = isCallers ? [far, near] : [near, far];
    const counts = await counter(service);
    expect(await read(client, () => strike(proxy))).toBe('StreamBrokenError');
    await eventually(() => counts.finished === 1, 50_000);
    expect(client.stats.pendingCalls).toBe(0);
  },
);

it.concurrent('a server that is away until the answer of a failed stream is given up ends nothing, and the stream’s place is free', async ({
  own,
}) => {
  const server = await own.server();
  const proxy = await own.proxy(server.port);
  // A command is given up after one attempt to connect, and not after 20 of them, which take 28 s.
  const impatient = { retryStrategy: () => 50, maxRetriesPerRequest: 1, connectTimeout: 20_000 };
  const service = own.broker({ host: '127.0.0.1', port: proxy.port, ...impatient });
  let fail: (() => void) | undefined;
  const seen: unknown[] = [];
  service.subscriber({ list: 'numbers' }, async function* (body: unknown) {
    seen.push(body);
    yield 1;
    if (body === 'first') await new Promise<void>((resolve) => (fail = resolve));
    throw new RangeError('on purpose');
  });
  await service.start();
  const caller = own.broker(server.url);
  const items = caller.requestMany('first', { list: 'numbers' });
  expect(await items.next()).toMatchObject({ value: 1 });
  proxy.cutOff();
  await eventually(() => service.client.status !== 'ready');
  fail?.();
  const logs: LogLine[] = [];
  await eventually(() => {
    logs.push(...own.takeLogs());
    const texts = logs.map(({ message, error }) => `${message}: ${String(error)}`);
    expect(texts.join('\n')).toMatch(/MaxRetriesPerRequest/);
  });
  proxy.heal();
  // One that begins before all connections of the responder are there again is broken by the last of them.
  await eventually(async () => {
    const again = caller.requestMany('second', { list: 'numbers', itemTimeout: 5_000 });
    expect(await again.next()).toMatchObject({ value: 1 });
    await expect(again.next()).rejects.toMatchObject({ remoteName: 'RangeError' });
  }, 50_000);
  expect(seen.filter((body) => body === 'first')).toHaveLength(1);
  await caller.stop();
  await service.stop();
  own.takeLogs();
}, 120_000);

it.concurrent('a stream goes on where the responder’s channels are cut in its middle', async ({
  own,
}) => {
  const server = await own.server();
  const proxy = await own.proxy(server.port);
  const service = own.broker(proxy.url, { logger: false });
  const client = own.broker(server.url, { logger: false });
  await counter(service);
  const items: number[] = [];
  for await (const item of client.requestMany<number>(1, { channel: 'numbers' })) {
    items.push(item);
    if (item === 1_000) proxy.cut(third);
    if (item === 5_000) break;
  }
  expect(items).toEqual(Array.from({ length: 5_000 }, (_, i) => i + 1));
});

it.concurrent(
  'streams whose subscriptions are killed on both sides break; none hangs, and every generator finishes',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const raw = own.client(server.url);
    const service = own.broker(server.url, { logger: false });
    const client = own.broker(server.url, { logger: false });
    const counts = await counter(service);
    const ends: Record<string, number> = {};
    for (let round = 0; round < 30; round++) {
      const end = await read(client, () => raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
      ends[end] = (ends[end] ?? 0) + 1;
      // The service may not be subscribed again yet.
      await eventually(async () => (await raw.pubsub('NUMSUB', 'numbers'))[1] === 1);
    }
    expect(ends).toEqual({ StreamBrokenError: 30 });
    await eventually(() => counts.finished === counts.started, 50_000);
    expect(client.stats.pendingCalls).toBe(0);
  },
);

it.concurrent.for(['stream', 'stalled-stream'])(
  'killing the caller’s process (%s) stops the generator',
  { timeout: 180_000 },
  async (how, { own }) => {
    const server = await own.server();
    const counts = await counter(own.broker(server.url, { logger: false }));
    const place = JSON.stringify({ channel: 'numbers' });
    const child = await startProgram('abandon', [server.url, how, place, 'null'], own.finished);
    expect(await child.next()).toEqual({ read: 100 });
    expect(counts.finished).toBe(0);
    await child.kill();
    await eventually(() => counts.finished === 1, 50_000);
  },
);
