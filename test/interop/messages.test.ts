// Messages that nobody waits for, between redstart and the real FastStream, both ways.
import { describe, expect, it } from 'vitest';
import { publisher, subscriber, type MessageContext } from 'redstart';
import { z } from 'zod';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { Caller, KINDS, Service, place, type Seen } from './peer.ts';
import { findPython } from './python.ts';

const python = await findPython();

const VALUES = [
  { sku: 'A-1', lines: [1, 2.5, null, { deep: true }], name: 'Žofie Ωmega 🎈' },
  ...['text', 'Žluťoučký 🎈', '', '{"text": "that looks like JSON"}', '17'],
  ...[0, -1.5, 2 ** 53 - 1, true, false, [], {}, [[]]],
  Buffer.from([0, 255, 128, 10]),
];

/** A started subscriber, and what its handler gets. */
async function listen(
  to: object,
): Promise<{ bodies: unknown[]; contexts: MessageContext[]; stop: () => Promise<void> }> {
  const broker = newBroker(redisUrl());
  const bodies: unknown[] = [];
  const contexts: MessageContext[] = [];
  broker.subscriber(to as { channel: string }, (body, context) => {
    bodies.push(body);
    contexts.push(context);
  });
  await broker.start();
  return { bodies, contexts, stop: () => broker.stop() };
}

describe.skipIf(python === undefined)('messages from redstart to FastStream', () => {
  const service = new Service(python as string);

  /** The next messages of a reporting handler. */
  const seen = (where: string, count = 1): Promise<Seen[]> => {
    const all: Seen[] = [];
    return eventually(() => {
      all.push(...service.take(where));
      return all.length >= count && all;
    }) as Promise<Seen[]>;
  };

  describe.each(KINDS)('over a %s', (kind) => {
    it('arrive as they were and in order', async () => {
      const broker = newBroker(redisUrl());
      for (const value of VALUES) await broker.publish(value, service.at(kind, 'seen'));
      const got = await seen(`${kind}:seen`, VALUES.length);
      expect(got.map(({ body }) => body)).toEqual(VALUES);
      expect(got.map(({ replyTo }) => replyTo)).toEqual(VALUES.map(() => ''));
    });

    it('carry correlation id, content type and headers, of any alphabet', async () => {
      const broker = newBroker(redisUrl());
      const headers = { 'x-name': 'Žofie', 'x-ключ': '🎈', 'x-n': 7 };
      const to = { ...service.at(kind, 'seen'), correlationId: 'order-Ž', headers };
      await broker.publish({ n: 1 }, to);
      const [message] = await seen(`${kind}:seen`);
      expect(message?.headers).toEqual({
        correlation_id: 'order-Ž',
        'content-type': 'application/json',
        ...{ 'x-name': 'Žofie', 'x-ключ': '🎈', 'x-n': '7' },
      });
      expect(message).toMatchObject({ correlationId: 'order-Ž', contentType: 'application/json' });
    });

    it('arrive from a @publisher method, with the correlation id of what it handled', async () => {
      const [input, output] = [unique('input'), service.at(kind, 'seen')];
      class Relay {
        @subscriber(input)
        @publisher(output)
        relay(n: number): { twice: number } {
          return { twice: n * 2 };
        }
      }
      const broker = newBroker(redisUrl());
      broker.register(new Relay());
      await broker.start();
      await broker.publish(21, { channel: input, correlationId: 'chain' });
      const [message] = await seen(`${kind}:seen`);
      expect(message).toMatchObject({ body: { twice: 42 }, correlationId: 'chain' });
    });

    it('arrive as ordinary ones after a delay, with their id and their key, once each', async () => {
      const broker = newBroker(redisUrl());
      await broker.connect(); // it moves what is due
      const id = kind === 'channel' ? undefined : unique('order');
      const to = { ...service.at(kind, 'seen'), key: 'customer-7', id } as object;
      const delayed = { ...to, delay: 100, expires: 60_000 } as never;
      const handle = await broker.publish({ n: 1 }, delayed);
      const again = id === undefined ? handle : await broker.publish({ n: 1 }, delayed);
      expect([handle, again]).toEqual(id === undefined ? [handle, handle] : [id, id]);
      await eventually(async () =>
        expect(await broker.delayed(to as never).list()).toHaveLength(0),
      );
      if (id !== undefined) await broker.publish({ n: 1 }, to as never);
      await broker.publish({ n: 2 }, service.at(kind, 'seen'));
      const got = await seen(`${kind}:seen`, 2);
      expect(got.map(({ body }) => body)).toEqual([{ n: 1 }, { n: 2 }]);
      expect(got[0]?.headers).toMatchObject({ 'redstart-key': 'customer-7' });
      expect(got[0]?.headers['message_id']).toBe(id);
      expect(got[0]?.messageId).toBe(id ?? got[0]?.messageId);
    });

    it('arrive in batches', async () => {
      const broker = newBroker(redisUrl());
      const bodies = ['text', { n: 1 }, 17];
      await broker.publishBatch(bodies, service.at(kind, 'seen'));
      const got = await seen(`${kind}:seen`, 3);
      expect(got.map(({ body }) => body)).toEqual(bodies);
      expect(new Set(got.map(({ correlationId }) => correlationId)).size).toBe(3);
    });
  });

  it('are theirs, too, where a group of redstart’s handles each id once', async () => {
    const to = service.at('stream', 'seen') as unknown as { stream: string };
    const own = newBroker(redisUrl());
    const handled: unknown[] = [];
    own.subscriber(
      { ...to, group: 'own', lastId: '$', once: 60_000 },
      (body) => void handled.push(body),
    );
    await own.start();
    // As a sender without a window for ids sends them: two entries with one id.
    const again = { ...to, headers: { message_id: 'payment-1' } };
    for (const n of [1, 1]) await own.publish({ n }, again);
    await own.publish({ n: 2 }, { ...to, id: unique('payment') });
    const got = await seen('stream:seen', 3);
    expect(got.map(({ body }) => body)).toEqual([{ n: 1 }, { n: 1 }, { n: 2 }]);
    expect(got.map(({ messageId }) => messageId).slice(0, 2)).toEqual(['payment-1', 'payment-1']);
    await eventually(() => expect(handled).toEqual([{ n: 1 }, { n: 2 }]));
  });

  it('arrive in a list’s batch handler together, each with its headers', async () => {
    const broker = newBroker(redisUrl());
    const bodies = [{ n: 1 }, { n: 2 }, { n: 3 }];
    const to = { ...service.at('list', 'batch'), headers: { 'x-name': 'Žofie' } };
    await broker.publishBatch(bodies, to);
    const [message] = await seen('list:batch');
    expect(message?.body).toEqual(bodies);
    const names = message?.batchHeaders.map((headers) => headers['x-name']);
    expect(names).toEqual(['Žofie', 'Žofie', 'Žofie']);
  });

  it('arrive in a stream’s batch handler, and through a stream without a group', async () => {
    const broker = newBroker(redisUrl());
    const bodies = [{ n: 1 }, { n: 2 }, { n: 3 }];
    for (const what of ['batch', 'alone']) {
      const stream = service.name(`stream:${what}`);
      await broker.publishBatch(bodies, { stream });
      const got: unknown[] = [];
      await eventually(() => {
        got.push(...service.take(`stream:${what}`).flatMap(({ body }) => body));
        expect(got).toEqual(bodies);
      });
    }
  });

  it('are acknowledged by a FastStream group', async () => {
    const broker = newBroker(redisUrl());
    const stream = service.name('stream:seen');
    await broker.publish('x', { stream });
    await seen('stream:seen');
    const pending = (): Promise<unknown> => rawClient().xpending(stream, 'workers');
    await eventually(async () => expect(await pending()).toEqual([0, null, null, null]));
  });

  it('reach a template of FastStream, which takes the name apart', async () => {
    const broker = newBroker(redisUrl());
    await broker.publish('x', service.name('logs.warn.orders'));
    expect(await seen('logs')).toMatchObject([{ body: 'x', path: ['warn', 'orders'] }]);
  });
});

describe.skipIf(python === undefined)('messages from FastStream to redstart', () => {
  const caller = new Caller(python as string);

  describe.each(KINDS)('over a %s', (kind) => {
    it('arrive as they were and in order', async () => {
      const at = place(kind, unique('values'));
      const { bodies } = await listen(at);
      for (const value of [...VALUES, null]) await caller.publish(value, at);
      await eventually(() => expect(bodies).toEqual([...VALUES, null]));
    });

    it('carry correlation id, content type, reply_to and headers', async () => {
      const at = place(kind, unique('headers'));
      const { contexts } = await listen(at);
      const headers = { 'x-plain': 'yes', 'x-empty': '' };
      const reply_to = unique('reply');
      await caller.publish({ n: 1 }, { ...at, headers, correlation_id: 'order-1', reply_to });
      await eventually(() => expect(contexts).toHaveLength(1));
      const { message } = contexts[0] as MessageContext;
      expect(message.headers).toEqual({
        correlation_id: 'order-1',
        'content-type': 'application/json',
        reply_to,
        ...headers,
      });
      expect(message).toMatchObject({ correlationId: 'order-1', replyTo: reply_to });
    });

    it('arrive whole although FastStream miscounts headers of other alphabets', async () => {
      const at = place(kind, unique('miscounted'));
      const { bodies, contexts } = await listen(at);
      const headers = { 'x-name': 'Žofie', 'x-ключ': '🎈 да', 'x-plain': 'yes' };
      for (const body of [{ n: 1 }, 'Žluťoučký', Buffer.from([0, 255])]) {
        await caller.publish(body, { ...at, headers, correlation_id: 'Ž-1' });
      }
      await eventually(() => expect(bodies).toHaveLength(3));
      expect(bodies).toEqual([{ n: 1 }, 'Žluťoučký', Buffer.from([0, 255])]);
      for (const { message } of contexts) {
        expect(message.headers).toMatchObject(headers);
        expect(message.correlationId).toBe('Ž-1');
      }
    });

    it('are checked by a schema, and one that does not fit is logged', async () => {
      const at = place(kind, unique('schema'));
      const { bodies } = await listen({ ...at, schema: z.object({ n: z.coerce.number() }) });
      for (const value of [{ n: '1' }, { m: 2 }, 'text', { n: 3 }]) await caller.publish(value, at);
      await eventually(() => expect(bodies).toEqual([{ n: 1 }, { n: 3 }]));
      expect(takeLogs()).toMatchObject([
        { error: { code: 'INVALID_MESSAGE' } },
        { error: { code: 'INVALID_MESSAGE' } },
      ]);
    });
  });

  it('arrive one by one from publish_batch, under the correlation id that they share', async () => {
    const list = unique('batch');
    const { bodies, contexts } = await listen({ list });
    const items = ['text', { n: 1 }, 17, true];
    expect(await caller.publishBatch(items, { list, headers: { 'x-a': 'b' } })).toBe(4);
    await eventually(() => expect(bodies).toEqual(items));
    expect(new Set(contexts.map(({ message }) => message.correlationId)).size).toBe(1);
    expect(contexts.map(({ message }) => message.headers['x-a'])).toEqual(['b', 'b', 'b', 'b']);
  });

  it('arrive together in a batch handler, each decoded by its own content type', async () => {
    const list = unique('batch');
    const items = ['17', { n: 1 }, Buffer.from([255]), 17];
    await caller.publishBatch(items, { list });
    const { bodies } = await listen({ list, batch: true });
    await eventually(() => expect(bodies).toEqual([items]));
  });

  it('wait in a stream for a group that begins later, which shares and acknowledges them', async () => {
    const stream = unique('group');
    for (const n of [1, 2, 3]) await caller.publish({ n }, { stream, maxlen: 1_000 });
    const { bodies, contexts } = await listen({ stream, group: 'workers' });
    await eventually(() => expect(bodies).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]));
    expect(contexts.every(({ message }) => /^\d+-\d+$/.test(message.id ?? ''))).toBe(true);
    const pending = (): Promise<unknown> => rawClient().xpending(stream, 'workers');
    await eventually(async () => expect(await pending()).toEqual([0, null, null, null]));
  });

  it('reach templates and patterns', async () => {
    const name = unique('logs');
    const template = await listen({ channel: `${name}.{level}.{service}` });
    const pattern = await listen({ channel: `${name}.*`, pattern: true });
    await caller.publish('x', { channel: `${name}.warn.orders` });
    await eventually(() => expect([template.bodies, pattern.bodies]).toEqual([['x'], ['x']]));
    expect(template.contexts[0]?.path).toEqual({ level: 'warn', service: 'orders' });
    expect(pattern.contexts[0]?.message.source).toEqual({ channel: `${name}.warn.orders` });
  });

  it('are counted by their receivers', async () => {
    const channel = unique('counted');
    const heard = await listen({ channel });
    expect(await caller.publish('x', { channel })).toBe(1);
    expect(await caller.publish('x', { channel: unique('nobody') })).toBe(0);
    await eventually(() => expect(heard.bodies).toEqual(['x']));
  });
});
