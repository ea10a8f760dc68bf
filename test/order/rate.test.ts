import { RedisBroker, SetupError, event } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { deferred } from '../../src/internal/deferred.ts';
import { newBroker, onBothBackends, type Bench } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

type Rated = 'group' | 'reliable list' | 'plain list';
const RATED: readonly Rated[] = ['group', 'reliable list', 'plain list'];

function placeOf(structure: Rated, bench: Bench): { to: object; from: object } {
  const name = bench.name();
  if (structure === 'group') return { to: { stream: name }, from: { stream: name, group: 'g' } };
  const reliable = structure === 'reliable list';
  return { to: { list: name }, from: { list: name, reliable } };
}

/** The most of these moments that are within `per` milliseconds. */
function mostWithin(moments: readonly number[], per: number): number {
  return Math.max(
    ...moments.map((from) => moments.filter((one) => one >= from && one < from + per).length),
  );
}

onBothBackends('a subscriber with a rate', (bench) => {
  it.each(RATED)(
    'handles no more than its limit, over several readers, and wakes for what comes: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const moments: number[] = [];
      const rate = { limit: 50, per: 250 };
      const services = [broker(), broker()];
      for (const service of services) {
        service.subscriber({ ...from, rate, concurrency: 10 } as never, () => {
          moments.push(performance.now());
        });
        await service.start();
      }
      const [service] = services;
      await service?.publish(0, to as never); // what comes to idle readers is read
      await eventually(() => expect(moments).toHaveLength(1));
      const began = performance.now();
      await service?.publishBatch(
        Array.from({ length: 59 }, (_, i) => i),
        to as never,
      );
      await expect.poll(() => moments.length).toBe(60);
      // 5 % more than the limit, and one: handlers begin a little later than they are read.
      const took = (moments.at(-1) as number) - began;
      expect(took).toBeGreaterThan(0.85 * 58 * 5 - 12);
      expect(mostWithin(moments, 200)).toBeLessThan(50);
    },
  );

  it.each(RATED)('counts what comes again: %s', async (structure) => {
    if (structure === 'plain list') return;
    const { broker } = bench();
    const { to, from } = placeOf(structure, bench());
    const moments: number[] = [];
    const service = broker();
    const options = { rate: { limit: 10, per: 200 }, concurrency: 20, pause: false };
    service.subscriber(
      { ...from, ...options, retry: { backoff: 0 } } as never,
      (_body, { message }) => {
        moments.push(performance.now());
        if (message.deliveryCount < 4) throw new Error('again');
      },
    );
    await service.publishBatch([1, 2, 3, 4], to as never);
    const began = performance.now();
    await service.start();
    await eventually(() => expect(moments).toHaveLength(16));
    expect((moments.at(-1) as number) - began).toBeGreaterThan(0.9 * 15 * 20 - 20);
    expect(takeLogs()).toHaveLength(12);
  });

  it.each(RATED)(
    'holds no message while it waits, and gives back permits: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const service = broker();
      let handled = 0;
      const subscriber = service.subscriber(
        { ...from, rate: { limit: 1, per: 60_000 } } as never,
        () => void handled++,
      );
      await service.start();
      await service.publishBatch([1, 2, 3], to as never);
      await eventually(() => expect(handled).toBe(1));
      await new Promise((resolve) => setTimeout(resolve, 50));
      const {
        subscribers: [state],
      } = await service.health();
      expect(state?.held ?? 0).toBe(0);
      // Another reader without the limit finds the others at once: they are where they were.
      const other = broker();
      let others = 0;
      other.subscriber(from as never, () => void others++);
      await other.start();
      await eventually(() => expect(others).toBe(2));
      await subscriber.stop();
    },
  );
});

onBothBackends('an ordered subscriber with a rate', (bench) => {
  it.each(['group', 'reliable list'] as const)(
    'gives back at its stop what waits for its lane and has its permit already: %s',
    async (structure) => {
      const { broker } = bench();
      const { to, from } = placeOf(structure, bench());
      const rate = { limit: 1_000, per: 1_000 };
      const options = { ...from, rate, ordered: true, concurrency: 2 } as never;
      const keeper = broker(); // of the memory, between a stop and a start
      await keeper.connect();
      const seen: [body: unknown, count: number][] = [];
      const { promise: ended, resolve: end } = deferred<void>();
      const service = broker();
      service.subscriber(options, async (body, { message }) => {
        seen.push([body, message.deliveryCount]);
        await ended;
      });
      await service.publishBatch([1, 2, 3], { ...to, key: () => 'a' } as never);
      await service.start();
      await eventually(async () => {
        const [state] = (await service.health()).subscribers;
        expect([state?.held, seen.length]).toEqual([3, 1]);
      });
      const stopped = service.stop();
      end();
      await stopped;
      const next = broker();
      next.subscriber(options, (body, { message }) => {
        seen.push([body, message.deliveryCount]);
      });
      await next.start();
      await eventually(() => expect(seen).toHaveLength(3));
      const all: typeof seen = [1, 2, 3].map((body) => [body, 1]);
      expect(seen).toEqual(all);
    },
  );
});

it('a rate is refused where it cannot hold', () => {
  const broker = newBroker(`memory://${unique()}`);
  const refused: [object | string, object, RegExp][] = [
    [{ channel: 'a' }, { rate: { limit: 1, per: 1 } }, /'rate' is not an option of/],
    [{ stream: 'a' }, { rate: { limit: 1, per: 1 } }, /'rate' needs 'group'/],
    [{ list: 'a' }, { rate: 5 }, /'rate' must be an object, got the number 5/],
    [{ list: 'a' }, { rate: { limit: 5 } }, /'rate.per' must be a number of milliseconds/],
    [{ list: 'a' }, { rate: { per: 5 } }, /'rate.limit' must be a whole number/],
    [{ list: 'a' }, { rate: { limit: 5, per: 0 } }, /'rate.per' must be at least 1 millisecond/],
    [{ list: 'a' }, { rate: { limit: 5, per: 5, burst: 1 } }, /'burst' is not an option of 'rate'/],
  ];
  for (const [place, options, text] of refused) {
    const act = (): unknown =>
      broker.subscriber({ ...(place as object), ...options } as never, () => undefined);
    expect(act).toThrow(SetupError);
    expect(act).toThrow(text);
  }
});

it('a rate by a contract, in virtual time', async () => {
  const mailed = event(
    { list: 'mails', reliable: true, rate: { limit: 10, per: 10_000 } },
    { schema: z.number() },
  );
  const broker = new RedisBroker('redis://nowhere', { logger: false });
  let handled = 0;
  broker.subscriber(mailed, () => void handled++);
  await using test = await testBroker(broker);
  await broker.publishBatch([1, 2, 3, 4, 5, 6], mailed);
  await test.idle();
  expect(handled).toBe(1);
  // One a second; each may come half a second early, which is 5 % of 10 s.
  await test.advance(3_000);
  expect(handled).toBe(4);
  await test.advance(2_000);
  expect(handled).toBe(6);
});

it('the key of a rate is beside its list, and does not stay', async () => {
  const name = unique();
  const broker = newBroker(redisUrl());
  let handled = 0;
  broker.subscriber({ list: name, rate: { limit: 100, per: 1_000 } }, () => void handled++);
  await broker.start();
  await broker.publish(1, { list: name });
  await eventually(() => expect(handled).toBe(1));
  const life = await rawClient(redisUrl()).pttl(`redstart:rate:{${name}}`);
  expect(life).toBeGreaterThan(0);
  expect(life).toBeLessThan(1_200);
});
