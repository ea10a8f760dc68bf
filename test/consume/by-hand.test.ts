import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const KINDS = ['channel', 'list', 'stream', 'group'] as const;

onBothBackends('messages taken by hand', (bench) => {
  const from = (kind: (typeof KINDS)[number], name: string) =>
    (kind === 'group' ? { stream: name, group: 'g' } : { [kind]: name }) as { list: string };
  const to = (kind: (typeof KINDS)[number], name: string) =>
    (kind === 'group' ? { stream: name } : { [kind]: name }) as { list: string };

  it.each(KINDS)('come one by one, in order, none lost between two calls (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    await using consumer = await service.subscribe(from(kind, name()));
    for (const body of ['a', 'b', 'c']) await service.publish(body, to(kind, name()));
    const taken = [];
    for (let i = 0; i < 3; i++) taken.push((await consumer.next({ timeout: 20_000 }))?.body);
    expect(taken).toEqual(['a', 'b', 'c']);
  });

  it.each(KINDS)('are null when none comes in time (%s)', async (kind) => {
    const { broker, name } = bench();
    await using consumer = await broker().subscribe(from(kind, name()));
    const began = performance.now();
    expect(await consumer.next({ timeout: 50 })).toBeNull();
    const took = performance.now() - began;
    expect(took).toBeGreaterThanOrEqual(45);
    expect(took).toBeLessThan(10_000);
  });

  it.each(KINDS)('are not lost when they come after a call gave up (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    await using consumer = await service.subscribe(from(kind, name()));
    expect(await consumer.next({ timeout: 20 })).toBeNull();
    await service.publish('late', to(kind, name()));
    expect((await consumer.next({ timeout: 20_000 }))?.body).toBe('late');
  });

  it.each(KINDS)('are there within 20 ms of being sent (%s)', async (kind) => {
    const { broker, name } = bench();
    const [service, client] = [broker(), broker()];
    await client.connect();
    await using consumer = await service.subscribe(from(kind, name()));
    const waits: number[] = [];
    for (let i = 0; i < 5 || (i < 200 && Math.min(...waits) >= 20); i++) {
      const next = consumer.next({ timeout: 20_000 });
      // Let it wait a while: a poll that has just begun would look quick.
      await new Promise((resolve) => setTimeout(resolve, 40));
      const sent = performance.now();
      await client.publish(i, to(kind, name()));
      expect((await next)?.body).toBe(i);
      waits.push(performance.now() - sent);
    }
    // The best of them: a busy machine delays some, polling would delay all.
    expect(Math.min(...waits)).toBeLessThan(20);
  });

  it.each(KINDS)('come by for await, until it is left (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    await using consumer = await service.subscribe(from(kind, name()));
    for (const body of [1, 2, 3]) await service.publish(body, to(kind, name()));
    const taken: unknown[] = [];
    for await (const { body } of consumer) {
      taken.push(body);
      if (taken.length === 3) break;
    }
    expect(taken).toEqual([1, 2, 3]);
  });

  it('end the loop when the consumer is closed, and when the broker stops', async () => {
    const { broker, name } = bench();
    for (const how of ['close', 'stop'] as const) {
      const service = broker();
      const consumer = await service.subscribe({ list: name(how) });
      const taken: unknown[] = [];
      const loop = (async () => {
        for await (const { body } of consumer) taken.push(body);
      })();
      await service.publish(1, { list: name(how) });
      await eventually(() => expect(taken).toEqual([1]));
      await (how === 'close' ? consumer.close() : service.stop());
      await loop;
      expect(await consumer.next({ timeout: 10 })).toBeNull();
    }
  });

  it('carry headers, correlation id, path and id like those that handlers get', async () => {
    const { broker, name } = bench();
    const service = broker();
    await using consumer = await service.subscribe({ stream: name() });
    const id = await service.publish(
      { a: 1 },
      { stream: name(), headers: { x: 'y' }, correlationId: 'c-1' },
    );
    const message = await consumer.next({ timeout: 20_000 });
    expect(message).toMatchObject({ body: { a: 1 }, id, correlationId: 'c-1' });
    expect(message?.headers['x']).toBe('y');
    expect(message?.source).toEqual({ stream: name() });
  });

  it('fit the schema, and those that do not are logged and passed by', async () => {
    const { broker, name } = bench();
    const service = broker();
    const schema = z.object({ n: z.number().default(7) });
    await using consumer = await service.subscribe({ list: name(), schema });
    await service.publishBatch([{ n: 'seven' }, {}, { n: 1 }], { list: name() });
    const one = await consumer.next({ timeout: 20_000 });
    const two = await consumer.next({ timeout: 20_000 });
    expect([one?.body, two?.body]).toEqual([{ n: 7 }, { n: 1 }]);
    expect(takeLogs()).toMatchObject([{ error: { code: 'INVALID_MESSAGE' } }]);
  });

  it('that cannot be decoded are logged and passed by', async () => {
    const { broker, name } = bench();
    const service = broker();
    await using consumer = await service.subscribe({ list: name() });
    const headers = { 'content-type': 'application/json' };
    await service.publish('{broken', { list: name(), headers });
    await service.publish('whole', { list: name() });
    expect((await consumer.next({ timeout: 20_000 }))?.body).toBe('whole');
    expect(takeLogs()).toMatchObject([{ error: { code: 'DECODE' } }]);
  });

  it('stay in the list when nobody has taken them', async () => {
    const { broker, name } = bench();
    const service = broker();
    const consumer = await service.subscribe({ list: name() });
    await service.publishBatch([1, 2, 3], { list: name() });
    expect((await consumer.next({ timeout: 20_000 }))?.body).toBe(1);
    await consumer.close();
    await using other = await service.subscribe({ list: name() });
    expect((await other.next({ timeout: 20_000 }))?.body).toBe(2);
    expect((await other.next({ timeout: 20_000 }))?.body).toBe(3);
  });

  it('that a consumer which is gone had not acknowledged are taken over, in order, and then null', async () => {
    const { broker, name } = bench();
    const client = broker();
    const jobs = { stream: name(), group: 'g', claim: { minIdle: 200 } };
    // More than one XAUTOCLAIM brings: it goes on where it stopped, and begins again at the end.
    const bodies = Array.from({ length: 250 }, (_, n) => n);
    await client.publishBatch(bodies, { stream: name() });
    const first = await client.subscribe(jobs);
    for (const body of bodies) expect((await first.next())?.body).toBe(body);
    await first.close();
    await using second = await client.subscribe(jobs);
    for (const body of bodies) {
      const taken = await second.next({ timeout: 10_000 });
      expect(taken).toMatchObject({ body, deliveryCount: 2 });
      await taken?.ack();
    }
    expect(await second.next({ timeout: 300 })).toBeNull();
  });

  it.each(KINDS)(
    'come in the order of the calls that wait, and null ends those that do when it closes (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const consumer = await service.subscribe(from(kind, name()));
      const waiting = [1, 2, 3].map(() => consumer.next());
      for (const body of ['a', 'b']) await service.publish(body, to(kind, name()));
      expect((await waiting[0])?.body).toBe('a');
      expect((await waiting[1])?.body).toBe('b');
      await Promise.all([consumer.close(), consumer.close()]);
      expect(await waiting[2]).toBeNull();
      expect(await consumer.next()).toBeNull();
    },
  );

  it.each(['group', 'reliable'] as const)(
    'whose caller has given up are passed by and settled (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const at =
        kind === 'group' ? { stream: name(), group: 'g' } : { list: name(), reliable: true };
      const where = (kind === 'group' ? { stream: name() } : { list: name() }) as { list: string };
      const first = await service.subscribe(at);
      await first.close();
      // A call whose time is over before it could be sent is never sent: the way for answers is open first.
      service.subscriber(name('echo'), (body) => body);
      await service.start();
      await service.publish(1, { channel: name('echo'), rpc: true });
      const call = { ...where, rpc: true, timeout: 30 } as const;
      await expect(service.publish('late', call)).rejects.toMatchObject({ code: 'RPC_TIMEOUT' });
      const gaveUpAt = Date.now();
      await eventually(() => expect(Date.now()).toBeGreaterThan(gaveUpAt + 10));
      await using consumer = await service.subscribe(at);
      await service.publish('in time', where);
      const taken = await consumer.next({ timeout: 20_000 });
      expect(taken?.body).toBe('in time');
      await taken?.ack();
      expect(service.stats.expiredRequests).toBe(1);
      await consumer.close();
      await using other = await service.subscribe(
        kind === 'group' ? { stream: name(), group: 'g', claim: { minIdle: 100 } } : at,
      );
      expect(await other.next({ timeout: 300 })).toBeNull();
    },
  );

  it('that are delivered too often are given up, and buried, where retry says so', async () => {
    const { broker, name } = bench();
    const service = broker();
    await using consumer = await service.subscribe({
      stream: name(),
      group: 'g',
      retry: { maxDeliveries: 2, backoff: 1 },
      deadLetter: { list: name('dead') },
    });
    await service.publish('poison', { stream: name() });
    for (let delivery = 1; delivery <= 2; delivery++) {
      const message = await consumer.next({ timeout: 20_000 });
      expect(message).toMatchObject({ body: 'poison', deliveryCount: delivery });
      await message?.nack();
    }
    const box = service.deadLetters({ list: name('dead') });
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(await box.list()).toMatchObject([{ body: 'poison', deliveries: 2 }]);
    takeLogs();
  });

  it('are refused while the broker stops, and what was being opened is closed', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    const opening = service.subscribe({ list: name() });
    const stopping = service.stop();
    const refused = service.subscribe({ list: name() });
    await expect(refused).rejects.toMatchObject({ code: 'BROKER_CLOSED' });
    await expect(opening).rejects.toBeInstanceOf(Error);
    await stopping;
  });

  it('are shared by several calls that wait at the same time', async () => {
    const { broker, name } = bench();
    const service = broker();
    await using consumer = await service.subscribe({ list: name() });
    const waiting = [1, 2, 3].map(() => consumer.next({ timeout: 20_000 }));
    await service.publishBatch(['a', 'b', 'c'], { list: name() });
    const bodies = (await Promise.all(waiting)).map((message) => message?.body);
    expect(new Set(bodies)).toEqual(new Set(['a', 'b', 'c']));
  });
});

describe('entries of a group taken by hand', () => {
  it('stay pending until they are acknowledged', async () => {
    const [stream, broker, client] = [unique(), newBroker(redisUrl()), rawClient()];
    await using consumer = await broker.subscribe({ stream, group: 'g', consumer: 'c' });
    const ids = await broker.publishBatch([1, 2, 3], { stream });
    const pending = async (): Promise<string[]> => {
      const rows = (await client.xpending(stream, 'g', '-', '+', 10)) as [string][];
      return rows.map(([id]) => id);
    };
    const one = await consumer.next({ timeout: 20_000 });
    expect(await pending()).toContain(ids[0]);
    await one?.ack();
    await one?.ack();
    const two = await consumer.next({ timeout: 20_000 });
    await two?.reject();
    await eventually(async () => {
      expect(await pending()).not.toContain(ids[0]);
      expect(await pending()).not.toContain(ids[1]);
    });
    const three = await consumer.next({ timeout: 20_000 });
    await three?.nack();
    const again = await consumer.next({ timeout: 10_000 });
    expect(again).toMatchObject({ body: 3, deliveryCount: 2, id: ids[2] });
    await again?.ack();
    await eventually(async () => expect(await pending()).toEqual([]));
  });
});

/** Bytes in use after a collection. */
function heap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

describe('the loop over messages taken by hand', () => {
  it.each(['list', 'reliable list', 'stream', 'group'] as const)(
    'goes on when its connection was cut (%s)',
    async (kind) => {
      const proxy = await FaultProxy.to(Number(new URL(redisUrl()).port));
      const [name, broker, client] = [unique(), newBroker(proxy.url), newBroker(redisUrl())];
      const isList = kind.endsWith('list');
      const at = isList
        ? { list: name, reliable: kind !== 'list' }
        : { stream: name, ...(kind === 'group' && { group: 'g' }) };
      await using consumer = await broker.subscribe(at as { list: string });
      const taken: unknown[] = [];
      const loop = (async () => {
        for await (const message of consumer) {
          taken.push(message.body);
          await message.ack();
        }
      })();
      const to = (isList ? { list: name } : { stream: name }) as { list: string };
      for (let round = 0; round < 3; round++) {
        await client.publish(round, to);
        // A plain list is at most once: Redis may still pop for the connection that was cut.
        const again = setInterval(() => {
          if (kind === 'list' && !taken.includes(round)) void client.publish(round, to);
        }, 1_000);
        await eventually(() => expect(taken).toContain(round));
        clearInterval(again);
        proxy.cut();
      }
      expect(kind === 'list' ? [...new Set(taken)] : taken).toEqual([0, 1, 2]);
      await consumer.close();
      await loop;
      takeLogs();
    },
  );

  it('keeps nothing of calls that have timed out', async () => {
    const [name, broker] = [unique(), newBroker(`memory://${unique()}`)];
    await using consumer = await broker.subscribe({ list: name });
    const timeOut = async (): Promise<void> => {
      const calls = Array.from({ length: 5_000 }, () => consumer.next({ timeout: 1 }));
      expect(new Set(await Promise.all(calls))).toEqual(new Set([null]));
    };
    await timeOut();
    const before = heap();
    for (let round = 0; round < 3; round++) await timeOut();
    // With 634 bytes for each of them it would be 9 MB.
    expect(heap() - before).toBeLessThan(3e6);
    await broker.publish('one', { list: name });
    expect((await consumer.next({ timeout: 20_000 }))?.body).toBe('one');
  });
});
