import { Retry, SetupError, event, type Message, type RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { timingsOption } from '../../src/transport/timings.ts';
import { newBroker, onBothBackends, type Bench } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { missedSooner } from '../support/timings.ts';

const DAY = 86_400_000;

const PLACES = ['a group', 'a reliable list'] as const;
type Place = (typeof PLACES)[number];

/** The address that a subscriber reads, and where to send to. */
function placeIn(
  place: Place,
  { name }: Bench,
): { from: { stream: string }; to: { stream: string } } {
  const isGroup = place === 'a group';
  const to = isGroup ? { stream: name() } : { list: name() };
  const from = { ...to, ...(isGroup ? { group: 'g' } : { reliable: true }), once: DAY };
  return { from: from as unknown as { stream: string }, to: to as { stream: string } };
}

const nothing = (): void => undefined;

/** Sends past the mark of the sending side, as a sender does whose `idWindow` is over. */
function again(broker: RedisBroker, body: unknown, to: object, id: string): Promise<unknown> {
  return broker.publish(body, { ...to, headers: { message_id: id } } as unknown as {
    stream: string;
  });
}

onBothBackends('once', (bench) => {
  it.each(PLACES)('%s acknowledges a message unhandled whose id was handled', async (place) => {
    const here = bench();
    const { broker } = here;
    const { from, to } = placeIn(place, here);
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(from, (body) => void seen.push(body));
    await service.start();
    await again(service, 1, to, 'a');
    await eventually(() => expect(seen).toEqual([1]));
    await again(service, 2, to, 'a');
    await again(service, 3, to, 'b');
    await service.publish(4, to);
    await service.publish(4, to);
    await eventually(() => expect(seen).toEqual([1, 3, 4, 4]));
    // Also after a restart, and nothing is left to acknowledge.
    const next = broker();
    next.subscriber(from, (body) => void seen.push(body));
    await next.connect();
    await service.stop();
    await next.start();
    await again(next, 5, to, 'b');
    await again(next, 6, to, 'c');
    await eventually(() => expect(seen).toEqual([1, 3, 4, 4, 6]));
    await eventually(async () =>
      expect((await next.health()).subscribers[0]).toMatchObject({ held: 0 }),
    );
  });

  it.each(PLACES)('%s remembers only what was handled', async (place) => {
    const here = bench();
    const { broker } = here;
    const { from, to } = placeIn(place, here);
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(
      { ...from, retry: { maxDeliveries: 2, backoff: 10 } } as typeof from,
      (body, ctx) => {
        seen.push([body, ctx.message.deliveryCount]);
        if (body === 'fails') throw new Error('no');
      },
    );
    await service.start();
    await again(service, 'fails', to, 'a');
    await eventually(() => expect(seen).toHaveLength(2));
    await again(service, 'works', to, 'a');
    await eventually(() => expect(seen).toHaveLength(3));
    expect(seen.at(-1)).toEqual(['works', 1]);
    await eventually(() => expect(takeLogs().length).toBeGreaterThan(0));
  });

  it.each(PLACES)(
    'a duplicate of one that runs waits at %s, and spends no delivery',
    { timeout: 180_000 },
    async (place) => {
      const here = bench();
      const { broker } = here;
      const { from, to } = placeIn(place, here);
      const [one, two] = [broker(), broker()];
      const seen: unknown[] = [];
      let fail: ((error: Error) => void) | undefined;
      const handle = async (body: unknown, count: number): Promise<void> => {
        seen.push([body, count]);
        if (seen.length === 1) await new Promise((_, reject) => (fail = reject));
      };
      for (const service of [one, two]) {
        service.subscriber(
          { ...from, concurrency: 4, retry: { backoff: 60_000 } } as typeof from,
          (body, ctx) => handle(body, ctx.message.deliveryCount),
        );
        await service.start();
      }
      /** What observers hear of the duplicate. */
      const told: unknown[] = [];
      const tell =
        (what: string) =>
        ({ message, how = what }: { message: Message; how?: string }): void => {
          if (message.body === 'second') told.push(how);
        };
      for (const service of [one, two])
        service.observe({
          received: tell('received'),
          settled: tell('settled'),
          retried: tell('retried'),
        });
      await again(one, 'first', to, 'a');
      await eventually(() => expect(seen).toHaveLength(1));
      await again(one, 'second', to, 'a');
      await again(one, 'other', to, 'b');
      await eventually(() =>
        expect(seen).toEqual([
          ['first', 1],
          ['other', 1],
        ]),
      );
      fail?.(new Error('now the second'));
      await eventually(() => expect(seen).toHaveLength(3));
      expect(seen.at(-1)).toEqual(['second', 1]);
      // It was looked at several times, which was nothing that happened to it.
      await eventually(() => expect(told).toEqual(['received', 'ack']));
      await eventually(() => expect(takeLogs()).toHaveLength(1));
    },
  );

  it('a group has marks of its own', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: string[] = [];
    for (const group of ['a', 'b'])
      service.subscriber({ stream: name(), group, once: DAY }, () => void seen.push(group));
    await service.start();
    await again(service, 1, { stream: name() }, 'x');
    await again(service, 2, { stream: name() }, 'x');
    await service.publish(3, { stream: name(), id: 'y' });
    await eventually(() => expect(seen.toSorted()).toEqual(['a', 'a', 'b', 'b']));
  });

  it.each(PLACES)('dead letters of %s that are sent back are handled', async (place) => {
    const here = bench();
    const { broker, name } = here;
    const { from, to } = placeIn(place, here);
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ ...from, retry: false } as typeof from, (body) => {
      seen.push(body);
      if (seen.length === 1) throw new Error('no');
    });
    await service.start();
    await again(service, 'dies', to, 'a');
    await eventually(async () =>
      expect(await service.deadLetters({ stream: `${name()}:dead` }).count()).toBe(1),
    );
    await again(service, 'lives', to, 'a');
    await eventually(() => expect(seen).toEqual(['dies', 'lives']));
    await service.deadLetters({ stream: `${name()}:dead` }).redrive();
    await eventually(() => expect(seen).toEqual(['dies', 'lives', 'dies']));
    expect(takeLogs()).toHaveLength(1);
  });

  it(
    'the rest of a batch is handled, and of two with one id one',
    { timeout: 180_000 },
    async () => {
      const { broker, name } = bench();
      const service = broker();
      const seen: unknown[] = [];
      for (const [body, id] of [
        [1, 'a'],
        [2, 'b'],
        [3, 'a'],
        [4, 'c'],
      ] as const)
        await again(service, body, { stream: name() }, id);
      const from = { stream: name(), group: 'g', once: DAY, batch: true } as const;
      service.subscriber(from, (bodies: readonly unknown[]) => void seen.push(...bodies));
      await service.start();
      await eventually(() => expect(seen).toEqual([1, 2, 4]));
      await again(service, 5, { stream: name() }, 'b');
      await again(service, 6, { stream: name() }, 'd');
      await eventually(() => expect(seen).toEqual([1, 2, 4, 6]));
    },
  );

  it("counts the handler's own word, and comes with a contract", async () => {
    const { broker, name } = bench();
    const service = broker();
    const placed = event(
      { stream: name(), group: 'g', once: DAY, ackPolicy: 'manual' },
      { schema: z.string() },
    );
    const seen: string[] = [];
    service.subscriber(placed, async (body, ctx) => {
      seen.push(body);
      if (seen.length === 1) throw new Retry({ after: 1 });
      if (body === 'not now') await ctx.reject();
      else await ctx.ack();
    });
    await service.start();
    await again(service, 'not now', { stream: name() }, 'a');
    await eventually(() => expect(seen).toHaveLength(1));
    takeLogs();
    await again(service, 'yes', { stream: name() }, 'a');
    await eventually(() => expect(seen).toHaveLength(2));
    await again(service, 'not now', { stream: name() }, 'a');
    await again(service, 'last', { stream: name() }, 'b');
    await eventually(() => expect(seen).toEqual(['not now', 'yes', 'last']));
  });
});

it('a process that is gone leaves its messages to others when its lease is over', async () => {
  const list = unique();
  const client = rawClient();
  // So long that a busy machine, too, renews it in time: three times in this time.
  const timings = { ...missedSooner(20), lease: 5_000 };
  // Of a process that was killed.
  await client.set(`redstart:once:{${list}}::a`, 'gone', 'PX', 1_000);
  const service = newBroker(redisUrl(), { [timingsOption]: timings } as object);
  const seen: unknown[] = [];
  let end: (() => void) | undefined;
  service.subscriber({ list, reliable: true, once: DAY, concurrency: 2 }, async (body) => {
    seen.push(body);
    await new Promise<void>((resolve) => (end = resolve));
  });
  await service.start();
  await again(service, 1, { list }, 'a');
  await eventually(() => expect(seen).toEqual([1]));
  // This one lives, and has its lease renewed for longer than it is.
  await again(service, 2, { list }, 'a');
  const mark = `redstart:once:{${list}}::a`;
  let [left, renewals] = [await client.pttl(mark), 0];
  await eventually(async () => {
    const now = await client.pttl(mark);
    if (now > left) renewals++;
    left = now;
    return renewals === 3;
  });
  expect(await client.get(mark)).not.toBe('');
  expect(seen).toEqual([1]);
  end?.();
  await eventually(async () => expect(await client.get(`redstart:once:{${list}}::a`)).toBe(''));
  expect(await client.pttl(`redstart:once:{${list}}::a`)).toBeGreaterThan(DAY / 2);
  await eventually(async () =>
    expect((await service.health()).subscribers[0]).toMatchObject({ held: 0 }),
  );
  expect(seen).toEqual([1]);
});

it.each([false, true])(
  'the mark is set as an entry is acknowledged (deleteOnAck: %s)',
  async (deleteOnAck) => {
    const stream = unique();
    const client = rawClient();
    const service = newBroker(redisUrl());
    service.subscriber({ stream, group: 'a:b', once: DAY, deleteOnAck }, () => undefined);
    await service.start();
    await again(service, 1, { stream }, 'x');
    await service.publish(2, { stream });
    await eventually(async () =>
      expect(await client.get(`redstart:once:{${stream}}:a%3Ab:x`)).toBe(''),
    );
    await eventually(async () =>
      expect(await client.xpending(stream, 'a:b')).toEqual([0, null, null, null]),
    );
    expect(await client.xlen(stream)).toBe(deleteOnAck ? 0 : 2);
  },
);

describe('wrong uses of once are refused', () => {
  const once = DAY;
  it.each([
    ['a channel', { channel: 'a', once }, /not an option of a channel subscriber/],
    ['a plain list', { list: 'a', once }, /deliveries that are acknowledged/],
    ['a stream without a group', { stream: 'a', once }, /deliveries that are acknowledged/],
    ['noAck', { stream: 'a', group: 'g', noAck: true, once }, /cannot be combined with 'noAck'/],
    ['ack-first', { list: 'a', reliable: true, ackPolicy: 'ack-first', once }, /ack-first/],
    ['no time', { list: 'a', reliable: true, once: 0 }, /1 or more/],
    ['text', { list: 'a', reliable: true, once: '1d' }, /milliseconds/],
  ] as unknown as [string, { list: string }, RegExp][])('%s', (_what, address, text) => {
    const broker = newBroker('memory://once');
    expect(() => broker.subscriber(address, nothing)).toThrow(SetupError);
    expect(() => broker.subscriber(address, nothing)).toThrow(text);
  });

  it('messages taken by hand', async () => {
    const broker = newBroker('memory://once');
    const taken = broker.subscribe({ list: 'a', reliable: true, once } as never);
    await expect(taken).rejects.toThrow(/'once' is for handlers/);
  });
});
