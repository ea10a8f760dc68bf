import type { BrokerOptions } from 'redstart';
import { expect } from 'vitest';
import { timingsOption } from '../../src/transport/timings.ts';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { UNWATCHED } from '../support/timings.ts';

/** It is the test that ends a connection which is half-open. */
const unwatched = { logger: false, [timingsOption]: UNWATCHED } as BrokerOptions;

it.concurrent('a caller that is away for a moment is not gone: a handler that asks for its signal goes on, and its answer arrives', async ({
  own,
}) => {
  const server = await own.server();
  const admin = own.client(server.url);
  const service = own.broker(server.url);
  let aborted = false;
  let hasAsked = false;
  let go: (() => void) | undefined;
  service.subscriber({ stream: 'work', group: 'g' }, async (_body, ctx) => {
    await new Promise<void>((resolve) => (go = resolve));
    ctx.signal.addEventListener('abort', () => (aborted = true));
    hasAsked = true;
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    return 'answer';
  });
  await service.start();
  const proxy = await own.proxy(server.port);
  const away = {
    host: '127.0.0.1',
    port: proxy.port,
    retryStrategy: () => 700,
    connectTimeout: 20_000,
  };
  const caller = own.broker(away, { logger: false });
  const call = caller.publish(1, { stream: 'work', rpc: true, timeout: 40_000 });
  await eventually(() => go !== undefined);
  // It stays away until Redis knows of that, and its handler has asked.
  proxy.refuse();
  proxy.cut((index) => index === 1);
  await eventually(async () =>
    expect(await admin.pubsub('CHANNELS', 'redstart:inbox:{*')).toEqual([]),
  );
  go?.();
  await eventually(() => hasAsked);
  proxy.heal();
  expect(await call).toBe('answer');
  expect(aborted).toBe(false);
});

it.concurrent('calls under one correlation id outlive cut subscriptions like all others', async ({
  own,
}) => {
  const server = await own.server();
  const admin = own.client(server.url);
  const service = own.broker(server.url);
  service.subscriber({ list: 'echo', concurrency: 50 }, async (body) => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    return body;
  });
  await service.start();
  const caller = own.broker(server.url);
  const calls: Promise<unknown>[] = [];
  for (let n = 0; n < 60; n++) {
    const to = { list: 'echo', rpc: true, timeout: 40_000, correlationId: 'same' } as const;
    calls.push(caller.publish(n, to));
    if (n % 10 === 5) await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(await Promise.all(calls)).toEqual(Array.from({ length: 60 }, (_, n) => n));
  own.takeLogs();
});

it.concurrent.for([100, 1e6, 9 * 2 ** 20])(
  'an answer of %d bytes that is given while its caller is cut off arrives, and its request is handled once',
  { timeout: 120_000 },
  async (size, { own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const service = own.broker(server.url);
    let runs = 0;
    let go: (() => void) | undefined;
    service.subscriber('report', async () => {
      runs++;
      await new Promise<void>((resolve) => (go = resolve));
      return Buffer.alloc(size, 1);
    });
    await service.start();
    const caller = own.broker(proxy.url, { logger: false });
    const call = caller.publish<Buffer>(1, { channel: 'report', rpc: true, timeout: 50_000 });
    await eventually(() => go !== undefined);
    proxy.cut((index) => index === 1);
    go?.();
    expect((await call).length).toBe(size);
    expect(runs).toBe(1);
  },
);

it.concurrent('one cut of ten services and a caller has each pending request repeated a few times, not once for each service', async ({
  own,
}) => {
  const server = await own.server();
  const admin = own.client(server.url);
  for (let n = 0; n < 10; n++) {
    const service = own.broker(server.url, { logger: false });
    service.subscriber(`own ${n}`, () => n);
    await service.start();
    await service.publish(1, { channel: `own ${n}`, rpc: true });
  }
  const silent = own.client(server.url);
  await silent.subscribe('silent');
  const caller = own.broker(server.url, { logger: false });
  await caller.connect(); // their time is for what is counted
  const calls = Array.from({ length: 200 }, (_, n) =>
    caller.publish(n, { channel: 'silent', rpc: true, timeout: 4_000 }).catch(() => 'ended'),
  );
  let requests = 0;
  silent.on('messageBuffer', () => requests++);
  await eventually(() => expect(caller.stats.pendingCalls).toBe(200));
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  expect(await Promise.all(calls)).toEqual(Array(200).fill('ended'));
  expect(requests).toBeLessThanOrEqual(4 * 200);
});

it.concurrent.for(['channel', 'list', 'stream'] as const)(
  'an answer over a %s that was lost with both sides’ connections arrives once both are back, whoever is back first',
  { timeout: 120_000 },
  async (structure, { own }) => {
    const server = await own.server();
    const admin = own.client(server.url);
    // The service is back last: what the caller asks before then, nobody hears.
    const late = {
      host: '127.0.0.1',
      port: server.port,
      retryStrategy: () => 700,
      connectTimeout: 20_000,
    };
    let answers = 0;
    const observers = [{ answered: () => void answers++ }];
    const service = own.broker(late, { logger: false, observers });
    let runs = 0;
    let go: (() => void) | undefined;
    const to = { channel: { channel: 'c' }, list: { list: 'l' }, stream: { stream: 's' } };
    const from = { ...to, stream: { stream: 's', group: 'g' } };
    service.subscriber(from[structure], async (body) => {
      runs++;
      if (body === 'first') return 'first';
      await new Promise<void>((resolve) => (go = resolve));
      return 'answer';
    });
    await service.start();
    const proxy = await own.proxy(server.port);
    const caller = own.broker(proxy.url, unwatched);
    // The service listens for questions once it has answered.
    await caller.publish('first', { ...to[structure], rpc: true });
    await eventually(async () =>
      expect(await admin.pubsub('NUMSUB', 'redstart:inbox:lost')).toEqual([
        'redstart:inbox:lost',
        2,
      ]),
    );
    const call = caller.publish('second', { ...to[structure], rpc: true, timeout: 40_000 });
    await eventually(() => go !== undefined);
    // Redis counts the caller as a receiver, and the bytes never arrive.
    expect(proxy.halfOpen((index) => index === 1)).toBe(1);
    go?.();
    await eventually(() => answers === 2);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    proxy.cut((index) => index === 1);
    expect(await call).toBe('answer');
    expect(runs).toBe(2);
  },
);

it.concurrent(
  'the first call to a service is not lost with the connection on which its request comes',
  {
    timeout: 90_000,
  },
  async ({ own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const service = own.broker(proxy.url, unwatched);
    let runs = 0;
    service.subscriber('c', () => ++runs);
    await service.start();
    const caller = own.broker(server.url);
    const other = own.broker(server.url);
    other.subscriber({ list: 'echo' }, (body) => body);
    await other.start();
    // The caller is ready for answers, so that its next request is sent at once.
    await caller.publish(1, { list: 'echo', rpc: true });
    // The third connection is for channels. Redis counts the service as a receiver, and the bytes never arrive.
    expect(proxy.halfOpen((index) => index === 2)).toBe(1);
    const call = caller.publish(1, { channel: 'c', rpc: true, timeout: 40_000 });
    await caller.publish('after the request', { list: 'other' });
    proxy.cut((index) => index === 2);
    expect(await call).toBe(1);
    expect(runs).toBe(1);
  },
);

it.concurrent.for(['channel', 'list', 'stream'] as const)(
  'the answer to the first call to a service over a %s is not lost with the connections of both',
  { timeout: 90_000 },
  async (structure, { own }) => {
    const server = await own.server();
    const admin = own.client(server.url);
    let answers = 0;
    const observers = [{ answered: () => void answers++ }];
    const service = own.broker(server.url, { logger: false, observers });
    let runs = 0;
    let go: (() => void) | undefined;
    const to = { channel: { channel: 'c' }, list: { list: 'l' }, stream: { stream: 's' } };
    const from = { ...to, stream: { stream: 's', group: 'g' } };
    service.subscriber(from[structure], async () => {
      runs++;
      await new Promise<void>((resolve) => (go = resolve));
      return 'answer';
    });
    await service.start();
    const proxy = await own.proxy(server.port);
    const caller = own.broker(proxy.url, unwatched);
    const call = caller.publish('first', { ...to[structure], rpc: true, timeout: 40_000 });
    await eventually(() => go !== undefined);
    // The service listens for questions before it answers.
    await eventually(async () =>
      expect(await admin.pubsub('NUMSUB', 'redstart:inbox:lost')).toEqual([
        'redstart:inbox:lost',
        2,
      ]),
    );
    expect(proxy.halfOpen((index) => index === 1)).toBe(1);
    go?.();
    await eventually(() => answers === 1);
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    proxy.cut((index) => index === 1);
    expect(await call).toBe('answer');
    expect(runs).toBe(1);
  },
);
