import { Response, SetupError, publisher, rpc, subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

interface Received {
  readonly place: string;
  readonly body: unknown;
  readonly correlationId: string;
  readonly tenant: string | undefined;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

onBothBackends('publishers', (bench) => {
  it('send what a handler returns on to every address, with its headers and the correlation id', async () => {
    const { broker, name } = bench();
    const service = broker();
    const received: Received[] = [];

    class Orders {
      @publisher({ list: name('first') })
      @subscriber({ list: name('orders') })
      @publisher({ stream: name('second') })
      handle(body: unknown) {
        if (body === 'nothing') return undefined;
        return new Response({ body }, { headers: { tenant: 'acme' } });
      }
    }
    service.register(new Orders());
    for (const address of [{ list: name('first') }, { stream: name('second'), lastId: '0' }]) {
      service.subscriber(address as { list: string }, (body: unknown, { message }) => {
        const { correlationId, headers } = message;
        const place = 'list' in address ? 'first' : 'second';
        received.push({ place, body, correlationId, tenant: headers['tenant'] });
      });
    }
    await service.start();
    await service.publish('nothing', { list: name('orders') });
    await service.publish('a', { list: name('orders'), correlationId: 'c-1' });
    await eventually(() => expect(received).toHaveLength(2));
    const expected = { body: { body: 'a' }, correlationId: 'c-1', tenant: 'acme' };
    expect(received.toSorted((x, y) => x.place.localeCompare(y.place))).toEqual([
      { place: 'first', ...expected },
      { place: 'second', ...expected },
    ]);
  });

  it('read streamed answers, with their own headers, and check what they send', async () => {
    const { broker, name } = bench();
    const service = broker();
    const tenants: (string | undefined)[] = [];
    const to = { list: name('rows') };
    service.subscriber(to, async function* rows(count, { message }) {
      tenants.push(message.headers['tenant']);
      for (let i = 1; i <= (count as number); i++) yield await Promise.resolve(i);
    });
    await service.start();
    const rows = service.publisher(to, { schema: z.number(), headers: { tenant: 'acme' } });
    expect(await collect(rows.requestMany<number>(3, { window: 1 }))).toEqual([1, 2, 3]);
    const wrong = rows.requestMany('three' as unknown as number);
    await expect(collect(wrong)).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
    expect(tenants).toEqual(['acme']);
    const contract = rpc(to, { request: z.number(), reply: z.number(), many: true });
    const plain = service.publisher(contract);
    expect(await collect(plain.requestMany(2))).toEqual([1, 2]);
    expect(() => rows.requestMany(1, { windwo: 5 } as object)).toThrow(SetupError);
    await expect(rows.gather(1 as never)).rejects.toThrow(SetupError);
  });

  it('ask all subscribers of their channel', async () => {
    const { broker, name } = bench();
    const [a, b] = [broker(), broker()];
    for (const one of [a, b])
      one.subscriber(name('who'), (body, { message }) => [body, message.headers['tenant']]);
    await Promise.all([a.start(), b.start()]);
    const headers = { tenant: 'acme' };
    const who = a.publisher({ channel: name('who') }, { schema: z.string(), headers });
    const { answers, errors, missing } = await who.gather('x', { timeout: 10_000 });
    expect(answers.map(({ body }) => body)).toEqual([
      ['x', 'acme'],
      ['x', 'acme'],
    ]);
    expect([errors, missing]).toEqual([[], []]);
    expect((await who.gather('x', { timeout: 10_000, max: 1 })).answers).toHaveLength(1);
    await expect(who.gather(7 as unknown as string)).rejects.toMatchObject({
      code: 'INVALID_MESSAGE',
    });
    const contract = rpc(name('who'), { request: z.string(), reply: z.array(z.unknown()) });
    expect((await a.publisher(contract).gather('y')).answers).toHaveLength(2);
  });

  it('cap their stream at maxlen', async () => {
    const { broker, name, backend } = bench();
    const service = broker();
    const made = service.publisher({ stream: name('capped'), maxlen: 10 });
    for (let n = 0; n < 500; n++) await made.publish(n);
    const left = await service.deadLetters({ stream: name('capped') }).count();
    // Redis trims whole nodes of 100 entries (`MAXLEN ~`).
    expect(left).toBeLessThanOrEqual(backend === 'redis' ? 110 : 10);
  });
});
