import { HandlerTimeoutError, RedisBroker, SetupError, event, subscriber } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { deferred, pause } from '../../src/internal/deferred.ts';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { isLong } from '../support/long.ts';
import { redisUrl, unique } from '../support/redis.ts';
import { ACKNOWLEDGED, ALL, Watch, handle, placeOf, send, stepsOf, work } from './steps.ts';

onBothBackends('an ordered subscriber', (bench) => {
  it.each(ALL)(
    'handles one message of a key at a time, in order, and keys side by side: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const service = broker();
      const watch = new Watch();
      let most = 0;
      let running = 0;
      handle(service, from, { concurrency: 4 }, async (step) => {
        watch.begin(step);
        most = Math.max(most, ++running);
        await work();
        running--;
        watch.done(step);
      });
      const steps = stepsOf(['a', 'b', 'c', 'd', 'e', 'f'], 10);
      if (structure !== 'channel') await send(service, to, steps);
      await service.start();
      if (structure === 'channel') await send(service, to, steps);
      await expect.poll(() => watch.finished).toBe(60);
      expect(watch.mistakes).toEqual([]);
      expect(most).toBe(4);
    },
  );

  it.each(ACKNOWLEDGED)(
    'holds back the messages of a key behind one that failed, and no others: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const service = broker();
      const watch = new Watch();
      const options = {
        concurrency: 2,
        retry: { maxDeliveries: 4, backoff: (deliveries: number) => (deliveries === 1 ? 600 : 5) },
      };
      const others = (): number => watch.begun.filter(({ key }) => key !== 'a').length;
      let [before, after] = [0, 0];
      handle(service, from, options, async (step, { message }) => {
        watch.begin(step);
        await work(0);
        const { key, n } = step;
        if (key === 'a' && n === 0 && message.deliveryCount === 1) before = others();
        if (key === 'a' && n === 0 && message.deliveryCount === 2) after = others();
        // Handled at its third delivery, or given up after the fourth.
        if (key === 'a' && n === 0 && message.deliveryCount < 3) {
          watch.failed(step);
          throw new Error('not yet');
        }
        if (key === 'b' && n === 1) {
          if (message.deliveryCount === 4) watch.done(step);
          else watch.failed(step);
          throw new Error('never');
        }
        watch.done(step);
      });
      await send(service, to, stepsOf(['a', 'b', 'c'], 20));
      await service.start();
      await expect.poll(() => watch.finished).toBe(60);
      expect(watch.mistakes).toEqual([]);
      expect(after).toBeGreaterThan(before);
      expect(takeLogs()).toHaveLength(2 + 4);
    },
  );

  it.each(ACKNOWLEDGED)(
    'keeps the order through a breaker that opens and closes: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const service = broker();
      const watch = new Watch();
      let isAway = false;
      const options = {
        concurrency: 4,
        retry: { maxDeliveries: 50, backoff: 5 },
        pause: { after: 3, for: 50 },
      };
      let failures = 0;
      handle(service, from, options, async (step) => {
        watch.begin(step);
        await work();
        if (watch.finished === 40 && failures === 0) isAway = true;
        if (isAway) {
          watch.failed(step);
          if (++failures === 6) isAway = false;
          throw new Error('away');
        }
        watch.done(step);
      });
      await send(service, to, stepsOf(['a', 'b', 'c', 'd', 'e', 'f'], 30));
      await service.start();
      await expect.poll(() => watch.finished).toBe(180);
      expect(watch.mistakes).toEqual([]);
      expect(failures).toBe(6);
      expect(takeLogs().some(({ message }) => message.includes('failures in a row'))).toBe(true);
    },
  );

  it.each(ACKNOWLEDGED)(
    'keeps the order over stops and starts, and the pause of a retry: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const watch = new Watch();
      const waits: number[] = [];
      let failedAt = 0;
      const run = () => {
        const service = broker({ gracefulTimeout: 20_000 });
        const options = { concurrency: 4, retry: { maxDeliveries: 50, backoff: 1_000 } };
        handle(service, from, options, async (step) => {
          watch.begin(step);
          await work(1);
          if (step.key === 'a' && step.n === 2) {
            if (failedAt === 0) {
              failedAt = Date.now();
              watch.failed(step);
              throw new Error('later');
            }
            waits.push(Date.now() - failedAt);
          }
          watch.done(step);
        });
        return service;
      };
      const keeper = broker(); // of the memory, between a stop and a start
      await keeper.start();
      const first = run();
      await send(keeper, to, stepsOf(['a', 'b', 'c', 'd', 'e'], 40));
      for (let service = first, i = 0; i < 3; service = run(), i++) {
        await service.start();
        const before = watch.finished;
        await eventually(() => expect(watch.finished).toBeGreaterThan(before + 10));
        await service.stop();
      }
      const last = run();
      await last.start();
      await expect.poll(() => watch.finished).toBe(200);
      expect(watch.mistakes).toEqual([]);
      // The pause was not cut short by the stops.
      expect(waits).toHaveLength(1);
      expect(waits[0]).toBeGreaterThan(950);
      expect(takeLogs()).toHaveLength(1);
    },
  );

  it.each(ALL)(
    'gives back what waits for its lane when it is paused, and goes on in order: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const service = broker();
      const watch = new Watch();
      const subscriber = handle(service, from, { concurrency: 3 }, async (step) => {
        watch.begin(step);
        await work();
        watch.done(step);
      });
      const steps = stepsOf(['a', 'b'], 60);
      if (structure === 'channel') await service.start();
      await send(service, to, steps);
      await service.start();
      for (let i = 0; i < 3; i++) {
        const before = watch.finished;
        await eventually(() => expect(watch.finished).toBeGreaterThan(before + 5));
        await subscriber.pause();
        if (structure === 'channel') break; // what has arrived is handled, and nothing more arrives
        await work(20); // what runs ends
        const begun = watch.begun.length;
        await work(20);
        expect(watch.begun).toHaveLength(begun);
        subscriber.concurrency = 4;
        await subscriber.resume();
      }
      await expect.poll(() => watch.finished).toBe(120);
      expect(watch.mistakes).toEqual([]);
    },
  );

  it('waits with a key until a handler that ran out of time has really ended', async () => {
    const { broker } = bench();
    const { to, from } = placeOf('group', bench());
    const service = broker();
    const watch = new Watch();
    const { promise: ended, resolve: end } = deferred<void>();
    const options = { concurrency: 2, timeout: 20, retry: { maxDeliveries: 5, backoff: 10 } };
    handle(service, from, options, async (step, { message }) => {
      watch.begin(step);
      if (step.key === 'a' && message.deliveryCount === 1 && step.n === 0) {
        await ended; // heeds no signal
        watch.failed(step);
        return;
      }
      watch.done(step);
    });
    await send(service, to, stepsOf(['a', 'b'], 5));
    await service.start();
    await eventually(() => expect(watch.finished).toBe(5)); // all of b
    await work(100);
    expect(watch.begun.filter(({ key }) => key === 'a')).toHaveLength(1);
    end();
    await eventually(() => expect(watch.finished).toBe(10));
    expect(watch.mistakes).toEqual([]);
    const logs = takeLogs();
    expect(logs.map(({ error }) => error)).toContainEqual(expect.any(HandlerTimeoutError));
    expect(logs.map(({ message }) => message)).toContainEqual(
      expect.stringContaining('goes on after its timeout'),
    );
  });

  it('waits with a key until a streamed answer has really ended, also where an item ran out of time', async () => {
    const { broker } = bench();
    const { to, from } = placeOf('reliable list', bench());
    const service = broker();
    const { promise: released, resolve: release } = deferred<void>();
    const events: string[] = [];
    const options = { concurrency: 2, timeout: 300, retry: false };
    handle(service, from, options, async function* ({ key, n }) {
      events.push(`${key}${n} begins`);
      yield 1;
      if (key === 'a' && n === 0) await released; // heeds no signal
      yield 2;
      events.push(`${key}${n} ends`);
    });
    await service.start();
    const call = async (key: string, n: number): Promise<unknown> => {
      const items: unknown[] = [];
      const answers = service.requestMany({ key, n }, { ...to, key, timeout: 20_000 } as never);
      try {
        for await (const item of answers) items.push(item);
        return items;
      } catch (error) {
        return (error as { remoteName?: string }).remoteName;
      }
    };
    const late = call('a', 0);
    await eventually(() => expect(events).toEqual(['a0 begins']));
    const [next, other] = [call('a', 1), call('b', 0)];
    expect(await late).toBe('HandlerTimeoutError');
    expect(await other).toEqual([1, 2]);
    const logs: string[] = [];
    await eventually(() => {
      logs.push(...takeLogs().map(({ message }) => message));
      expect(logs).toContainEqual(expect.stringContaining('goes on after its timeout'));
    });
    expect(events).toEqual(['a0 begins', 'b0 begins', 'b0 ends']);
    release();
    expect(await next).toEqual([1, 2]);
    expect(events.slice(-2)).toEqual(['a1 begins', 'a1 ends']);
  });

  it('reads on past lanes that wait, up to 1 000 messages', async () => {
    const { broker } = bench();
    const { to, from } = placeOf('group', bench());
    const service = broker();
    const seen: string[] = [];
    const stuck = deferred<void>();
    handle(service, from, { concurrency: 4 }, async ({ key, n }) => {
      seen.push(key);
      if (key === 'stuck' && n === 0) await stuck.promise;
    });
    const steps = Array.from({ length: 1_300 }, (_, n) => ({ key: 'stuck', n }));
    steps.splice(900, 0, { key: 'below', n: 0 });
    steps.push({ key: 'beyond', n: 0 });
    await send(service, to, steps);
    await service.start();
    await eventually(() => expect(seen).toEqual(['stuck', 'below']));
    await eventually(async () => {
      const [state] = (await service.health()).subscribers;
      expect(state?.held).toBeGreaterThanOrEqual(1_000);
    });
    await work(50);
    expect(seen).toEqual(['stuck', 'below']);
    stuck.resolve();
    await expect.poll(() => seen.length).toBe(1_302);
    await eventually(async () => {
      const [state] = (await service.health()).subscribers;
      expect(state?.held).toBe(0);
    });
  });
});

it('a contract says the key and the order, for a method', async () => {
  const stepped = event(
    { stream: 'steps', group: 'g', ordered: true, concurrency: 8 },
    { schema: z.object({ key: z.string(), n: z.number() }), key: ({ key }) => key },
  );
  const watch = new Watch();
  class Steps {
    @subscriber(stepped)
    async take(step: z.infer<typeof stepped.schema>) {
      watch.begin(step);
      await work();
      watch.done(step);
    }
  }
  const broker = newBroker(`memory://${unique()}`);
  broker.register(new Steps());
  expect(broker.describe().subscribers[0]).toMatchObject({ ordered: true, concurrency: 8 });
  await broker.start();
  await broker.publishBatch(stepsOf(['a', 'b', 'c'], 10), stepped);
  await expect.poll(() => watch.finished).toBe(30);
  expect(watch.mistakes).toEqual([]);
});

it('ordered is refused where it cannot hold', async () => {
  const broker = newBroker(`memory://${unique()}`);
  const refused: [() => unknown, RegExp][] = [
    [
      () => broker.subscriber({ list: 'a', batch: true, ordered: true } as never, () => {}),
      /'ordered' .* cannot be combined with 'batch'/,
    ],
    [
      () => broker.subscriber({ list: 'a', ordered: 1 } as never, () => {}),
      /'ordered' must be a boolean/,
    ],
    [() => broker.subscriber('a', { ordered: true, batch: true } as never, () => {}), /'batch'/],
  ];
  for (const [act, text] of refused) {
    expect(act).toThrow(SetupError);
    expect(act).toThrow(text);
  }
  await expect(broker.subscribe({ list: 'a', ordered: true } as never)).rejects.toThrow(
    /'ordered'/,
  );
  const one = broker.subscriber({ stream: 's', group: 'g', ordered: true }, () => {});
  broker.subscriber({ stream: 's', group: 'g' }, () => {});
  await expect(broker.start()).rejects.toThrow(/take turns, so 'ordered' cannot keep/);
  await one.stop();
  await broker.start();
});

/** Virtual milliseconds in which one subscriber handles 320 messages of so many keys. */
async function virtualTimeOf(keys: number): Promise<number> {
  const broker = new RedisBroker('redis://nowhere', { logger: false });
  let handled = 0;
  const where = { stream: 's', group: 'g', ordered: true, concurrency: 32 } as const;
  broker.subscriber(where, async () => {
    await pause(5_000); // so long that the time which passes by itself does not count
    handled++;
  });
  await using test = await testBroker(broker);
  const bodies = Array.from({ length: 320 }, (_, n) => n);
  await broker.publishBatch(bodies, { stream: 's', key: (n: number) => String(n % keys) });
  let time = 0;
  for (; handled < bodies.length; time += 5_000) await test.advance(5_000);
  return time;
}

it('32 lanes carry 32 times as much as one, where each handler waits', async () => {
  expect((await virtualTimeOf(1)) / (await virtualTimeOf(32))).toBeGreaterThanOrEqual(20);
});

/** Messages a second of so many keys, where each handler waits 5 ms. */
async function speedOf(keys: number, messages: number): Promise<number> {
  const broker = newBroker(redisUrl());
  const stream = unique();
  let handled = 0;
  broker.subscriber({ stream, group: 'g', ordered: true, concurrency: 32 }, async () => {
    await work(5);
    handled++;
  });
  const bodies = Array.from({ length: messages }, (_, n) => n);
  await broker.publishBatch(bodies, { stream, key: (n: number) => String(n % keys) });
  const began = performance.now();
  await broker.start();
  await eventually(() => expect(handled).toBe(messages), 60_000);
  return (messages * 1_000) / (performance.now() - began);
}

it.runIf(isLong)(
  'on Redis, 32 lanes carry at least 20 times as much as one',
  async () => {
    const [one, all] = [await speedOf(1, 400), await speedOf(32, 12_800)];
    process.stderr.write(`one lane ${one.toFixed(0)}/s, 32 lanes ${all.toFixed(0)}/s\n`);
    expect(all / one).toBeGreaterThanOrEqual(20);
  },
  120_000,
);
