import { expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

onBothBackends('a reliable list', (bench) => {
  it('is handled first in first out, each item once', async () => {
    const { broker, name } = bench();
    const [service, next] = [broker(), broker()];
    await next.connect(); // memory forgets what nobody is connected to
    const seen: unknown[] = [];
    service.subscriber({ list: name(), reliable: true }, (body, { message }) => {
      seen.push([body, message.source, message.id, message.deliveryCount]);
    });
    await service.publishBatch(['a', 'b'], { list: name() });
    await service.start();
    await service.publish('c', { list: name() });
    const source = { list: name() };
    await eventually(() =>
      expect(seen).toEqual(['a', 'b', 'c'].map((body) => [body, source, undefined, 1])),
    );
    await service.stop();
    next.subscriber({ list: name() }, (body) => void seen.push(body));
    await next.start();
    await next.publish('end', { list: name() });
    await eventually(() => expect(seen.slice(3)).toEqual(['end']));
  });

  it('answers calls', async () => {
    const { broker, name } = bench();
    const [service, client] = [broker(), broker()];
    service.subscriber({ list: name(), reliable: true, concurrency: 10 }, (n: number) => n * 2);
    await service.start();
    const calls = Array.from({ length: 200 }, (_, n) =>
      client.publish(n, { list: name(), rpc: true, timeout: 20_000 }),
    );
    expect(await Promise.all(calls)).toEqual(calls.map((_, n) => n * 2));
  });

  it('hands over batches', async () => {
    const { broker, name } = bench();
    const service = broker();
    const batches: unknown[][] = [];
    const address = { list: name(), reliable: true, batch: true, maxRecords: 4 } as const;
    service.subscriber(address, (bodies: unknown[]) => void batches.push(bodies));
    await service.publishBatch([1, 2, 3, 4, 5, 6], { list: name() });
    await service.start();
    await eventually(() =>
      expect(batches).toEqual([
        [1, 2, 3, 4],
        [5, 6],
      ]),
    );
  });

  it('acknowledges and logs what fails with reject-on-error, and does not repeat it', async () => {
    const { broker, name } = bench();
    const [service, next] = [broker(), broker()];
    await next.connect(); // memory forgets what nobody is connected to
    const seen: unknown[] = [];
    service.subscriber({ list: name(), reliable: true, ackPolicy: 'reject-on-error' }, (body) => {
      seen.push(body);
      if (body === 'poison') throw new Error('no good');
    });
    await service.start();
    await service.publishBatch(['poison', 'good'], { list: name() });
    await eventually(() => expect(seen).toEqual(['poison', 'good']));
    await service.stop();
    expect(takeLogs()).toMatchObject([{ error: { message: 'no good' } }]);
    next.subscriber({ list: name(), reliable: true }, (body) => void seen.push(body));
    await next.start();
    await next.publish('end', { list: name() });
    await eventually(() => expect(seen).toEqual(['poison', 'good', 'end']));
  });

  it('delivers again what failed, by default, and counts', async () => {
    const { broker, name } = bench();
    const service = broker();
    const counts: number[] = [];
    service.subscriber({ list: name(), reliable: true }, (_, { message }) => {
      counts.push(message.deliveryCount);
      if (message.deliveryCount < 3) throw new Error('not yet');
    });
    await service.start();
    await service.publish('a', { list: name() });
    await eventually(() => expect(counts).toEqual([1, 2, 3]));
    takeLogs();
  });

  it('buries what failed as often as it may', async () => {
    const { broker, name } = bench();
    const service = broker();
    const dead = { list: name('dead') };
    const retry = { maxDeliveries: 2, backoff: 10 };
    service.subscriber({ list: name(), reliable: true, retry, deadLetter: dead }, () => {
      throw new Error('never');
    });
    await service.start();
    await service.publish('a', { list: name() });
    const box = service.deadLetters(dead);
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(await box.list()).toMatchObject([{ body: 'a', deliveries: 2 }]);
    takeLogs();
  });

  it('gives back at a stop what was not settled by hand, and what was not started, in order', async () => {
    const { broker, name } = bench();
    const [service, next] = [broker(), broker()];
    await next.connect(); // memory forgets what nobody is connected to
    const seen: unknown[] = [];
    const [started, ended] = [deferred<void>(), deferred<void>()];
    const address = { list: name(), reliable: true, ackPolicy: 'manual', maxRecords: 10 } as const;
    service.subscriber(address, async (body: number, ctx) => {
      if (body === 1) await ctx.ack();
      if (body < 3) return;
      started.resolve();
      await ended.promise;
    });
    await service.publishBatch([1, 2, 3, 4, 5], { list: name() });
    await service.start();
    await started.promise;
    const stopping = service.stop();
    ended.resolve();
    await stopping;
    next.subscriber({ list: name() }, (body) => void seen.push(body));
    await next.start();
    await eventually(() => expect(seen).toEqual([2, 3, 4, 5]));
  });

  it('is consumed by hand, too', async () => {
    const { broker, name } = bench();
    const client = broker();
    await client.publishBatch(['a', 'b', 'c'], { list: name() });
    const first = await client.subscribe({ list: name(), reliable: true, ackPolicy: 'manual' });
    const a = await first.next();
    await a?.ack();
    const b = await first.next();
    await b?.nack();
    await first.close();
    await using second = await client.subscribe({ list: name() });
    expect([(await second.next())?.body, (await second.next())?.body]).toEqual(['b', 'c']);
  });
});

it('an item is in Redis until its answer is out and its handler done, and no key is left after a stop', async () => {
  // A hash tag of the list's own, which its other keys have to share.
  const list = `{${unique()}}:work`;
  const raw = rawClient();
  const service = newBroker(redisUrl());
  const end = deferred<string>();
  service.subscriber({ list, reliable: true }, () => end.promise);
  await service.start();
  const answer = service.publish('a', { list, rpc: true, timeout: 20_000 });
  const held = async (): Promise<string[]> => {
    const keys = await raw.keys(`redstart:list::${list}:*`);
    return keys.filter((key) => !key.endsWith(':consumers'));
  };
  await eventually(async () => expect(await held()).toHaveLength(1));
  expect(await raw.llen(list)).toBe(0);
  end.resolve('done');
  expect(await answer).toBe('done');
  await eventually(async () => expect(await held()).toEqual([]));
  await service.stop();
  expect(await raw.keys(`*${list}*`)).toEqual([]);
});
