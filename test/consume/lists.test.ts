import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient } from '../support/redis.ts';

onBothBackends('a list subscriber', (bench) => {
  it('handles what waits there and what comes, first in first out', async () => {
    const { broker, name } = bench();
    const [client, service] = [broker(), broker()];
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void seen.push(body));
    for (const body of ['a', 'b', 'c']) await client.publish(body, { list: name() });
    await service.start();
    await client.publish('d', { list: name() });
    await eventually(() => expect(seen).toEqual(['a', 'b', 'c', 'd']));
  });

  it('shares the list with others: each item is handled once', async () => {
    const { broker, name } = bench();
    const seen: number[] = [];
    const services = [broker(), broker(), broker()];
    for (const service of services) {
      service.subscriber({ list: name() }, (body: number) => void seen.push(body));
    }
    await Promise.all(services.map((service) => service.start()));
    const sent = Array.from({ length: 100 }, (_, i) => i);
    await broker().publishBatch(sent, { list: name() });
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(sent.length));
    // The markers come after all items: what is handled twice would be there by then.
    await Promise.all(
      services.map((service) => service.publish(-1, { list: name(), rpc: true, timeout: 20_000 })),
    );
    expect(seen.filter((body) => body >= 0).toSorted((a, b) => a - b)).toEqual(sent);
  });

  it('knows the list as the source, and has no entry id', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (_, { message }) => {
      seen.push([message.source, message.id, message.deliveryCount]);
    });
    await service.start();
    await service.publish(1, { list: name() });
    await eventually(() => expect(seen).toEqual([[{ list: name() }, undefined, 1]]));
  });

  it('goes on after a failed item', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (body) => {
      if (body === 'bad') throw new Error('no good');
      seen.push(body);
    });
    await service.start();
    await service.publishBatch(['bad', 'good'], { list: name() });
    await eventually(() => expect(seen).toEqual(['good']));
    expect(takeLogs()).toMatchObject([{ error: { message: 'no good' } }]);
  });

  it('wakes within milliseconds, however long it was idle', async () => {
    const { broker, name, backend } = bench();
    const service = broker();
    service.subscriber({ list: name() }, () => performance.now());
    await service.start();
    const client = broker();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    await client.publish('warm up', call);
    const waits: number[] = [];
    for (let i = 0; i < 5 || (i < 200 && Math.min(...waits) >= 20); i++) {
      // Idleness is what is tested here: nothing could be waited for.
      await new Promise((resolve) => setTimeout(resolve, 60));
      const sent = performance.now();
      waits.push((await client.publish<number>(i, call)) - sent);
    }
    // The best of them: a busy machine delays some, polling would delay all.
    expect(Math.min(...waits), `${backend}: ${waits.join(', ')}`).toBeLessThan(20);
  });

  it('leaves nothing behind on the server', async () => {
    const { broker, name, backend, url } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void seen.push(body));
    await service.start();
    await service.publishBatch([1, 2, 3], { list: name() });
    await eventually(() => expect(seen).toEqual([1, 2, 3]));
    await service.stop();
    if (backend === 'memory') return;
    expect(await rawClient(url).keys(`${name('')}*`)).toEqual([]);
  });
});
