import { Redis } from 'ioredis';
import { ConnectionError, RedisBroker } from 'redstart';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { heldUp } from '../support/held-up.ts';
import { ownServer, redisUrl, unique } from '../support/redis.ts';
import { silentServer } from '../support/silent-server.ts';

/** What `promise` rejects with, and how long that took, but for the time in which this process was held up. */
async function failure(promise: Promise<unknown>): Promise<{ error: Error; took: number }> {
  const [began, held] = [performance.now(), heldUp()];
  const error = await promise.then(
    () => new Error('it did not reject'),
    (reason: Error) => reason,
  );
  return { error, took: performance.now() - began - held() };
}

describe('a server that is not there', () => {
  it('fails the start within connectTimeout, naming the address and the cause', async () => {
    const port = await freePort();
    const broker = newBroker(`redis://127.0.0.1:${port}`);
    broker.subscriber('anything', () => undefined);
    const { error, took } = await failure(broker.start());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toContain(`127.0.0.1:${port}`);
    expect(error.message).toMatch(/ECONNREFUSED|refused/i);
    expect(error).toMatchObject({ code: 'CONNECTION', address: `127.0.0.1:${port}` });
    expect(took).toBeLessThan(5_000);
  });

  it('fails a publish that would connect, too', async () => {
    const port = await freePort();
    const broker = newBroker(`redis://127.0.0.1:${port}`);
    const { error } = await failure(broker.publish(1, 'anything'));
    expect(error).toMatchObject({ code: 'CONNECTION' });
    expect(await broker.ping()).toBe(false);
  });

  it('that accepts and never answers fails the start within the connectTimeout given', async () => {
    const port = await silentServer();
    const broker = new RedisBroker(
      { host: '127.0.0.1', port, connectTimeout: 300 },
      { logger: false },
    );
    onTestFinished(() => broker.stop());
    const { error, took } = await failure(broker.start());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toContain(`127.0.0.1:${port}`);
    expect(took).toBeLessThan(2_800); // by default it would be 3 s
  });

  it('is connected to by a later start', async () => {
    const port = await freePort();
    const broker = newBroker(`redis://127.0.0.1:${port}`);
    broker.subscriber('later', () => 'here');
    await expect(broker.start()).rejects.toThrow(ConnectionError);
    await ownServer(['--port', String(port)]);
    await broker.start();
    expect(await broker.publish(1, { channel: 'later', rpc: true, timeout: 20_000 })).toBe('here');
    await broker.stop(); // before the server, which ends with the test
  });
});

describe('a server with a password', () => {
  it('that is wrong fails the start, says so, and does not repeat the password', async () => {
    const { port } = await ownServer(['--requirepass', 'right-one']);
    const broker = newBroker(`redis://:wrong-one@127.0.0.1:${port}`);
    const { error, took } = await failure(broker.start());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toContain(`127.0.0.1:${port}`);
    expect(error.message).toMatch(/WRONGPASS|password/i);
    expect(error.message).not.toContain('wrong-one');
    expect(took).toBeLessThan(5_000);
  });

  it('that is missing fails the start and says so', async () => {
    const { port } = await ownServer(['--requirepass', 'right-one']);
    const { error } = await failure(newBroker(`redis://127.0.0.1:${port}`).start());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toMatch(/NOAUTH|authenticat|password/i);
  });

  it('that is right lets every connection in', async () => {
    const { port } = await ownServer(['--requirepass', 'right-one']);
    const broker = newBroker(`redis://:right-one@127.0.0.1:${port}`);
    broker.subscriber('channel', () => 1);
    broker.subscriber({ list: 'list' }, () => 2);
    broker.subscriber({ stream: 'stream', group: 'g' }, () => 3);
    await broker.start();
    const call = { rpc: true, timeout: 20_000 } as const;
    expect(await broker.publish(0, { channel: 'channel', ...call })).toBe(1);
    expect(await broker.publish(0, { list: 'list', ...call })).toBe(2);
    expect(await broker.publish(0, { stream: 'stream', ...call })).toBe(3);
  });
});

describe("a caller's own ioredis client", () => {
  it('is used, and never closed', async () => {
    const client = new Redis(redisUrl());
    onTestFinished(() => client.disconnect());
    const broker = new RedisBroker(client, { gracefulTimeout: 1_000 });
    const [channel, list] = [unique(), unique()];
    const seen: unknown[] = [];
    broker.subscriber(channel, (body) => void seen.push(body));
    broker.subscriber({ list }, (body) => void seen.push(body));
    await broker.start();
    expect(broker.client).toBe(client);
    await broker.publish(1, channel);
    await broker.publish(2, { list });
    await eventually(() => expect(seen).toHaveLength(2));
    // Subscriptions and blocking reads are on connections of the broker's own.
    expect(await client.get(unique())).toBeNull();
    await broker.stop();
    expect(client.status).toBe('ready');
    expect(await client.ping()).toBe('PONG');
    await broker.start();
    expect(await broker.publish(3, { channel, rpc: true, timeout: 20_000 })).toBe(null);
    await broker.stop();
    expect(await client.ping()).toBe('PONG');
  });

  it('may be lazy', async () => {
    const client = new Redis(redisUrl(), { lazyConnect: true });
    onTestFinished(() => client.disconnect());
    const broker = newBroker(redisUrl());
    const lazy = new RedisBroker(client);
    onTestFinished(() => lazy.stop());
    const channel = unique();
    broker.subscriber(channel, () => 'heard');
    await broker.start();
    expect(await lazy.publish(1, { channel, rpc: true, timeout: 20_000 })).toBe('heard');
  });
});

it('memory:// has no client of ioredis', () => {
  const broker = newBroker(`memory://${unique()}`);
  expect(() => broker.client).toThrow(expect.objectContaining({ code: 'SETUP' }));
});
