import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { monitor } from '../support/monitor.ts';
import { ownServer, rawClient } from '../support/redis.ts';
import { STRUCTURES, Strikes, callMany, everywhere } from './echo.ts';

it.each(STRUCTURES)(
  'an answer given while its caller is cut off for half a second over a %s arrives by value, and leaves no key',
  { timeout: 240_000 },
  async (structure) => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const raw = rawClient(server.url);
    const service = newBroker(server.url, { logger: false });
    let taken = 0;
    let answer: (() => void) | undefined;
    const isCutOff = new Promise<void>((resolve) => void (answer = resolve));
    const places = everywhere(service, async (body) => {
      taken++;
      await isCutOff;
      if (body === 3) throw new RangeError('on purpose');
      return body;
    });
    await service.start();
    const caller = newBroker(proxy.url, { logger: false });
    const calls = Promise.allSettled(
      [1, 2, 3].map((n) => caller.publish(n, { ...places[structure], rpc: true, timeout: 40_000 })),
    );
    await eventually(() => taken === 3);
    proxy.cutOff();
    const cut = performance.now();
    // Redis, too, must know that nobody listens on the caller's channel any more.
    await eventually(async () => {
      const inboxes = (await raw.pubsub('CHANNELS', 'redstart:inbox:*')) as string[];
      return (await raw.pubsub('NUMSUB', ...inboxes)).filter((n) => n === 1).length <= 1;
    });
    answer?.();
    await eventually(async () => expect(await raw.keys('*:kept')).toHaveLength(1));
    await eventually(() => performance.now() - cut > 500);
    proxy.heal();
    expect(await calls).toEqual([
      { status: 'fulfilled', value: 1 },
      { status: 'fulfilled', value: 2 },
      { status: 'rejected', reason: expect.objectContaining({ remoteName: 'RangeError' }) },
    ]);
    expect(caller.stats.pendingCalls).toBe(0);
    await eventually(async () => {
      const left = await raw.keys('*');
      return left.every((key) => key.endsWith(':s')); // the stream itself
    });
  },
);

it(
  'whatever was cut, and whoever gave up, no key of ours is left once the answers’ life is over',
  { timeout: 240_000 },
  async () => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const raw = rawClient(server.url);
    const service = newBroker(server.url, { logger: false });
    const places = everywhere(service, async (body) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 50));
      return body;
    });
    await service.start();
    const caller = newBroker(proxy.url, { logger: false });
    await caller.connect();
    let kept = 0;
    await monitor(([command, key]) => {
      if (command?.toLowerCase() === 'rpush' && key?.endsWith(':kept') === true) kept++;
    }, server.url);
    const strikes = new Strikes(60, () => proxy.cut());
    let n = 0;
    await callMany(3_000, 30, (body) => {
      const structure = STRUCTURES[n++ % 3] ?? 'channel';
      // Many give up before their answer comes.
      const timeout = 40 + (n % 5) * 500;
      return strikes.watch(caller.publish(body, { ...places[structure], rpc: true, timeout }));
    }).finally(() => strikes.stop());
    // Those who are gone for good collect nothing: what is kept for them ends by itself.
    const gone = newBroker(proxy.url, { logger: false });
    const lost = STRUCTURES.map((structure) =>
      gone.publish(1, { ...places[structure], rpc: true, timeout: 2_000 }).catch(() => {}),
    );
    await gone.stop();
    await Promise.all(lost);
    await caller.stop();
    await eventually(async () => {
      const left = await raw.keys('*');
      expect(left.filter((key) => !key.endsWith(':s'))).toEqual([]);
    });
    expect(kept).toBeGreaterThan(0);
    // … and that is no accident of timing: requests in the lists have all been taken.
    const stream = (places.stream as { stream: string }).stream;
    await eventually(async () => {
      expect((await raw.xpending(stream, 'g'))[0]).toBe(0);
    });
  },
);
