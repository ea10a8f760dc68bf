import { InvalidMessageError, Response, publisher, subscriber } from 'redstart';
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

  it('as objects publish, also where made after the start, with defaults that a message may replace', async () => {
    const { broker, name } = bench();
    const service = broker();
    const tenants: unknown[] = [];
    service.subscriber({ list: name('a') }, (body: unknown, { message }) => {
      tenants.push([body, message.headers['tenant'], message.headers['kind']]);
    });
    await service.start();
    const made = service.publisher(
      { list: name('a') },
      { headers: { tenant: 'default', kind: 'order' } },
    );
    await made.publish(1);
    await made.publish(2, { headers: { tenant: 'other' } });
    await eventually(() => expect(tenants).toHaveLength(2));
    expect(tenants).toEqual([
      [1, 'default', 'order'],
      [2, 'other', 'order'],
    ]);
  });

  it('as objects call, and resolve with the answer', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ channel: name('double') }, (n: number) => n * 2);
    await service.start();
    const answer = await service.publisher({ channel: name('double') }).request(21);
    expect(answer.body).toBe(42);
  });

  it('refuse what does not fit their schema, before anything is sent', async () => {
    const { broker, name } = bench();
    const service = broker();
    const bodies: unknown[] = [];
    service.subscriber({ list: name('a') }, (body: unknown) => void bodies.push(body));
    await service.start();
    const made = service.publisher({ list: name('a') }, { schema: z.object({ sku: z.string() }) });
    await expect(made.publish({ sku: 7 } as never)).rejects.toBeInstanceOf(InvalidMessageError);
    await made.publish({ sku: 'A' });
    await eventually(() => expect(bodies).toEqual([{ sku: 'A' }]));
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
