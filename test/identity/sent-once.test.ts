import { IdConflictError, RedisBroker, SetupError, event } from 'redstart';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { isLong } from '../support/long.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';

interface Seen {
  readonly body: unknown;
  readonly messageId: string;
}

/** Everything that comes to an address from its beginning, with the ids of the messages. */
function listen(broker: RedisBroker, address: { list: string } | { stream: string }): Seen[] {
  const seen: Seen[] = [];
  const start = 'stream' in address ? { lastId: '0' } : {};
  broker.subscriber({ ...address, ...start } as { list: string }, (body, ctx) => {
    seen.push({ body, messageId: ctx.message.messageId });
  });
  return seen;
}

const bySku = (order: { sku: string }): string => order.sku;

onBothBackends('a message with an id', (bench) => {
  it('is sent once to a stream, and resolves with the id of the first entry', async () => {
    const { broker, name } = bench();
    const service = broker();
    const to = { stream: name(), id: 'order-7' };
    const seen = listen(service, { stream: name() });
    await service.start();
    const first: string = await service.publish({ n: 1 }, to);
    expect(first).toMatch(/^\d+-\d+$/);
    expect(await service.publish({ n: 1 }, to)).toBe(first);
    // Of another broker, with other headers, also when the first one was handled.
    expect(await broker().publish({ n: 1 }, { ...to, headers: { x: 1 } })).toBe(first);
    const second = await service.publish({ n: 2 }, { stream: name(), id: 'order-8' });
    expect(second).not.toBe(first);
    await eventually(() =>
      expect(seen).toEqual([
        { body: { n: 1 }, messageId: 'order-7' },
        { body: { n: 2 }, messageId: 'order-8' },
      ]),
    );
  });

  it('is sent once to a list, and resolves with its id', async () => {
    const { broker, name } = bench();
    const service = broker();
    const id: string = await service.publish('a', { list: name(), id: 'one' });
    expect([id, await service.publish('a', { list: name(), id: 'one' })]).toEqual(['one', 'one']);
    expect(await service.publish('last', { list: name() })).toBe(2);
    const seen = listen(service, { list: name() });
    await service.start();
    await eventually(() => expect(seen).toHaveLength(2));
    expect(seen[0]).toEqual({ body: 'a', messageId: 'one' });
  });

  it('is refused where its id was used for another body, or for another content type', async () => {
    const { broker, name } = bench();
    const service = broker();
    const to = { list: name(), id: 'order-7' };
    await service.publish('1', to);
    for (const other of ['2', 1]) {
      const refused: unknown = await service.publish(other, to).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(IdConflictError);
      expect(refused).toMatchObject({ code: 'ID_CONFLICT' });
      expect((refused as Error).message).toContain(`'order-7'`);
      expect((refused as Error).message).toContain('fields in another order are another body');
    }
    expect(await service.publish('1', to)).toBe('order-7');
    expect(await service.publish('last', { list: name() })).toBe(2);
    // Ids are known beside one list or stream.
    expect(await service.publish('2', { list: name('other'), id: 'order-7' })).toBe('order-7');
  });

  it('is sent again after its window', async () => {
    const { broker, name } = bench();
    const [service, hasty] = [broker(), broker({ idWindow: 30 })];
    const first = await service.publish(1, { stream: name(), id: 'a', idWindow: 30 });
    await eventually(async () =>
      expect(await service.publish(1, { stream: name(), id: 'a', idWindow: 30 })).not.toBe(first),
    );
    const before = await hasty.publish(1, { stream: name(), id: 'b' });
    await eventually(async () =>
      expect(await hasty.publish(1, { stream: name(), id: 'b' })).not.toBe(before),
    );
  });

  it('is sent once in a batch, where each message has an id of its own', async () => {
    const { broker, name } = bench();
    const service = broker();
    const orders = [{ sku: 'a' }, { sku: 'b' }, { sku: 'a' }];
    const ids = await service.publishBatch(orders, { stream: name('s'), id: bySku });
    expect(ids).toHaveLength(3);
    expect(ids[2]).toBe(ids[0]);
    expect(await service.publishBatch(orders, { stream: name('s'), id: bySku })).toEqual(ids);
    const placed = event({ list: name('l') }, { schema: z.object({ sku: z.string() }) });
    const listed: string[] = await service.publishBatch(orders, placed, {
      id: ({ sku }, index) => `${sku}-${index}`,
    });
    expect(listed).toEqual(['a-0', 'b-1', 'a-2']);
    const conflict = service.publishBatch([{ sku: 'c' }], placed, { id: () => 'a-0' });
    await expect(conflict).rejects.toBeInstanceOf(IdConflictError);
    expect(await service.publish('last', { list: name('l') })).toBe(4);
  });

  it.each([false, true])(
    'is sent once in a pipeline, in its place (transaction: %s)',
    async (transaction) => {
      const { broker, name } = bench();
      const service = broker();
      const send = (): Promise<(string | number)[]> =>
        service
          .pipeline({ transaction })
          .publish('a', { list: name() })
          .publish('b', { list: name(), id: 'b' })
          .publish('c', { list: name() })
          .publish('d', { list: name(), id: (body, index) => `${String(body)}${index}` })
          .send();
      expect(await send()).toEqual([1, 'b', 3, 'd3']);
      expect(await send()).toEqual([5, 'b', 6, 'd3']);
      const refused = service
        .pipeline({ transaction })
        .publish('e', { list: name(), id: 'b' })
        .publish('f', { list: name() });
      await expect(refused.send()).rejects.toMatchObject({
        code: 'PIPELINE',
        results: [
          { status: 'rejected', reason: expect.any(IdConflictError) },
          { status: 'fulfilled', value: 7 },
        ],
      });
      const seen = listen(service, { list: name() });
      await service.start();
      await eventually(() =>
        expect(seen.map(({ body }) => body)).toEqual(['a', 'b', 'c', 'd', 'a', 'c', 'f']),
      );
    },
  );

  it('may go through a contract, a publisher, a handler and middleware', async () => {
    const { broker, name } = bench();
    const service = broker({
      prefix: `${name()}:`,
      middlewares: [{ publish: (_, next) => next() }],
    });
    const placed = event({ stream: 'placed' }, { schema: z.string() });
    const seen = listen(service, { stream: 'placed' });
    service.subscriber({ list: 'todo' }, async (_, ctx) => {
      await ctx.publish('x', placed, { id: 'one' });
      await ctx.publish('x', { stream: 'placed', id: 'one' });
    });
    await service.start();
    await service.publish('go', { list: 'todo' });
    await eventually(() => expect(seen).toHaveLength(1));
    const publisher = service.publisher(placed);
    const entry = await publisher.publish('x', { id: 'one' });
    expect(await service.publish('x', placed, { id: 'one' })).toBe(entry);
    const [same] = await publisher.publishBatch(['x'], { id: () => 'one' });
    expect(same).toBe(entry);
    expect(seen).toEqual([{ body: 'x', messageId: 'one' }]);
  });

  it('is not remembered where Redis has refused it', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.publish('x', { list: name() });
    await expect(service.publish(1, { stream: name(), id: 'a' })).rejects.toMatchObject({
      code: 'SEND',
    });
    expect(await service.publish(2, { list: name(), id: 'a' })).toBe('a');
  });
});

onBothBackends('a message without an id', (bench) => {
  it("has its entry's id in a stream, and an id of ours elsewhere", async () => {
    const { broker, name } = bench();
    const service = broker();
    const entries = listen(service, { stream: name('s') });
    const items = listen(service, { list: name('l') });
    await service.start();
    const id = await service.publish(1, { stream: name('s') });
    await service.publishBatch([1, 1], { list: name('l') });
    await eventually(() => expect([entries.length, items.length]).toEqual([1, 2]));
    expect(entries[0]?.messageId).toBe(id);
    expect(new Set(items.map(({ messageId }) => messageId)).size).toBe(2);
  });
});

describe('wrong uses of an id are refused', () => {
  const broker = new RedisBroker(`memory://${unique()}`);
  afterAll(() => broker.stop());
  const stream = 's';
  it.each([
    [
      'a channel',
      () => broker.publish(1, { channel: 'c', id: 'a' } as never),
      /a channel remembers/,
    ],
    [
      'a call over a channel',
      () => broker.request(1, { channel: 'c', id: 'a' } as never),
      /list or/,
    ],
    [
      'a channel of a contract',
      () => broker.publish('', event('c', { schema: z.string() }), { id: 'a' } as never),
      /a channel remembers/,
    ],
    [
      'an empty id',
      () => broker.publish(1, { stream, id: '' }),
      /1 to 1024 bytes, got ''|got the string ''/,
    ],
    ['a number', () => broker.publish(1, { stream, id: 7 as never }), /got the number 7/],
    ['a long id', () => broker.publish(1, { stream, id: 'é'.repeat(513) }), /1 to 1024 bytes/],
    [
      'a function for one message',
      () => broker.publish(1, { stream, id: (() => 'a') as never }),
      /got/,
    ],
    [
      'one id for a batch',
      () => broker.publishBatch([1], { stream, id: 'a' as never }),
      /function \(body, index\)/,
    ],
    [
      'a function that returns none',
      () => broker.publishBatch([1], { stream, id: () => '' }),
      /at 0/,
    ],
    [
      'a header beside it',
      () => broker.publish(1, { stream, id: 'a', headers: { message_id: 'b' as never } }),
      /one or the other/,
    ],
    [
      'a window without an id',
      () => broker.publish(1, { stream, idWindow: 5 } as never),
      /needs 'id'/,
    ],
    ['a window of nothing', () => broker.publish(1, { stream, id: 'a', idWindow: 0 }), /1 or more/],
    [
      'a window of a call',
      () => broker.publish(1, { stream, id: 'a', idWindow: 5, rpc: true } as never),
      /answers\.keep/,
    ],
    [
      'a call with many answers',
      async () => broker.requestMany(1, { stream, id: 'a' } as never).next(),
      /one answer/,
    ],
    ['a gather', () => broker.gather(1, { channel: 'c', id: 'a' } as never), /one answer/],
    [
      'a batch of calls',
      () => broker.publishBatch([1], { stream, rpc: true, id: () => 'a' } as never),
      /a batch cannot wait for answers/,
    ],
    ["a broker's window", async () => newBroker('memory://x', { idWindow: 0 }), /idWindow/],
  ] as [string, () => Promise<unknown>, RegExp][])('%s', async (_what, use, text) => {
    const error: unknown = await (async () => use())().catch((refused: unknown) => refused);
    expect(error).toBeInstanceOf(SetupError);
    expect((error as Error).message).toMatch(text);
  });
});

it('the mark of an id lies in the slot of its list, and expires', async () => {
  const broker = newBroker(redisUrl());
  const client = rawClient();
  const list = unique();
  await broker.publish('x', { list, id: 'a b', idWindow: 60_000 });
  const key = `redstart:sent:{${list}}:a b`;
  const left = await client.pttl(key);
  expect(left).toBeGreaterThan(1_000);
  expect(left).toBeLessThanOrEqual(60_000);
  expect(await client.strlen(key)).toBeLessThan(40);
  await client.del(key);
});

const PUBLISHES = isLong ? 10_000 : 800;

it(
  `${PUBLISHES} publishes repeated at random under cut connections: each id is once in the stream`,
  { timeout: 120_000 },
  async () => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const senders = [0, 1].map(() => newBroker(proxy.url, { logger: false }));
    await Promise.all(senders.map((sender) => sender.connect()));
    const stream = 'orders';
    const client = rawClient(server.url);
    let next = 0;
    const results = new Map<number, Set<string>>();
    const work = async (): Promise<void> => {
      while (next < PUBLISHES) {
        const n = next++;
        if (n % 50 === 25) proxy.cut();
        const known = new Set<string>();
        results.set(n, known);
        // Again after each failure, and some also after success.
        for (let left = 1 + Math.floor(Math.random() * 3); left > 0;) {
          const sender = senders[left % 2] as RedisBroker;
          try {
            known.add(await sender.publish({ n }, { stream, id: `order-${n}` }));
            left--;
          } catch (error) {
            if ((error as { code?: string }).code !== 'SEND') throw error;
          }
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, work));
    expect(await client.xlen(stream)).toBe(PUBLISHES);
    for (const ids of results.values()) expect(ids.size).toBe(1);
  },
);
