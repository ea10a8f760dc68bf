import { InvalidMessageError, publisher, RedisResponse, Response, subscriber } from 'redstart';
import type { Message, MessageContext, RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends, type Bench } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

const STRUCTURES = ['channel', 'list', 'stream'] as const;
type Structure = (typeof STRUCTURES)[number];

/** `{ [structure]: name }`, with the type that the compiler cannot see through a variable key. */
const at = (structure: Structure, name: string): { channel: string } =>
  ({ [structure]: name }) as unknown as { channel: string };

/** Everything that comes to an address, from its beginning. */
function listen(broker: RedisBroker, structure: Structure, name: string): Message[] {
  const heard: Message[] = [];
  const start = structure === 'stream' ? { lastId: '0' } : {};
  const address = { ...at(structure, name), ...start, noReply: true };
  broker.subscriber(address as { channel: string }, (_: unknown, ctx: MessageContext) => {
    heard.push(ctx.message);
  });
  return heard;
}

const bodies = (messages: readonly Message[]): unknown[] => messages.map(({ body }) => body);

onBothBackends('a publish resolves with', (bench) => {
  it('the receivers that a channel has', async () => {
    const { broker, name } = bench();
    const [one, two] = [broker(), broker()];
    expect(await one.publish(1, { channel: name() })).toBe(0);
    listen(one, 'channel', name());
    listen(two, 'channel', name());
    await Promise.all([one.start(), two.start()]);
    expect(await one.publish(1, { channel: name() })).toBe(2);
    expect(await one.publish(1, name())).toBe(2);
  });

  it('the length of the list', async () => {
    const { broker, name } = bench();
    const sender = broker();
    expect(await sender.publish(1, { list: name() })).toBe(1);
    expect(await sender.publish(2, { list: name() })).toBe(2);
  });

  it('the id of the stream entry, which is what the handler sees', async () => {
    const { broker, name } = bench();
    const service = broker();
    const heard = listen(service, 'stream', name());
    await service.start();
    const first = await service.publish(1, { stream: name() });
    const second = await service.publish(2, { stream: name() });
    expect(first).toMatch(/^\d+-\d+$/);
    expect(second).not.toBe(first);
    await eventually(() => expect(heard.map(({ id }) => id)).toEqual([first, second]));
  });
});

onBothBackends('publishBatch', (bench) => {
  const batch = ['a', { b: 2 }, null];

  it('appends to a list, in order, and resolves with its length', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.publish('first', { list: name() });
    expect(await service.publishBatch(batch, { list: name() })).toBe(4);
    const heard = listen(service, 'list', name());
    await service.start();
    await eventually(() => expect(bodies(heard)).toEqual(['first', ...batch]));
    expect(new Set(heard.map(({ correlationId }) => correlationId)).size).toBe(4);
  });

  it('adds to a stream, in order, and resolves with the ids', async () => {
    const { broker, name } = bench();
    const service = broker();
    const heard = listen(service, 'stream', name());
    await service.start();
    const ids = await service.publishBatch(batch, { stream: name() });
    await eventually(() => expect(bodies(heard)).toEqual(batch));
    expect(heard.map(({ id }) => id)).toEqual(ids);
  });

  it('publishes to a channel, in order, and resolves with the receivers of each', async () => {
    const { broker, name } = bench();
    const service = broker();
    const heard = listen(service, 'channel', name());
    await service.start();
    expect(await service.publishBatch(batch, { channel: name() })).toEqual([1, 1, 1]);
    await eventually(() => expect(bodies(heard)).toEqual(batch));
  });

  it('gives its headers and correlation id to every message', async () => {
    const { broker, name } = bench();
    const service = broker();
    const heard = listen(service, 'list', name());
    await service.start();
    await service.publishBatch([1, 2], { list: name(), headers: { n: 1 }, correlationId: 'c' });
    await eventually(() => expect(heard).toHaveLength(2));
    for (const message of heard) {
      expect(message.headers['n']).toBe('1');
      expect(message.correlationId).toBe('c');
    }
  });

  it('of nothing sends nothing', async () => {
    const { broker, name } = bench();
    const service = broker();
    const heard = STRUCTURES.map((structure) => listen(service, structure, name(structure)));
    await service.start();
    expect(await service.publishBatch([], { stream: name('stream') })).toEqual([]);
    expect(await service.publishBatch([], { channel: name('channel') })).toEqual([]);
    await service.publishBatch([], { list: name('list') });
    for (const structure of STRUCTURES)
      await service.publish('marker', at(structure, name(structure)));
    await eventually(() => expect(heard.map(bodies)).toEqual([['marker'], ['marker'], ['marker']]));
  });

  it('with one value that cannot be sent sends none', async () => {
    const { broker, name } = bench();
    const service = broker();
    const bad = service.publishBatch([1, 2n, 3], { list: name() });
    await expect(bad).rejects.toMatchObject({ code: 'ENCODE' });
    expect(await service.publish('marker', { list: name() })).toBe(1);
  });
});

/** Redis trims whole nodes of 100 entries where it may trim approximately; the last entry counts. */
const ABOUT_100 = { min: 99, max: 300 };

/** Entries of a stream, counted by reading it from the beginning up to a last one. */
async function count(service: RedisBroker, stream: string): Promise<number> {
  await service.publish('end', { stream });
  await using reader = await service.subscribe({ stream, lastId: '0' });
  for (let n = 0; ; n++) {
    const next = await reader.next({ timeout: 20_000 });
    if (next === null) throw new Error('the last entry did not come');
    if (next.body === 'end') return n;
  }
}

onBothBackends('maxlen', (bench) => {
  it('keeps a stream at about this many entries, for single messages and for batches', async () => {
    const { broker, name } = bench();
    const service = broker();
    for (let round = 0; round < 10; round++) {
      const batch = Array.from({ length: 100 }, (_, n) => n);
      await service.publishBatch(batch, { stream: name('batch'), maxlen: 100 });
      await Promise.all(
        batch.map((n) => service.publish(n, { stream: name('single'), maxlen: 100 })),
      );
    }
    for (const how of ['batch', 'single']) {
      const entries = await count(service, name(how));
      expect(entries).toBeGreaterThanOrEqual(ABOUT_100.min);
      expect(entries).toBeLessThanOrEqual(ABOUT_100.max);
    }
  });

  it('of a RedisResponse caps the stream that the answers land in', async () => {
    const { broker, name } = bench();
    const service = broker();
    let handled = 0;
    service.subscriber({ list: name('in'), concurrency: 50 }, (n) => {
      handled++;
      return new RedisResponse(n, { maxlen: 100 });
    });
    await service.start();
    const batch = Array.from({ length: 1_000 }, (_, n) => n);
    await service.publishBatch(batch, { list: name('in'), replyTo: { stream: name('out') } });
    await eventually(() => expect(handled).toBe(1_000));
    const entries = await count(service, name('out'));
    expect(entries).toBeGreaterThanOrEqual(ABOUT_100.min);
    expect(entries).toBeLessThanOrEqual(ABOUT_100.max);
  });
});

onBothBackends('replyTo', (bench) => {
  describe.each(STRUCTURES)('of a message to a %s', (from) => {
    it.each(STRUCTURES)('sends the answer to a %s, with the correlation id', async (to) => {
      const { broker, name } = bench();
      const service = broker();
      service.subscriber(at(from, name('in')), (body: number) => body + 1);
      const heard = listen(service, to, name('out'));
      await service.start();
      const options = { replyTo: at(to, name('out')), correlationId: 'kept' };
      await service.publish(1, { ...at(from, name('in')), ...options });
      await eventually(() => expect(heard).toHaveLength(1));
      expect(heard[0]).toMatchObject({ body: 2, correlationId: 'kept' });
    });
  });

  it('that is a bare string is a channel', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name('in'), (body) => body);
    const heard = listen(service, 'channel', name('out'));
    await service.start();
    await service.publish('x', { channel: name('in'), replyTo: name('out') });
    await eventually(() => expect(bodies(heard)).toEqual(['x']));
  });

  it('gets body, headers and correlation id of a Response and of a RedisResponse', async () => {
    const { broker, name } = bench();
    const service = broker();
    for (const Type of [Response, RedisResponse]) {
      service.subscriber(name(Type.name), () => {
        return new Type({ a: 1 }, { headers: { region: 'eu', n: 2 }, correlationId: 'other' });
      });
    }
    const heard = listen(service, 'list', name('out'));
    await service.start();
    const replyTo = { list: name('out') };
    await service.publish(1, { channel: name('Response'), replyTo });
    await service.publish(1, { channel: name('RedisResponse'), replyTo });
    await eventually(() => expect(heard).toHaveLength(2));
    for (const message of heard) {
      expect(message).toMatchObject({ body: { a: 1 }, correlationId: 'other' });
      expect(message.headers).toMatchObject({ region: 'eu', n: '2' });
    }
  });

  it('gets an empty answer for undefined, and none where the handler has noReply', async () => {
    const { broker, name } = bench();
    const service = broker();
    const done: string[] = [];
    service.subscriber({ channel: name('quiet'), noReply: true }, () => void done.push('quiet'));
    service.subscriber(name('empty'), () => void done.push('empty'));
    const heard = listen(service, 'list', name('out'));
    await service.start();
    const replyTo = { list: name('out') };
    await service.publish(1, { channel: name('quiet'), replyTo });
    await eventually(() => expect(done).toEqual(['quiet']));
    await service.publish(1, { channel: name('empty'), replyTo });
    await eventually(() => expect(bodies(heard)).toEqual([null]));
  });
});

onBothBackends('@publisher', (bench) => {
  it('sends on to several places; undefined to none, null as null', async () => {
    const { broker, name } = bench();
    const service = broker();
    class Relay {
      @subscriber(name('in'))
      @publisher({ list: name('list') })
      @publisher({ stream: name('stream') })
      @publisher(name('channel'), { headers: { via: 'relay' } })
      pass(body: unknown): unknown {
        return body === 'skip' ? undefined : body;
      }
    }
    service.register(new Relay());
    const heard = STRUCTURES.map((structure) => listen(service, structure, name(structure)));
    await service.start();
    for (const body of ['skip', null, 'last']) {
      await service.publish(body, { channel: name('in'), correlationId: `for ${body}` });
    }
    const expected = [null, 'last'];
    await eventually(() => expect(heard.map(bodies)).toEqual([expected, expected, expected]));
    expect(heard[0]?.[0]?.headers).toMatchObject({ via: 'relay' });
    for (const [, last] of heard) expect(last?.correlationId).toBe('for last');
  });

  it('does not take the answer from the caller', async () => {
    const { broker, name } = bench();
    const service = broker();
    class Relay {
      @subscriber(name('in'))
      @publisher({ list: name('out') })
      double(body: number): number {
        return body * 2;
      }
    }
    service.register(new Relay());
    const heard = listen(service, 'list', name('out'));
    await service.start();
    expect(await service.publish(4, { channel: name('in'), rpc: true, timeout: 20_000 })).toBe(8);
    await eventually(() => expect(bodies(heard)).toEqual([8]));
  });
});

onBothBackends('a publisher object', (bench: () => Bench) => {
  it('sends to its address with its headers, which a call can override', async () => {
    const { broker, name } = bench();
    const service = broker();
    const heard = listen(service, 'list', name());
    await service.start();
    const headers = { kind: 'default', from: 'here' };
    const orders = service.publisher({ list: name() }, { headers });
    await orders.publish(1);
    await orders.publish(2, { headers: { kind: 'mine' }, correlationId: 'c' });
    await orders.publishBatch([3, 4]);
    await eventually(() => expect(bodies(heard)).toEqual([1, 2, 3, 4]));
    expect(heard[0]?.headers).toMatchObject({ kind: 'default', from: 'here' });
    expect(heard[1]?.headers).toMatchObject({ kind: 'mine', from: 'here' });
    expect(heard[1]?.correlationId).toBe('c');
    expect(heard[3]?.headers).toMatchObject({ kind: 'default' });
  });

  it('has its answers sent to its replyTo, and calls without', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name('in'), (body) => body);
    const heard = listen(service, 'list', name('out'));
    await service.start();
    const ask = service.publisher(name('in'), { replyTo: { list: name('out') } });
    expect((await ask.request('called', { timeout: 20_000 })).body).toBe('called');
    expect(await ask.publish('sent')).toBe(1);
    await eventually(() => expect(bodies(heard)).toEqual(['sent']));
  });

  it('refuses what does not fit its schema and sends nothing', async () => {
    const { broker, name } = bench();
    const service = broker();
    const schema = z.object({ sku: z.string() });
    const orders = service.publisher({ list: name() }, { schema });
    const wrong = { sku: 1 } as unknown as { sku: string };
    await expect(orders.publish(wrong)).rejects.toBeInstanceOf(InvalidMessageError);
    await expect(orders.publishBatch([{ sku: 'a' }, wrong])).rejects.toThrow(/sku/);
    await expect(orders.request(wrong)).rejects.toBeInstanceOf(InvalidMessageError);
    expect(await orders.publish({ sku: 'A-1' })).toBe(1);
  });
});
