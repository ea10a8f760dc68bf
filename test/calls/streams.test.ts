import { RpcError, RpcTimeoutError, StreamBrokenError, type RedisBroker } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient } from '../support/redis.ts';

interface Counter {
  readonly service: RedisBroker;
  produced: number;
  finished: number;
}

/** A service that counts to the number it is sent, and how far it got. */
async function counter(service: RedisBroker, channel: string): Promise<Counter> {
  const counts: Counter = { service, produced: 0, finished: 0 };
  service.subscriber(channel, { concurrency: 200 }, async function* (to: number) {
    try {
      for (let i = 1; i <= to; i++) {
        counts.produced++;
        yield i;
      }
    } finally {
      counts.finished++;
    }
  });
  await service.start();
  return counts;
}

onBothBackends('a stream of answers', (bench) => {
  it('gives every item, in order', async () => {
    const { broker, name } = bench();
    const channel = name();
    const { service } = await counter(broker(), channel);
    const items: number[] = [];
    for await (const item of service.requestMany<number>(1_000, { channel })) items.push(item);
    expect(items).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1));
    expect(service.stats.pendingCalls).toBe(0);
  });

  it.each(['list', 'stream'] as const)('travels over a %s, too', async (kind) => {
    const { broker, name } = bench();
    const address = name();
    const service = broker();
    const source = kind === 'list' ? { list: address } : { stream: address, group: 'g' };
    service.subscriber(source as { list: string }, async function* () {
      yield 'a';
      yield 'b';
    });
    await service.start();
    const to = { [kind]: address } as { list: string };
    expect(await collect(service.requestMany(1, to))).toEqual(['a', 'b']);
  });

  it('slows its producer to the pace of its reader: never more than a window ahead', async () => {
    const { broker, name } = bench();
    const channel = name();
    const counts = await counter(broker(), channel);
    let read = 0;
    let lead = 0;
    for await (const _ of counts.service.requestMany(500, { channel, window: 10 })) {
      read++;
      if (read % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      lead = Math.max(lead, counts.produced - read);
    }
    expect(read).toBe(500);
    expect(lead).toBeLessThanOrEqual(10);
  });

  it('stops the generator when the reader leaves early; its finally runs', async () => {
    const { broker, name } = bench();
    const channel = name();
    const counts = await counter(broker(), channel);
    for await (const item of counts.service.requestMany<number>(1e9, { channel, window: 16 })) {
      if (item === 5) break;
    }
    await eventually(() => counts.finished === 1);
    expect(counts.produced).toBeLessThanOrEqual(5 + 16);
    expect(counts.service.stats.pendingCalls).toBe(0);
  });

  it('hands over what came before an error, then the error', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    service.subscriber(channel, async function* () {
      yield 1;
      yield 2;
      throw new RpcError('MIDWAY', 'no more', { after: 2 });
    });
    await service.start();
    const items: unknown[] = [];
    const reading = (async () => {
      for await (const item of service.requestMany(1, { channel })) items.push(item);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'MIDWAY', data: { after: 2 } });
    expect(items).toEqual([1, 2]);
  });

  it('ends at its timeout for an item, for the whole, and at its signal; the generator ends, too', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    let begun = 0;
    let finished = 0;
    service.subscriber(channel, { concurrency: 10 }, async function* (_body, { signal }) {
      begun++;
      try {
        yield 1;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      } finally {
        finished++;
      }
    });
    await service.start();
    const reason = new Error('enough');
    const cases: [() => object, unknown][] = [
      [() => ({ itemTimeout: 50 }), expect.any(RpcTimeoutError)],
      [() => ({ timeout: 50 }), expect.any(RpcTimeoutError)],
      [
        () => ({ signal: AbortSignal.timeout(50) }),
        expect.objectContaining({ name: 'TimeoutError' }),
      ],
      [() => ({ signal: AbortSignal.abort(reason) }), reason],
    ];
    for (const [options, expected] of cases) {
      const before = begun;
      // Where the machine was so busy that the time was over before the generator began: once more.
      await eventually(async () => {
        const reading = collect(service.requestMany(1, { channel, ...options() }));
        await expect(reading.catch((error: unknown) => error)).resolves.toEqual(expected);
        return begun > before || expected === reason;
      });
    }
    expect(begun).toBeGreaterThanOrEqual(3);
    await eventually(() => finished === begun);
  });

  it('checks each item against reply', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    service.subscriber(channel, async function* () {
      yield 1;
      yield 'two';
    });
    await service.start();
    const reading = collect(service.requestMany(1, { channel, reply: z.number() }));
    await expect(reading).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
  });

  it('refuses a plain call to a streaming handler, and gives a plain handler as a stream of one', async () => {
    const { broker, name } = bench();
    const channel = name();
    const { service } = await counter(broker(), channel);
    await expect(service.publish(3, { channel, rpc: true })).rejects.toMatchObject({
      code: 'STREAM',
    });
    service.subscriber(`${channel}:one`, () => 'only');
    await eventually(async () => {
      const items = await collect(service.requestMany(1, { channel: `${channel}:one` }));
      expect(items).toEqual(['only']);
    });
  });

  it('uses one place of the concurrency of its subscriber while it runs', async () => {
    const { broker, name } = bench();
    const service = broker();
    const begun: unknown[] = [];
    service.subscriber({ list: name() }, async function* (body: unknown) {
      begun.push(body);
      yield 1;
      yield 2;
    });
    await service.start();
    const first = service.requestMany('first', { list: name(), window: 1 });
    expect(await first.next()).toMatchObject({ value: 1 });
    const plain = service.requestMany('second', { list: name() });
    const second = plain.next();
    // Another list's call goes there and back meanwhile.
    service.subscriber({ list: name('other') }, (body) => body);
    await service.publish(1, { list: name('other'), rpc: true, timeout: 20_000 });
    expect(begun).toEqual(['first']);
    await first.return?.();
    expect(await second).toMatchObject({ value: 1 });
    expect(begun).toEqual(['first', 'second']);
    await plain.return?.();
  });

  it('runs a hundred at once', async () => {
    const { broker, name } = bench();
    const channel = name();
    const { service } = await counter(broker(), channel);
    const streams = Array.from({ length: 100 }, () =>
      collect(service.requestMany(100, { channel })),
    );
    for (const items of await Promise.all(streams)) expect(items).toHaveLength(100);
  });
});

it('a stream whose connection breaks ends on both sides, with a typed error', async () => {
  const server = await ownServer();
  const raw = rawClient(server.url);
  const service = newBroker(server.url);
  const counts = await counter(service, 'numbers');
  const client = newBroker(server.url);
  let read = 0;
  const reading = (async () => {
    for await (const _ of client.requestMany(1e9, { channel: 'numbers' })) {
      if (++read === 100) await raw.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
  })();
  await expect(reading).rejects.toBeInstanceOf(StreamBrokenError);
  await eventually(() => counts.finished === 1);
  // What they log of it comes before they have stopped.
  await Promise.all([client.stop(), service.stop()]);
  takeLogs();
});
