import { expect, it, onTestFinished } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { hanging } from '../support/hanging.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';
import { consumer, handledBy, listen } from './consumers.ts';

it('what a killed consumer had in hand is handled by another after claim.minIdle', async () => {
  const stream = unique();
  const address = { stream, group: 'g', concurrency: 5, claim: { minIdle: 1_000 } };
  const broker = newBroker(redisUrl());
  const dying = await consumer(address, 'slow');
  await broker.publishBatch([60_000, 60_001, 60_002], { stream });
  for (let n = 0; n < 3; n++) await dying.next(); // began
  await dying.kill();
  const heir = listen(await consumer(address, 'work'));
  await eventually(() =>
    expect(new Set(handledBy(heir))).toEqual(new Set([60_000, 60_001, 60_002])),
  );
  expect(heir.find(({ began }) => began === 60_000)?.count).toBe(2);
});

it('two processes with one consumer name: what one has in hand comes to neither again, nor after both were cut off', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  const runs = new Map<unknown, number>();
  const { handler, end } = hanging();
  const services = [1, 2].map(() => {
    const service = newBroker(server.url, { logger: false });
    const from = { stream: 'n', group: 'g', consumer: '0', concurrency: 100 };
    service.subscriber(from, (body) => {
      runs.set(body, (runs.get(body) ?? 0) + 1);
      return handler();
    });
    return service;
  });
  onTestFinished(end); // before the brokers are stopped
  const send = async (from: number): Promise<void> => {
    const before = runs.size;
    for (let n = from; n < from + 10; n++) await client.xadd('n', '*', '__data__', String(n));
    await eventually(() => expect(runs.size).toBe(before + 10));
  };
  await services[0]?.start();
  await send(0);
  await services[1]?.start();
  await send(10);
  for (let round = 2; round < 4; round++) {
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes');
    // Both read again.
    await eventually(async () => expect(await client.info('clients')).toMatch(/blocked_clients:2/));
    await send(round * 10);
  }
  expect([...runs.values()]).toEqual(Array(40).fill(1));
});

it('a handler that runs for longer than claim.minIdle is not run twice', async () => {
  const stream = unique();
  // So long that a process which the system holds up for some seconds renews in time: it does after a third of it.
  const address = { stream, group: 'g', claim: { minIdle: 5_000 } };
  const broker = newBroker(redisUrl());
  const slow = listen(await consumer(address, 'slow'));
  await broker.publish(8_000, { stream });
  await eventually(() => expect(slow).toHaveLength(1));
  const other = listen(await consumer(address, 'work'));
  await eventually(() => expect(handledBy(slow)).toEqual([8_000]), 40_000);
  await broker.publish('marker', { stream });
  await eventually(() => expect([...handledBy(slow), ...handledBy(other)]).toContain('marker'));
  expect(other.filter(({ began }) => began === 8_000)).toEqual([]);
});

it(
  'a message that ends the process of each of its consumers is buried after maxDeliveries',
  { timeout: 60_000 },
  async () => {
    const [stream, dead] = [unique('poison'), unique('dead')];
    const address = {
      ...{ stream, group: 'g', claim: { minIdle: 300 } },
      ...{ retry: { maxDeliveries: 2 }, deadLetter: { stream: dead } },
    };
    const broker = newBroker(redisUrl());
    const id = await broker.publish('poison', { stream });
    for (let n = 1; n <= 2; n++) {
      const victim = await consumer(address, 'die');
      expect(await victim.next()).toEqual({ began: 'poison', count: n });
      await victim.kill();
    }
    const survivor = listen(await consumer(address, 'work'));
    const box = broker.deadLetters({ stream: dead });
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(await box.list()).toMatchObject([
      { body: 'poison', originId: id, errorCode: 'EXHAUSTED', deliveries: 2 },
    ]);
    expect(survivor).toEqual([]);
    const client = rawClient();
    await eventually(async () => {
      expect(((await client.xpending(stream, 'g')) as [number])[0]).toBe(0);
    });
  },
);

it('what was fetched and not started when a process gets SIGTERM is another’s at once', async () => {
  const stream = unique();
  // Far longer than the test: nothing here is claimed for being stale.
  const address = { stream, group: 'g', maxRecords: 20, claim: { minIdle: 600_000 } };
  const broker = newBroker(redisUrl());
  const bodies = Array.from({ length: 20 }, (_, n) => 500 + n);
  const first = await consumer(address, 'slow');
  await broker.publishBatch(bodies, { stream });
  const saidByFirst = listen(first);
  await eventually(() => expect(saidByFirst).not.toEqual([]));
  first.process.kill('SIGTERM');
  await first.ended();
  const second = listen(await consumer(address, 'work'));
  await eventually(() =>
    expect(new Set([...handledBy(saidByFirst), ...handledBy(second)])).toEqual(new Set(bodies)),
  );
  // Nothing twice, and nothing counted as delivered that was not started.
  expect(handledBy(saidByFirst).length + handledBy(second).length).toBe(20);
  expect(second.filter(({ count }) => count !== undefined && count !== 1)).toEqual([]);
});
