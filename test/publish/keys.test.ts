import { SetupError, event, publisher, rpc, subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';

const Order = z.object({ customer: z.string() });

onBothBackends('a key', (bench) => {
  it('comes with a message of each structure, as the header redstart-key', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    const see = (body: unknown, { message }: { message: { key?: string | undefined } }): void => {
      seen.push([body, message.key]);
    };
    service.subscriber({ list: name('list') }, see);
    service.subscriber({ stream: name('stream'), group: 'g' }, see);
    service.subscriber(name('channel'), (body, { message }) => {
      seen.push([body, message.headers['redstart-key']]);
    });
    await service.start();
    await service.publish(1, { list: name('list'), key: 'a', headers: { x: 'y' } });
    await service.publish(2, { stream: name('stream'), key: 'zoë' });
    await service.publish(3, { channel: name('channel'), key: 'b' });
    await service.publish(4, { list: name('list') });
    await expect.poll(() => seen.length).toBe(4);
    expect(seen).toEqual(
      expect.arrayContaining([
        [1, 'a'],
        [2, 'zoë'],
        [3, 'b'],
        [4, undefined],
      ]),
    );
  });

  it('is made of each body by a contract, in batches and pipelines, and of results', async () => {
    const { broker, name } = bench();
    const placed = event(
      { stream: name('placed'), group: 'g' },
      { schema: Order, key: (order) => order.customer },
    );
    const price = rpc(
      { list: name('price') },
      { request: Order, reply: z.string(), key: (order) => order.customer },
    );
    const forwarded = event(
      { list: name('on') },
      { schema: Order, key: (o) => `on-${o.customer}` },
    );
    const keys: (string | undefined)[] = [];
    class Shop {
      @publisher(forwarded)
      @subscriber(placed)
      placed(order: z.infer<typeof Order>, { message }: { message: { key?: string | undefined } }) {
        keys.push(message.key);
        return order;
      }

      @subscriber(forwarded)
      on(_order: unknown, { message }: { message: { key?: string | undefined } }) {
        keys.push(message.key);
      }
    }
    const service = broker();
    service.register(new Shop());
    service.subscriber(price, (_order, { message }) => String(message.key));
    await service.start();
    await service.publish({ customer: 'a' }, placed);
    expect(await service.clientFor({ price }).price({ customer: 'b' })).toBe('b');
    await service.publishBatch([{ customer: 'c' }, { customer: 'd' }], placed);
    await service
      .pipeline()
      .publish({ customer: 'e' }, placed)
      .publish(
        { customer: 'f' },
        { stream: name('placed'), key: (o: { customer: string }) => o.customer },
      )
      .send();
    await service.publishBatch([{ customer: 'x' }, { customer: 'x' }], {
      stream: name('placed'),
      key: (_order, index) => `n${index}`,
    });
    const expected = ['a', 'c', 'd', 'e', 'f', 'n0', 'n1'];
    const on = ['a', 'c', 'd', 'e', 'f', 'x', 'x'].map((customer) => `on-${customer}`);
    await expect.poll(() => keys.length).toBe(14);
    expect(keys).toEqual(expect.arrayContaining([...expected, ...on]));
  });

  it('is refused where it is no text of 1 to 1 024 bytes, or is given twice', async () => {
    const { broker, name } = bench();
    const client = broker();
    const to = { stream: name() };
    const refused: [() => Promise<unknown>, RegExp][] = [
      [() => client.publish(1, { ...to, key: '' }), /^publish: 'key' must not be empty/],
      [
        () => client.publish(1, { ...to, key: 7 } as never),
        /'key' must be a string, got the number 7/,
      ],
      [
        () => client.publish(1, { ...to, key: 'é'.repeat(513) }),
        /'key' must be a string of at most 1024 bytes/,
      ],
      [
        () => client.publish(1, { ...to, key: () => 'a' } as never),
        /'key' must be a string, .* is for batches/,
      ],
      [
        () => client.publishBatch([1], { ...to, key: () => 7 as never }),
        /^publishBatch: 'key' must be a string, got the number 7/,
      ],
      [
        () => client.gather(1, { channel: name(), key: 'a' } as never),
        /'key' is not an option of gather/,
      ],
    ];
    const keyed = event(to, { schema: z.number(), key: (n) => String(n) });
    refused.push([
      () => client.publish(1, keyed, { key: 'b' }),
      /'key' is set by the contract of stream/,
    ]);
    for (const [act, text] of refused) {
      const error = await act().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(SetupError);
      expect((error as Error).message).toMatch(text);
    }
    expect(() => event(to, { schema: z.number(), key: 'a' as never })).toThrow(
      /'key' must be a function/,
    );
    const longest = 'é'.repeat(512);
    await client.publish(1, { ...to, key: longest });
  });
});
