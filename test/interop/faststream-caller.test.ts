// The real FastStream calls handlers of redstart.
import { RedisResponse, Response, subscriber, type Filter, type MessageContext } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { monitor } from '../support/monitor.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { Caller, KINDS, place } from './peer.ts';
import { findPython } from './python.ts';

const python = await findPython();
const TIMED_OUT = { reason: { type: 'TimeoutError' } };

const fail = (): never => {
  throw Object.assign(new Error('no'), { code: 'E_NO', data: { secret: 1 } });
};

/**
 * The names of all channels on which something is published from now on. Not by PSUBSCRIBE `*`,
 * which would be one receiver more for every call of the tests that run beside this one.
 */
async function publishedChannels(): Promise<string[]> {
  const channels: string[] = [];
  await monitor(([command, channel]) => {
    if (command?.toLowerCase() === 'publish' && channel !== undefined) channels.push(channel);
  });
  return channels;
}

describe.skipIf(python === undefined)('a FastStream caller of a redstart handler', () => {
  const python3 = new Caller(python as string);

  describe.each(KINDS)('over a %s', (kind) => {
    it('gets back every kind of value as it was', async () => {
      const at = place(kind, unique('echo'));
      const service = newBroker(redisUrl());
      service.subscriber(at, (body) => body);
      await service.start();
      const values = [
        { sku: 'A-1', lines: [1, 2.5, null, { deep: true }], name: 'Žofie Ωmega 🎈' },
        ...['text', 'Žluťoučký 🎈', '', '{"text": "that looks like JSON"}', '17'],
        ...[0, -1.5, 2 ** 53 - 1, true, false, [], {}, [[]]],
        Buffer.from([0, 255, 128, 10]),
      ];
      const answers = await Promise.all(values.map((value) => python3.request(value, at)));
      expect(answers.map(({ body }) => body)).toEqual(values);
    });

    it.each([undefined, null])('gets an empty body where a method returns %s', async (nothing) => {
      const at = place(kind, unique('nothing'));
      const service = newBroker(redisUrl());
      service.subscriber(at, () => nothing);
      await service.start();
      const { body, contentType } = await python3.request('x', at);
      // What FastStream decodes an empty body to.
      expect(body).toEqual(Buffer.alloc(0));
      expect(contentType).toBeNull();
    });

    it('sends no value, which the handler gets as null', async () => {
      const at = place(kind, unique('null'));
      const service = newBroker(redisUrl());
      service.subscriber(at, (body) => ({ isNull: body === null }));
      await service.start();
      expect((await python3.request(null, at)).body).toEqual({ isNull: true });
    });

    it('is answered with its correlation id, chosen or made up, and no header of redstart’s', async () => {
      const at = place(kind, unique('ids'));
      const service = newBroker(redisUrl());
      service.subscriber(at, (_, { message }) => message.correlationId);
      await service.start();
      for (const chosen of ['order-17', 'Žofie', undefined]) {
        const id = chosen === undefined ? {} : { correlation_id: chosen };
        const { body, correlationId, headers } = await python3.request('x', { ...at, ...id });
        expect(correlationId).toBe(chosen ?? body);
        expect(body).toBe(correlationId);
        expect(Object.keys(headers)).toEqual(['correlation_id', 'content-type']);
      }
    });

    it('sends headers of any alphabet, which arrive whole', async () => {
      const at = place(kind, unique('headers'));
      const service = newBroker(redisUrl());
      service.subscriber(at, (_, { message }) => message.headers);
      await service.start();
      const headers = { 'x-name': 'Žofie', 'x-smile': '🎈', 'x-ключ': 'да', 'x-plain': 'yes' };
      const { body } = await python3.request('x', { ...at, headers });
      expect(body).toMatchObject(headers);
      expect(body).toMatchObject({ 'content-type': 'text/plain' });
    });

    it.each([Response, RedisResponse])('reads the headers of a %o', async (Class) => {
      const at = place(kind, unique('response'));
      const service = newBroker(redisUrl());
      const own = { 'x-name': 'Žofie', 'x-n': 7, 'x-yes': true };
      service.subscriber(at, (body) => new Class({ body }, { headers: own, correlationId: 'new' }));
      await service.start();
      const { body, headers, correlationId } = await python3.request('x', at);
      expect(body).toEqual({ body: 'x' });
      expect(headers).toMatchObject({ 'x-name': 'Žofie', 'x-n': '7', 'x-yes': 'true' });
      expect(correlationId).toBe('new');
    });

    it('is answered by a decorated method with schemas, and not where they are not met', async () => {
      const at = place(kind, unique('orders'));
      const order = z.object({ sku: z.string(), quantity: z.number().int().default(1) });
      const receipt = z.object({ sku: z.string(), cents: z.number().int() });
      class Shop {
        @subscriber({ ...at, schema: order, reply: receipt })
        place({ sku, quantity }: z.infer<typeof order>): z.infer<typeof receipt> {
          return { sku, cents: quantity * 1999.5 };
        }
      }
      const service = newBroker(redisUrl());
      service.register(new Shop());
      await service.start();
      const { body } = await python3.request({ sku: 'A-1', quantity: 2 }, at);
      expect(body).toEqual({ sku: 'A-1', cents: 3999 });
      const refused = [{ quantity: 2 }, { sku: 'A-1', quantity: 'many' }, 'text', { sku: 'A-1' }];
      const calls = refused.map((value) => python3.request(value, { ...at, timeout: 0.4 }));
      for (const end of await Promise.allSettled(calls)) expect(end).toMatchObject(TIMED_OUT);
      const logs: unknown[] = [];
      await eventually(() => {
        logs.push(...takeLogs());
        expect(logs).toHaveLength(refused.length);
      });
    });

    it('never gets an error for a value: nothing at all is sent to it', async () => {
      const names = ['throw', 'refuse', 'noReply', 'filter', 'generator', 'unsendable', 'hide'];
      const at = Object.fromEntries(names.map((name) => [name, place(kind, unique(name))]));
      const asked = new Map<string, string | undefined>();
      const service = newBroker(redisUrl());
      type Handler = (body: unknown, ctx: MessageContext) => unknown;
      const on = (name: string, handler: Handler, options: object = {}): void => {
        const to = { ...(at[name] as { channel: string }), ...options };
        service.subscriber(to, (body, ctx) => {
          asked.set(name, ctx.message.replyTo);
          return handler(body, ctx);
        });
      };
      on('throw', fail);
      on('hide', fail, { errorPolicy: 'hide' });
      on('refuse', (_, ctx) => ctx.reject());
      on('noReply', () => 'never sent', { noReply: true });
      const filter: Filter = ({ replyTo }) => {
        asked.set('filter', replyTo);
        return false;
      };
      on('filter', () => 'never reached', { filter });
      on('unsendable', () => 1n);
      on('generator', async function* generator() {
        yield 1;
      });
      await service.start();
      const channels = await publishedChannels();
      const calls = names.map((name) =>
        python3.request('x', { ...(at[name] as { channel: string }), timeout: 0.5 }),
      );
      for (const end of await Promise.allSettled(calls)) expect(end).toMatchObject(TIMED_OUT);
      // When all have been handled, what was sent before this marker has been heard.
      await eventually(() => expect([...asked.keys()].toSorted()).toEqual(names.toSorted()));
      const marker = unique('marker');
      await service.publish('x', marker);
      await eventually(() => expect(channels).toContain(marker));
      for (const [name, replyTo] of asked) {
        expect([name, replyTo]).toEqual([name, expect.stringMatching(/^\w+$/)]);
        expect([name, channels.includes(replyTo as string)]).toEqual([name, false]);
      }
      takeLogs();
    });

    it('gets a value after others have failed, from the same handler', async () => {
      const at = place(kind, unique('mixed'));
      const service = newBroker(redisUrl());
      service.subscriber({ ...at, concurrency: 8 }, (n: number) => {
        if (n % 2 === 1) throw new Error('odd');
        return { half: n / 2 };
      });
      await service.start();
      const calls = Array.from({ length: 10 }, (_, n) =>
        python3.request(n, n % 2 === 1 ? { ...at, timeout: 0.4 } : at),
      );
      for (const [n, end] of (await Promise.allSettled(calls)).entries()) {
        expect(end).toMatchObject(n % 2 === 1 ? TIMED_OUT : { value: { body: { half: n / 2 } } });
      }
      const logs: unknown[] = [];
      await eventually(() => {
        logs.push(...takeLogs());
        expect(logs).toHaveLength(5);
      });
    });

    it('may have many calls in flight', async () => {
      const at = place(kind, unique('many'));
      const service = newBroker(redisUrl());
      service.subscriber({ ...at, concurrency: 16 }, (n: number) => n + 1);
      await service.start();
      const numbers = Array.from({ length: 60 }, (_, n) => n);
      const answers = await Promise.all(numbers.map((n) => python3.request(n, at)));
      expect(answers.map(({ body }) => body)).toEqual(numbers.map((n) => n + 1));
    });
  });

  it('is answered by a stream group, and its request is acknowledged', async () => {
    const at = { stream: unique('group'), group: 'workers' };
    const service = newBroker(redisUrl());
    service.subscriber(at, (body) => ({ body }));
    await service.start();
    expect((await python3.request('x', { stream: at.stream })).body).toEqual({ body: 'x' });
    await eventually(async () =>
      expect(await rawClient().xpending(at.stream, at.group)).toEqual([0, null, null, null]),
    );
  });

  it.each(['list', 'stream'] as const)(
    'is answered by a batch handler of a %s, each caller for itself',
    async (kind) => {
      const at = place(kind, unique('batch')) as unknown as { list: string };
      const service = newBroker(redisUrl());
      service.subscriber({ ...at, batch: true }, (bodies: unknown[]) =>
        bodies.map((body) => ({ body })),
      );
      await service.start();
      const calls = ['a', 'b', 'c', 'd'].map((body) => python3.request(body, at));
      const answers = await Promise.all(calls);
      expect(answers.map(({ body }) => body)).toEqual(
        ['a', 'b', 'c', 'd'].map((body) => ({ body })),
      );
    },
  );

  it('is answered through a template', async () => {
    const name = unique('logs');
    const service = newBroker(redisUrl());
    service.subscriber(`${name}.{level}.{service}`, (_, { path }) => path);
    await service.start();
    const { body } = await python3.request('x', { channel: `${name}.error.billing` });
    expect(body).toEqual({ level: 'error', service: 'billing' });
  });
});
