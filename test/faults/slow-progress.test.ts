// A watched connection over a link that carries what the test says, on the clock of the test: nothing depends on luck.
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { TIMINGS } from '../../src/transport/timings.ts';
import { watch } from '../../src/transport/redis/watchdog.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { ownServer } from '../support/redis.ts';
import { tlsServer } from '../support/certificates.ts';

const { ping, pong } = TIMINGS;
/** How long after the last byte a dead connection may be noticed. */
const NOTICED = ping + pong;
const MB = 1_000_000;

beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Waits for sockets, while the test's clock stands. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setImmediate(resolve));
}

/** Moves the test's clock, and lets the watchdog look at its socket. */
async function pass(ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 50) {
    vi.advanceTimersByTime(Math.min(50, ms - at));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

interface Bench {
  readonly client: Redis;
  readonly proxy: FaultProxy;
  /** How often the watchdog has given the connection up. */
  lost(): number;
}

async function bench(over: 'TCP' | 'TLS' = 'TCP'): Promise<Bench> {
  const server = over === 'TCP' ? await ownServer() : await tlsServer();
  const proxy = await FaultProxy.to(server.port);
  const client = new Redis({
    host: '127.0.0.1',
    port: proxy.port,
    ...('ca' in server ? { tls: { ca: server.ca, servername: 'localhost' } } : {}),
  });
  onTestFinished(() => client.disconnect());
  client.on('error', () => {});
  let lost = 0;
  client.on('close', () => lost++);
  watch(client, TIMINGS);
  await until(() => client.status === 'ready');
  return { client, proxy, lost: () => lost };
}

describe.each(['TCP', 'TLS'] as const)('over %s', (over) => {
  it('a large message gets through a link of any speed over one connection, while bytes leave', async () => {
    const { client, proxy, lost } = await bench(over);
    proxy.hold();
    let length: number | undefined;
    // At 0.5 MB/s this takes 60 s, twice the time that bytes have which nobody sees. At the end some 10 MB are
    // such bytes: that is what the buffers of a local connection hold.
    client.rpush('list', Buffer.alloc(30 * MB)).then(
      (answer) => (length = answer),
      () => {},
    );
    let steps = 0;
    while (length === undefined) {
      const before = proxy.carried;
      proxy.pass(2 * MB);
      await until(() => proxy.carried > before + 1.8 * MB || length !== undefined);
      if (length === undefined) await pass(4_000);
      steps++;
      expect(lost()).toBe(0);
    }
    expect(length).toBe(1);
    expect(steps).toBeGreaterThanOrEqual(14);
  });

  it('a large answer gets through a link of any speed, while bytes arrive', async () => {
    const { client, proxy, lost } = await bench(over);
    await client.set('key', Buffer.alloc(6 * MB));
    proxy.hold();
    let length: number | undefined;
    client.getBuffer('key').then(
      (answer) => (length = answer?.length),
      () => {},
    );
    while (length === undefined) {
      const { bytesRead } = client.stream;
      proxy.pass(400_000);
      await until(() => client.stream.bytesRead > bytesRead + 300_000 || length !== undefined);
      if (length === undefined) await pass(3_000);
      expect(lost()).toBe(0);
    }
    expect(length).toBe(6 * MB);
  });
});

it('a connection on which nothing moves is noticed as dead within 5 s, also while more is written to it', async () => {
  const { client, proxy, lost } = await bench();
  proxy.hold();
  let spent = 0;
  while (lost() === 0 && spent < 10_000) {
    // The system takes these: nobody else has.
    client.set('key', 'x'.repeat(100)).catch(() => undefined);
    await pass(100);
    spent += 100;
  }
  expect(lost()).toBe(1);
  expect(spent).toBeLessThanOrEqual(NOTICED + 200);
});

it('a connection whose outgoing bytes have stopped to move is noticed as dead, after 1 s more for each MB', async () => {
  const { client, proxy, lost } = await bench();
  proxy.hold();
  client.set('key', Buffer.alloc(8 * MB)).catch(() => undefined);
  await until(() => proxy.waiting > 0);
  await pass(NOTICED + 8_000 - 1_500);
  expect(lost()).toBe(0);
  await pass(2_000);
  expect(lost()).toBe(1);
});

it('bytes that move where nobody sees it have twice the time on the next connection, until they arrive', async () => {
  const { client, proxy, lost } = await bench();
  // Such a link takes all at once and carries it later.
  proxy.hold(Infinity);
  let length: number | undefined;
  client.rpush('list', Buffer.alloc(4 * MB)).then(
    (answer) => (length = answer),
    () => {},
  );
  for (const [n, patience] of [4_000, 8_000, 16_000].entries()) {
    await until(() => proxy.waiting > 3.8 * MB);
    // More than the last connection had.
    await pass(pong + 0.6 * patience);
    expect(lost()).toBe(n);
    for (let more = 0; lost() === n && more < 0.4 * patience + ping + 500; more += 50)
      await pass(50);
    expect(lost()).toBe(n + 1);
    // Whatever the pause before the next connection is.
    await pass(1_000);
    await until(() => client.status === 'ready');
  }
  await until(() => proxy.waiting > 3.8 * MB);
  await pass(pong + 0.6 * 32_000);
  proxy.pass(5 * MB);
  await until(() => length !== undefined);
  expect(length).toBe(1);
  expect(lost()).toBe(3);
});
