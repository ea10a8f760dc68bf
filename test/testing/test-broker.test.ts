import {
  NoRespondersError,
  RedisBroker,
  RpcTimeoutError,
  SetupError,
  event,
  publisher,
  subscriber,
} from 'redstart';
import { testBroker } from 'redstart/testing';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { deferred } from '../../src/internal/deferred.ts';
import { eventually } from '../support/eventually.ts';
import { hanging } from '../support/hanging.ts';
import { takeLogs, testLogger } from '../support/logs.ts';
import { redisUrl, unique } from '../support/redis.ts';

const Order = z.object({ sku: z.string(), quantity: z.number() });

class Orders {
  @publisher({ stream: 'placed' })
  @subscriber({ list: 'orders', schema: Order })
  async place({ sku, quantity }: z.infer<typeof Order>): Promise<{ sku: string; cents: number }> {
    await Promise.resolve();
    if (sku === 'none') throw new RangeError('out of stock');
    return { sku, cents: quantity * 1999 };
  }

  @subscriber('prices')
  price(sku: string): string {
    return `price of ${sku}`;
  }
}

/** One that would connect to a port where nobody listens. */
function newBroker(options = {}): RedisBroker {
  const broker = new RedisBroker('redis://localhost:1', { logger: testLogger, ...options });
  broker.register(new Orders());
  return broker;
}

const call = { rpc: true, timeout: 20_000 } as const;

const double = (n: number): number => 2 * n;

describe('testBroker', () => {
  it('needs no server: publishes, calls and results that are sent on arrive', async () => {
    const broker = newBroker();
    await using test = await testBroker(broker);
    expect(await broker.publish('A', { channel: 'prices', ...call })).toBe('price of A');
    expect(await broker.publish({ sku: 'A', quantity: 2 }, { list: 'orders' })).toBe(1);
    await test.idle();
    const [handled, ...others] = test.handled(Orders, 'place');
    expect(others).toEqual([]);
    expect(handled).toMatchObject({
      body: { sku: 'A', quantity: 2 },
      result: { sku: 'A', cents: 3998 },
      error: undefined,
      message: { source: { list: 'orders' } },
    });
    expect(test.handled(Orders, 'price').map(({ body }) => body)).toEqual(['A']);
    expect(test.published({ stream: 'placed' })).toMatchObject([
      {
        body: { sku: 'A', cents: 3998 },
        type: 'publish',
        correlationId: handled?.message.correlationId,
      },
    ]);
  });

  it('shows what was sent by a contract whose channel has parameters, with any values of them', async () => {
    const log = event('logs.{level}', { schema: z.string() });
    const broker = newBroker({ prefix: 'a:' });
    await using test = await testBroker(broker);
    await broker.publish('x', log, { path: { level: 'info' } });
    await broker.publish('y', log, { path: { level: 'warn' } });
    await broker.publish('z', 'logs.too.long');
    expect(test.published(log).map(({ body }) => body)).toEqual(['x', 'y']);
    expect(test.published('logs.info').map(({ body }) => body)).toEqual(['x']);
  });

  it('shows what a handler threw, and not what never reached it', async () => {
    const broker = newBroker();
    await using test = await testBroker(broker);
    const bad = broker.publish({ sku: 'none', quantity: 1 }, { list: 'orders', ...call });
    await expect(bad).rejects.toMatchObject({ remoteName: 'RangeError' });
    const invalid = broker.publish({ sku: 7 }, { list: 'orders', ...call });
    await expect(invalid).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
    expect(test.handled(Orders, 'place')).toMatchObject([
      { error: { message: 'out of stock' }, result: undefined },
    ]);
    expect(takeLogs()).toHaveLength(2);
  });

  it('shows functions and subscribers, too, and says where a handler is not registered', async () => {
    const broker = newBroker();
    const doubling = broker.subscriber({ list: 'double' }, double);
    await using test = await testBroker(broker);
    await broker.publish(4, { list: 'double', ...call });
    expect(test.handled(double)).toMatchObject([{ body: 4, result: 8 }]);
    expect(test.handled(doubling)).toEqual(test.handled(double));
    class Others {
      handle(): void {}
    }
    expect(() => test.handled(Others, 'handle')).toThrow(SetupError);
    expect(() => test.handled(Others, 'handle')).toThrow('Others.handle');
    expect(() => test.handled(() => 1)).toThrow(SetupError);
  });

  it('lets several brokers hear each other, and nobody else', async () => {
    const [service, client] = [newBroker(), new RedisBroker('redis://localhost:1')];
    await using _ = await testBroker(service, client);
    expect(await client.publish('A', { channel: 'prices', ...call })).toBe('price of A');
    const stranger = new RedisBroker('redis://localhost:1');
    await using other = await testBroker(stranger);
    const alone = stranger.publish('A', { channel: 'prices', ...call });
    await expect(alone).rejects.toBeInstanceOf(NoRespondersError);
    expect(other.published('prices')).toHaveLength(1);
  });

  it('gives the broker back its connection when it is disposed of', async () => {
    const list = unique();
    const broker = new RedisBroker(redisUrl(), { logger: testLogger });
    {
      await using test = await testBroker(broker);
      await broker.publish('tested', { list });
      expect(test.published({ list })).toHaveLength(1);
    }
    await broker.connect();
    expect(await broker.client.llen(list)).toBe(0);
    expect(await broker.publish('real', { list })).toBe(1);
    await expect(testBroker(broker)).rejects.toThrow('connected already');
    expect(await broker.publish('still real', { list })).toBe(2);
    await broker.stop();
    await using test = await testBroker(broker);
    expect(await broker.publish('tested', { list })).toBe(1);
    expect(test.published({ list })).toHaveLength(1);
  });

  it('refuses mistakes as the real start does', async () => {
    const broker = newBroker();
    broker.subscriber({ channel: 'x*', sharded: true }, () => 1);
    await expect(testBroker(broker)).rejects.toBeInstanceOf(SetupError);
    await expect(testBroker()).rejects.toBeInstanceOf(SetupError);
  });

  it('knows names as publish does, without the broker’s prefix', async () => {
    const broker = newBroker({ prefix: 'p:' });
    await using test = await testBroker(broker);
    const letters = event({ list: 'letters' }, { schema: z.string() });
    await broker.publish('a', letters, { headers: { n: 1 } });
    await broker.publishBatch(['b', 'c'], { list: 'letters' });
    await broker.pipeline().publish('d', { list: 'letters' }).send();
    await broker.publish(1n, { list: 'letters' }).catch(() => undefined); // never sent
    const sent = test.published(letters);
    expect(sent.map(({ body }) => body)).toEqual(['a', 'b', 'c', 'd']);
    expect(sent[0]?.headers).toEqual({ n: '1' });
  });

  it('shows each message of a batch, also of a @publisher with batch', async () => {
    const broker = newBroker();
    class Lines {
      @publisher({ list: 'words' }, { batch: true })
      @subscriber({ list: 'lines' })
      split(line: string): string[] {
        return line.split(' ');
      }
    }
    broker.register(new Lines());
    await using test = await testBroker(broker);
    await broker.publish('a b', { list: 'lines' });
    await test.idle();
    await broker.publisher({ list: 'words' }).publishBatch(['c', 'd']);
    expect(test.published({ list: 'words' }).map(({ body }) => body)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('published has no message that was not sent since its id is known, and says when a delayed one is due', async () => {
    const broker = newBroker();
    await using test = await testBroker(broker);
    const bodies = (to: { list: string } | { stream: string }): unknown[] =>
      test.published(to).map(({ body }) => body);
    for (const to of [{ list: 'l' }, { stream: 's' }]) {
      const given = to as { list: string };
      await broker.publish('a', { ...given, id: 'a' });
      await broker.publish('a', { ...given, id: 'a' });
      await broker.publishBatch(['a', 'b'], { ...given, id: (body) => body });
      await broker
        .pipeline()
        .publish('b', { ...given, id: 'b' })
        .publish('c', given)
        .send();
      expect(bodies(to)).toEqual(['a', 'b', 'c']);
    }
    const at = new Date(Date.now() + 60_000);
    await broker.publish('a', { list: 'later', delay: 60_000, id: 'a' });
    await broker.publish('a', { list: 'later', delay: 60_000, id: 'a' });
    await broker.publish('b', { list: 'later', at });
    await broker.publish('c', { list: 'later' });
    expect(test.published({ list: 'later' })).toEqual([
      expect.objectContaining({ body: 'a', delay: 60_000 }),
      expect.objectContaining({ body: 'b', at }),
      expect.not.objectContaining({ delay: expect.anything(), at: expect.anything() }),
    ]);
    // When the window of the id is over, a message with it is sent.
    await test.advance(600_001);
    await broker.publish('a', { list: 'l', id: 'a' });
    expect(bodies({ list: 'l' })).toEqual(['a', 'b', 'c', 'a']);
  });

  it('counts no message of a batch of which none was sent', async () => {
    const broker = newBroker();
    broker.use({
      publish: ({ body }, next) => {
        if (body === 'bad') throw new Error('not allowed');
        return next();
      },
    });
    await using test = await testBroker(broker);
    await expect(broker.publishBatch(['a', 'bad'], { list: 'x' })).rejects.toThrow('not allowed');
    await broker.publish('b', { list: 'x' });
    expect(test.published({ list: 'x' }).map(({ body }) => body)).toEqual(['b']);
  });

  it('behaves as on Redis: retries, dead letters, acknowledgement and pending', async () => {
    const broker = newBroker();
    const counts: unknown[] = [];
    broker.subscriber(
      {
        ...{ stream: 'jobs', group: 'g', deadLetter: { stream: 'dead' } },
        retry: { maxDeliveries: 3, backoff: 60_000 },
      },
      (body, { message }) => {
        counts.push(message.deliveryCount);
        if (body === 'poison') throw new Error('cannot');
      },
    );
    await using test = await testBroker(broker);
    await broker.publish('poison', { stream: 'jobs' });
    await broker.publish('fine', { stream: 'jobs' });
    await test.idle();
    expect(counts).toEqual([1, 1]);
    const pending = async (): Promise<unknown> =>
      (await broker.health()).subscribers.find(({ address }) => address.includes('jobs'))?.pending;
    expect(await pending()).toBe(1);
    await test.advance(59_000);
    expect(counts).toEqual([1, 1]);
    await test.advance(61_001);
    await test.idle();
    expect(counts).toEqual([1, 1, 2, 3]);
    expect(await pending()).toBe(0);
    const letters = broker.deadLetters({ stream: 'dead' });
    expect(await letters.list()).toMatchObject([{ body: 'poison', deliveries: 3 }]);
    expect(takeLogs().length).toBeGreaterThanOrEqual(3);
  });
});

describe('virtual time', () => {
  it('ends calls whose time is over, and lets others be', async () => {
    const broker = newBroker({ gracefulTimeout: 0 });
    broker.subscriber({ list: 'never' }, { concurrency: 2 }, () => new Promise(() => {}));
    await using test = await testBroker(broker);
    const began = performance.now();
    const short = broker.publish(1, { list: 'never', rpc: true, timeout: 60_000 });
    const long = broker.publish(1, { list: 'never', rpc: true, timeout: 3_600_000 });
    const ended: string[] = [];
    short.catch(() => ended.push('short'));
    long.catch(() => ended.push('long'));
    await test.advance(59_000);
    expect(ended).toEqual([]);
    await test.advance(2_000);
    await expect(short).rejects.toBeInstanceOf(RpcTimeoutError);
    expect(ended).toEqual(['short']);
    await test.advance(3_600_000);
    await expect(long).rejects.toBeInstanceOf(RpcTimeoutError);
    expect(performance.now() - began).toBeLessThan(30_000); // of an hour
    await test.stop();
    expect(takeLogs()).toHaveLength(2); // the handlers never end
  }, 180_000);

  it('has entries of consumers that are gone taken over', async () => {
    const [first, second] = [
      new RedisBroker('redis://localhost:1', { logger: testLogger, gracefulTimeout: 0 }),
      new RedisBroker('redis://localhost:1', { logger: testLogger }),
    ];
    const seen: string[] = [];
    const claim = { minIdle: 30_000 };
    const jobs = { stream: 'jobs', group: 'g', ackPolicy: 'manual', claim } as const;
    first.subscriber(jobs, () => void seen.push('first'));
    await using test = await testBroker(first, second);
    await first.publish('job', { stream: 'jobs' });
    await test.idle();
    second.subscriber(jobs, (_, ctx) => {
      seen.push(`second, delivery ${ctx.message.deliveryCount}`);
      return ctx.ack();
    });
    await test.advance(29_000);
    expect(seen).toEqual(['first']);
    await test.advance(2_000);
    await test.idle();
    expect(seen[0]).toBe('first');
    expect(seen).toHaveLength(2);
  });

  it('is the time of the health, too: a handler that hangs is stuck', async () => {
    const broker = newBroker();
    const { handler, end } = hanging();
    broker.subscriber({ list: 'hangs', maxRecords: 1 }, handler);
    await using test = await testBroker(broker);
    const state = async (): Promise<unknown> =>
      (await broker.health()).subscribers.find(({ address }) => address.includes('hangs'));
    await broker.publish('hangs', { list: 'hangs' });
    await eventually(async () => expect(await state()).toMatchObject({ running: 1 }));
    await broker.publish('waits', { list: 'hangs' });
    await test.advance(61_000);
    expect(await state()).toMatchObject({ state: 'stuck' });
    end();
  });

  it('is the real time again afterwards', async () => {
    const broker = newBroker();
    {
      await using test = await testBroker(broker);
      await test.advance(3_600_000);
    }
    await using test = await testBroker(broker);
    const id = await broker.publish(1, { stream: 'now' });
    expect(Math.abs(Number(id.split('-')[0]) - Date.now())).toBeLessThan(60_000);
    await expect(test.advance(-1)).rejects.toBeInstanceOf(SetupError);
  });
});

describe('faults on demand', () => {
  it('an answer that is dropped leaves its caller to its timeout', async () => {
    const broker = newBroker();
    await using test = await testBroker(broker);
    test.dropNextReply();
    const lost = broker.publish('A', { channel: 'prices', rpc: true, timeout: 60_000 });
    const outcome = lost.then(
      () => 'answered',
      (error: unknown) => error,
    );
    await test.idle();
    expect(test.handled(Orders, 'price')).toHaveLength(1);
    await test.advance(60_001);
    expect(await outcome).toBeInstanceOf(RpcTimeoutError);
    expect(await broker.publish('B', { channel: 'prices', ...call })).toBe('price of B');
  });

  it('while disconnected nothing arrives; afterwards what was kept does, and channels are heard again', async () => {
    const [service, client] = [newBroker(), new RedisBroker('redis://localhost:1')];
    await using test = await testBroker(service, client);
    test.disconnect(service);
    expect(await client.publish('unheard', { channel: 'prices' })).toBe(0);
    await client.publish({ sku: 'A', quantity: 1 }, { list: 'orders' });
    await test.idle();
    expect(test.handled(Orders, 'place')).toEqual([]);
    await test.reconnect(service);
    await test.idle();
    expect(test.handled(Orders, 'place')).toHaveLength(1);
    expect(test.handled(Orders, 'price')).toEqual([]);
    expect(await client.publish('A', { channel: 'prices', ...call })).toBe('price of A');
  });

  it('a broker that is disconnected stops as soon as one that is not', async () => {
    const broker = newBroker();
    await using test = await testBroker(broker);
    test.disconnect();
    const began = performance.now();
    await broker.stop();
    // A busy machine adds seconds.
    expect(performance.now() - began).toBeLessThan(15_000);
  });

  it('what is sent while disconnected waits, and an answer survives its caller’s reconnect', async () => {
    const [service, client] = [newBroker(), new RedisBroker('redis://localhost:1')];
    await using test = await testBroker(service, client);
    expect(await client.publish('warm', { channel: 'prices', ...call })).toBe('price of warm');
    const [began, gate] = [deferred<void>(), deferred<string>()];
    service.subscriber({ list: 'gated' }, () => (began.resolve(), gate.promise));
    const answer = client.publish(1, { list: 'gated', ...call });
    await began.promise;
    test.disconnect(client);
    gate.resolve('through');
    const waiting = client.publish({ sku: 'A', quantity: 1 }, { list: 'orders' });
    await test.idle();
    expect(test.handled(Orders, 'place')).toEqual([]);
    await test.reconnect();
    expect(await answer).toBe('through');
    expect(await waiting).toBe(1);
  });
});
