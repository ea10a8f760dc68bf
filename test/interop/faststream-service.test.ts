// redstart calls handlers of the real FastStream.
import { describe, expect, it } from 'vitest';
import { NoRespondersError, RemoteError, RpcTimeoutError } from 'redstart';
import { z } from 'zod';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { redisUrl } from '../support/redis.ts';
import { KINDS, Service, place, type Seen } from './peer.ts';
import { findPython } from './python.ts';

const python = await findPython();

describe.skipIf(python === undefined)('a redstart caller of a FastStream handler', () => {
  const service = new Service(python as string);

  describe.each(KINDS)('over a %s', (kind) => {
    const at = (what: string): { channel: string } => service.at(kind, what);
    const call = (what: string, timeout = 10_000) => ({ ...at(what), rpc: true, timeout }) as const;

    it('gets back every kind of value as it was', async () => {
      const caller = newBroker(redisUrl());
      const values = [
        { sku: 'A-1', lines: [1, 2.5, null, { deep: true }], name: 'Žofie Ωmega 🎈' },
        ...['text', 'Žluťoučký 🎈', '', '{"text": "that looks like JSON"}', '17'],
        ...[0, -1.5, 2 ** 53 - 1, true, false, [], {}, [[]]],
      ];
      const answers = values.map((value) => caller.publish(value, call('echo')));
      expect(await Promise.all(answers)).toEqual(values);
    });

    it('gets back bytes, and takes an empty body for no value', async () => {
      const caller = newBroker(redisUrl());
      const bytes = Buffer.from([0, 255, 128, 10]);
      expect(await caller.publish(bytes, call('echo'))).toEqual(bytes);
      expect(await caller.publish(null, call('echo'))).toBeNull();
      expect(await caller.publish(undefined, call('echo'))).toBeNull();
    });

    it('gets null from a handler that returns None', async () => {
      const caller = newBroker(redisUrl());
      expect(await caller.publish('x', call('nothing'))).toBeNull();
      const answer = await caller.request('x', { ...at('nothing'), timeout: 10_000 });
      expect(answer.body).toBeNull();
      expect(answer.contentType).toBeUndefined();
    });

    it('is answered with its correlation id, chosen or made up', async () => {
      const caller = newBroker(redisUrl());
      const chosen = ['order-17', '7', 'Žofie'].map(async (correlationId) => {
        const to = { ...at('headers'), correlationId, timeout: 10_000 };
        const answer = await caller.request('x', to);
        expect(answer.correlationId).toBe(correlationId);
        expect(answer.body).toMatchObject({ correlationId });
      });
      await Promise.all(chosen);
      const answer = await caller.request<{ correlationId: string }>('x', {
        ...at('headers'),
        timeout: 10_000,
      });
      expect(answer.correlationId).toBe(answer.body.correlationId);
      expect(answer.correlationId).not.toBe('');
    });

    it('sends headers of any alphabet whole, numbers and booleans as text', async () => {
      const caller = newBroker(redisUrl());
      const headers = {
        'x-name': 'Žofie',
        'x-smile': '🎈',
        'x-ключ': 'да',
        'x-n': 7,
        'x-yes': true,
      };
      const { body } = await caller.request<{ headers: object }>('x', {
        ...at('headers'),
        headers,
        timeout: 10_000,
      });
      expect(body.headers).toMatchObject({ ...headers, 'x-n': '7', 'x-yes': 'true' });
      expect(body.headers).toHaveProperty('content-type', 'text/plain');
    });

    it.each(['Response', 'RedisResponse'])(
      'reads the headers of a %s, also those that FastStream miscounts',
      async (what) => {
        const caller = newBroker(redisUrl());
        const body = what === 'RedisResponse' ? 'redis' : 'plain';
        const answer = await caller.request(body, { ...at('headers'), timeout: 10_000 });
        expect(answer.headers).toMatchObject({ 'x-python': 'yes', 'x-name': 'Žofie Ωmega' });
        expect(answer.contentType).toBe('application/json');
      },
    );

    it('is answered by a handler that sends the request’s headers back', async () => {
      const caller = newBroker(redisUrl());
      expect(await caller.publish('same', call('echoed-headers'))).toBe('same');
    });

    it('speaks to a handler with pydantic models, and checks the answer with zod', async () => {
      const caller = newBroker(redisUrl());
      const reply = z.object({ sku: z.string(), cents: z.number().int() });
      const order = { sku: 'A-1', quantity: 2 };
      const receipt = await caller.publish(order, { ...call('orders'), reply });
      expect(receipt).toEqual({ sku: 'A-1', cents: 3998 });
      expect(await caller.publish({ sku: 'A-1' }, { ...call('orders'), reply })).toEqual({
        sku: 'A-1',
        cents: 1999,
      });
      const wrong = caller.publish(order, {
        ...call('orders'),
        reply: z.object({ id: z.string() }),
      });
      await expect(wrong).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
      await expect(wrong).rejects.not.toBeInstanceOf(RemoteError);
    });

    it('times out, and no later, where FastStream keeps silent: no_reply, an error, a body that does not fit', async () => {
      const caller = newBroker(redisUrl());
      // A call whose time is over before it could be sent is never sent: the way for answers is open first.
      expect(await caller.publish('first', call('echo'))).toBe('first');
      const began = performance.now();
      const calls = [
        caller.publish('x', call('silent', 400)),
        caller.publish('x', call('failing', 400)),
        caller.publish({ quantity: 'many' }, call('orders', 400)),
      ];
      for (const end of await Promise.allSettled(calls)) {
        expect(end).toMatchObject({ reason: expect.any(RpcTimeoutError) });
      }
      expect(performance.now() - began).toBeLessThan(10_000);
      for (const what of ['silent', 'failing']) {
        await eventually(() => expect(service.take(`${kind}:${what}`)).toHaveLength(1));
      }
      expect(caller.stats).toMatchObject({ pendingCalls: 0, lateAnswers: 0 });
    });

    it('waits in vain for an answer under another correlation id, and counts it', async () => {
      const caller = newBroker(redisUrl());
      await expect(caller.publish('x', call('renamed', 400))).rejects.toBeInstanceOf(
        RpcTimeoutError,
      );
      expect(caller.stats).toMatchObject({ pendingCalls: 0, lateAnswers: 1 });
    });

    it('gives its answer under another correlation id to a call with a channel of its own', async () => {
      const caller = newBroker(redisUrl());
      const dedicated = { ...call('renamed'), replyChannel: 'dedicated' } as const;
      const bodies = Array.from({ length: 20 }, (_, n) => n);
      const answers = bodies.map((n) => caller.publish(n, dedicated));
      expect(await Promise.all(answers)).toEqual(bodies);
      const { replyChannel } = dedicated;
      const { correlationId } = await caller.request('x', {
        ...service.at(kind, 'renamed'),
        replyChannel,
      });
      expect(correlationId).toBe('another');
      expect(caller.stats).toMatchObject({ pendingCalls: 0, lateAnswers: 0 });
    });

    it('may have hundreds of calls in flight, and each gets its own answer', async () => {
      const caller = newBroker(redisUrl());
      const numbers = Array.from({ length: 200 }, (_, n) => n);
      const answers = numbers.map((n) => caller.publish({ n }, call('echo', 15_000)));
      expect(await Promise.all(answers)).toEqual(numbers.map((n) => ({ n })));
      expect(caller.stats).toMatchObject({ pendingCalls: 0, lateAnswers: 0 });
    });

    it('may be a handler that two calls of its own keep the correlation id for', async () => {
      const front = newBroker(redisUrl());
      const channel = service.name(`front:${kind}`);
      // Calls of `ctx` keep the correlation id of the message that is being handled.
      front.subscriber(channel, (_, ctx) =>
        Promise.allSettled(['a', 'b'].map((body) => ctx.publish(body, call('echo', 20_000)))),
      );
      await front.start();
      const caller = newBroker(redisUrl());
      const answer = await caller.publish('x', { channel, rpc: true, timeout: 20_000 });
      expect(answer).toEqual(['a', 'b'].map((value) => ({ status: 'fulfilled', value })));
    });

    it('never gets the answer of a call that was made while its own was handled', async () => {
      const broker = newBroker(redisUrl());
      const channel = service.name(`nested:${kind}`);
      broker.subscriber(channel, (_, ctx) =>
        Promise.allSettled([ctx.publish('inner', call('echo', 20_000))]),
      );
      await broker.start();
      const answer = await broker.publish('x', { channel, rpc: true, timeout: 20_000 });
      expect(answer).toEqual([{ status: 'fulfilled', value: 'inner' }]);
    });

    it('reads one answer as a stream of one', async () => {
      const caller = newBroker(redisUrl());
      const items: unknown[] = [];
      for await (const item of caller.requestMany({ n: 1 }, { ...at('echo'), timeout: 20_000 })) {
        items.push(item);
      }
      expect(items).toEqual([{ n: 1 }]);
    });

    it('abandons a call at once, and the late answer harms nobody', async () => {
      const caller = newBroker(redisUrl());
      const controller = new AbortController();
      const to = { ...call('echo'), signal: controller.signal };
      // Connected by the first call, so that the second is on its way when it is abandoned.
      await caller.publish('first', to);
      const abandoned = caller.publish('second', to);
      controller.abort(new Error('enough'));
      await expect(abandoned).rejects.toThrow('enough');
      expect(await caller.publish('third', call('echo'))).toBe('third');
    });
  });

  it('has its answer sent to a channel of its choice with replyTo', async () => {
    const broker = newBroker(redisUrl());
    const replyTo = service.name('answers');
    const heard: unknown[] = [];
    broker.subscriber(
      replyTo,
      (body, { message }) => void heard.push([body, message.correlationId]),
    );
    await broker.start();
    for (const kind of KINDS) {
      const to = { ...service.at(kind, 'echo'), replyTo, correlationId: kind };
      await broker.publish(`by ${kind}`, to);
    }
    await eventually(() => expect(heard).toHaveLength(3));
    expect(heard).toEqual(expect.arrayContaining(KINDS.map((kind) => [`by ${kind}`, kind])));
  });

  it('is answered through a template, which FastStream takes apart', async () => {
    const caller = newBroker(redisUrl());
    const channel = service.name('logs.error.billing');
    const answer = await caller.publish('x', { channel, rpc: true, timeout: 10_000 });
    expect(answer).toBe('error of billing');
    expect(service.take('logs')).toMatchObject([{ path: ['error', 'billing'], body: 'x' }]);
  });

  it('is told at once where no FastStream handler is subscribed', async () => {
    const caller = newBroker(redisUrl());
    const call = { channel: service.name('nobody'), rpc: true, timeout: 10_000 } as const;
    await expect(caller.publish('x', call)).rejects.toBeInstanceOf(NoRespondersError);
  });

  it('gathers the answers of FastStream and of redstart handlers', async () => {
    const [one, two] = [newBroker(redisUrl()), newBroker(redisUrl())];
    const { channel } = service.at('channel', 'echo');
    one.subscriber(channel, (body) => ({ redstart: body }));
    await one.start();
    const gathered = await two.gather('x', { channel, timeout: 20_000 });
    expect(gathered.answers.map(({ body }) => body)).toEqual(
      expect.arrayContaining(['x', { redstart: 'x' }]),
    );
    expect(gathered).toMatchObject({ expected: 2, missing: [], errors: [] });
    const silent = await two.gather('x', { ...service.at('channel', 'silent'), timeout: 300 });
    expect(silent).toMatchObject({ expected: 1, answers: [], missing: ['unknown'] });
    service.take('channel:silent');
  });

  it.each(['list', 'stream'] as const)(
    'is answered by a FastStream batch handler of a %s only for the first of each batch',
    async (kind) => {
      const caller = newBroker(redisUrl());
      const replyTo = service.name(`batch-answers:${kind}`);
      const heard: unknown[][] = [];
      caller.subscriber(replyTo, (body, ctx) => void heard.push([body, ctx.message.correlationId]));
      await caller.start();
      const to = service.at(kind, 'batch') as unknown as { list: string };
      const got: Seen[] = [];
      // A list is filled by one command; of a stream the handler may get one entry before the rest.
      await caller.publishBatch(['a', 'b', 'c'], { ...to, replyTo });
      await eventually(() => {
        got.push(...service.take(`${kind}:batch`));
        expect(got.flatMap(({ body }) => body)).toEqual(['a', 'b', 'c']);
      });
      await caller.publish('last', { ...to, replyTo, correlationId: 'last' });
      await eventually(() => expect(heard.at(-1)?.[1]).toBe('last'));
      const firsts = got.map(({ batchHeaders }) => batchHeaders[0]?.['correlation_id']);
      expect(heard.map(([, correlationId]) => correlationId)).toEqual([...firsts, 'last']);
      expect(firsts.length).toBeLessThan(3);
      service.take(`${kind}:batch`);
    },
  );

  it('leaves a message with a FastStream handler’s @publisher, which sends the answer on', async () => {
    const broker = newBroker(redisUrl());
    const heard: unknown[] = [];
    for (const kind of KINDS) {
      const { channel } = place('channel', service.name(`forward:${kind}`));
      broker.subscriber(channel, (body, { message }) => {
        heard.push([body, message.correlationId, message.replyTo]);
      });
    }
    await broker.start();
    for (const kind of KINDS) {
      const to = { ...service.at(kind, 'forwarded'), correlationId: kind, timeout: 10_000 };
      expect((await broker.request({ kind }, to)).body).toEqual({ kind });
    }
    await eventually(() => expect(heard).toHaveLength(3));
    expect(heard).toEqual(expect.arrayContaining(KINDS.map((kind) => [{ kind }, kind, undefined])));
  });
});
