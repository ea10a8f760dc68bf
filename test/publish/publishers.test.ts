import { Response, publisher, subscriber } from 'redstart';
import { expect, it } from 'vitest';
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
