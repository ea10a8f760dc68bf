import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { heldUp } from '../support/held-up.ts';
import { STRUCTURES, everywhere } from './echo.ts';

/** Milliseconds in which a dead connection must be noticed and made again, beside those for which this process was held up. */
const NOTICED = 5_000 + 2_000;
/** … and in which a call must have its answer then. It is there at once; a busy machine needs longer. */
const ANSWERED = NOTICED + 40_000;

it.concurrent.for(STRUCTURES)(
  'a caller whose connections are half-open notices within 5 s, and its call over a %s ends by value',
  { timeout: 120_000 },
  async (structure, { own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const service = own.broker(server.url);
    const places = everywhere(service, (body) => body);
    await service.start();
    const caller = own.broker(proxy.url, { logger: false });
    const call = (n: number): Promise<unknown> =>
      caller.publish(n, { ...places[structure], rpc: true, timeout: ANSWERED });
    expect(await call(1)).toBe(1);

    expect(proxy.halfOpen()).toBe(2); // commands, and answers
    const before = proxy.accepted;
    const [started, held] = [performance.now(), heldUp(own.finished)];
    const answer = call(2);
    await eventually(() => proxy.accepted >= before + 2, 40_000);
    expect(proxy.acceptedAt - started - held()).toBeLessThan(NOTICED);
    expect(await answer).toBe(2);
    expect(caller.stats.pendingCalls).toBe(0);
  },
);

it.concurrent('a caller whose answers’ connection alone is half-open gets the answer that was lost on it', async ({
  own,
}) => {
  const server = await own.server();
  const proxy = await own.proxy(server.port);
  const service = own.broker(server.url);
  const places = everywhere(service, (body) => body);
  await service.start();
  const caller = own.broker(proxy.url, { logger: false });
  const call = (n: number): Promise<unknown> =>
    caller.publish(n, { ...places.channel, rpc: true, timeout: ANSWERED });
  expect(await call(1)).toBe(1);

  // The first connection carries commands, the second answers.
  expect(proxy.halfOpen((index) => index === 1)).toBe(1);
  const before = proxy.accepted;
  const [started, held] = [performance.now(), heldUp(own.finished)];
  const answers = [2, 3, 4].map(call);
  await eventually(() => proxy.accepted > before, 40_000);
  expect(proxy.acceptedAt - started - held()).toBeLessThan(NOTICED);
  expect(await Promise.all(answers)).toEqual([2, 3, 4]);
}, 120_000);

it.concurrent.for(STRUCTURES)(
  'a service whose connections are half-open notices within 5 s, and answers over a %s again',
  { timeout: 180_000 },
  async (structure, { own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const service = own.broker(proxy.url, { logger: false });
    const places = everywhere(service, (body) => body);
    await service.start();
    const caller = own.broker(server.url, { logger: false });
    const call = (n: number, timeout: number): Promise<unknown> =>
      caller.publish(n, { ...places[structure], rpc: true, timeout });
    expect(await call(1, 40_000)).toBe(1);

    // Commands, channels, answers, and one blocking reader each for list and stream.
    const connections = proxy.halfOpen();
    expect(connections).toBe(5);
    const before = proxy.accepted;
    const [started, held] = [performance.now(), heldUp(own.finished)];
    // Popped for a reader that is gone, a list's request is lost: Redis delivers it at most once.
    const atOnce = structure === 'list' ? Promise.resolve(2) : call(2, ANSWERED);
    await eventually(() => proxy.accepted >= before + connections, 40_000);
    expect(proxy.acceptedAt - started - held()).toBeLessThan(NOTICED);
    expect(await atOnce).toBe(2);
    // Redis may give one more item to a blocked reader whose connection is dead.
    await eventually(async () => expect(await call(3, 6_000)).toBe(3), 60_000);
  },
);
