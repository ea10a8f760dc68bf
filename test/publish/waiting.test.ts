// Publishing while Redis is away: how long it waits, what is sent in the end, and that what waits is bounded.
import { OverloadedError, SendError, SetupError, event, type RedisBroker } from 'redstart';
import { testBroker } from 'redstart/testing';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { MAX_WAITING } from '../../src/transport/outbox.ts';
import { newBroker } from '../support/broker.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const rejection = (sent: Promise<unknown>): Promise<Error> =>
  sent.then(
    () => Promise.reject(new Error('it did not reject')),
    (error: Error) => error,
  );

/** A broker that is connected to Redis through a proxy which then lets nothing through. */
async function cutOff(): Promise<{ broker: RedisBroker; heal(): void }> {
  const proxy = await FaultProxy.to(Number(new URL(redisUrl()).port));
  const broker = newBroker(proxy.url);
  await broker.connect();
  proxy.cutOff();
  await expect.poll(() => (broker.client as { status: string }).status).not.toBe('ready');
  return { broker, heal: () => proxy.heal() };
}

describe('a publish while Redis is away', () => {
  it('rejects at its timeout, says for how long Redis is away, and is never sent', async () => {
    const { broker, heal } = await cutOff();
    const list = unique();
    const error = await rejection(broker.publish('late', { list, timeout: 30 }));
    expect(error).toBeInstanceOf(SendError);
    expect(error.message).toMatch(
      /cannot send to list '.*': no confirmation within 30 ms \(not connected to Redis for \d+ ms\): it is not sent/,
    );
    const once = rejection(broker.publish('late', { list, timeout: 30, id: 'order-7' }));
    expect((await once).message).toContain('it is not sent');
    const waiting = broker.publish('in time', { list, timeout: 20_000 });
    heal();
    expect(await waiting).toBe(1);
    expect(await rawClient().lrange(list, 0, -1)).toHaveLength(1);
  });

  it('rejects with the reason of its signal, and is never sent', async () => {
    const { broker, heal } = await cutOff();
    const list = unique();
    const cancel = new AbortController();
    const placed = event({ list }, { schema: z.string() });
    const sent = rejection(broker.publish('a', placed, { signal: cancel.signal }));
    const order = rejection(broker.publisher({ list }).publish('b', { signal: cancel.signal }));
    const reason = new Error('no longer needed');
    cancel.abort(reason);
    expect(await sent).toBe(reason);
    expect(await order).toBe(reason);
    heal();
    expect(await broker.publish('c', { list })).toBe(1);
    const aborted = broker.publish('d', { list, signal: AbortSignal.abort(reason) });
    expect(await rejection(aborted)).toBe(reason);
  });

  it('is sent when Redis is back, in order, batches and pipelines among the rest', async () => {
    const { broker, heal } = await cutOff();
    const list = unique();
    const sent: Promise<unknown>[] = [];
    const send = async (one: Promise<unknown>): Promise<void> => {
      sent.push(one);
      await new Promise(setImmediate); // a batch is made in several steps
    };
    await send(broker.publishBatch([1, 2], { list }));
    await send(broker.pipeline().publish(3, { list }).publish(4, { list }).send());
    sent.push(broker.publish(5, { list, timeout: 20_000 }), broker.publish(6, { list }));
    // It asks for the type of the list first: what is sent at the same moment comes before it.
    const together = { transaction: true };
    await send(broker.pipeline(together).publish(7, { list }).publish(8, { list }).send());
    heal();
    expect(await Promise.all(sent)).toEqual([2, [3, 4], 5, 6, [7, 8]]);
    const frames = await rawClient().lrange(list, 0, -1);
    expect(frames.map((frame) => frame.at(-1))).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
  });

  it('a call that times out says that Redis is away, and its request is never sent', async () => {
    const { broker, heal } = await cutOff();
    const list = unique();
    const error = await rejection(broker.publish(1, { list, rpc: true, timeout: 30 }));
    expect(error).toMatchObject({ code: 'RPC_TIMEOUT' });
    expect(error.message).toMatch(/: the connection to Redis has been down for \d+ ms$/);
    heal();
    expect(await broker.publish(2, { list })).toBe(1);
    takeLogs(); // that Redis was away
  });

  it(`rejects with OverloadedError where ${MAX_WAITING} messages wait already; those given up make room`, async () => {
    const { broker, heal } = await cutOff();
    const list = unique();
    const cancel = new AbortController();
    const { signal } = cancel;
    const bodies = Array.from({ length: 1_000 }, () => 'x');
    const first = rejection(broker.publish('x', { list, signal }));
    const rest = rejection(broker.publish('x', { list, signal }));
    const batches = Array.from({ length: 65 }, () => broker.publishBatch(bodies, { list }));
    await Promise.resolve();
    const full = await rejection(broker.publishBatch(bodies, { list }));
    expect(full).toBeInstanceOf(OverloadedError);
    expect(full.message).toMatch(/65002 messages wait for the connection to Redis already/);
    cancel.abort();
    await Promise.all([first, rest]);
    heal();
    await Promise.all(batches);
    const client = rawClient();
    expect(await client.llen(list)).toBe(65_000);
    await client.del(list);
  });

  it('waits in memory as it does with Redis, in time that a test moves', async () => {
    const broker = newBroker('redis://localhost:1');
    await using test = await testBroker(broker);
    test.disconnect();
    const given = rejection(broker.publish('late', { list: 'jobs', timeout: 5_000 }));
    const kept = broker.publish('kept', { list: 'jobs' });
    await test.advance(5_000);
    expect((await given).message).toMatch(/not connected to Redis for 500\d ms\): it is not sent/);
    await test.reconnect();
    expect(await kept).toBe(1);
  });

  it('its timeout counts connecting, too', async () => {
    const silent = createServer(() => undefined);
    silent.listen(0, '127.0.0.1');
    onTestFinished(() => void silent.close());
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const broker = newBroker({ host: '127.0.0.1', port, connectTimeout: 20_000 });
    const error = await rejection(broker.publish('x', { list: unique(), timeout: 20 }));
    expect(error.message).toMatch(/no confirmation within 20 ms .*: it is not sent/);
  });
});

it.each([
  [{ timeout: -1 }, /'timeout' must be/],
  [{ timeout: '5' }, /'timeout' must be/],
  [{ signal: 5 }, /'signal' must be/],
])('a publish with %o is refused', async (options, says) => {
  const broker = newBroker(`memory://${unique()}`);
  const error = await rejection(broker.publish('x', { list: 'a', ...options } as never));
  expect(error).toBeInstanceOf(SetupError);
  expect(error.message).toMatch(says);
  const batch = broker.publishBatch(['x'], { list: 'a', timeout: 5 } as never);
  expect((await rejection(batch)).message).toMatch(/not an option of messages that are sent tog/);
});
