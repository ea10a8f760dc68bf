// The other side is a plain client that speaks FastStream's format and knows nothing of redstart.
import { binaryFormat, type Headers, type RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

interface Frame {
  readonly headers: Headers;
  readonly text: string;
}

const encode = (headers: Headers, body: string): Buffer =>
  Buffer.from(binaryFormat.encode({ headers, body: Buffer.from(body) }));

function decode(bytes: Buffer): Frame {
  const { headers, body } = binaryFormat.decode(bytes);
  return { headers, text: Buffer.from(body).toString() };
}

const wanted = ({ body }: { body: unknown }): boolean => body !== 'unwanted';

/** Everything that is published on a channel from now on. */
async function hear(channel: string): Promise<Frame[]> {
  const client = rawClient();
  const heard: Frame[] = [];
  client.on('messageBuffer', (_: Buffer, bytes: Buffer) => heard.push(decode(bytes)));
  await client.subscribe(channel);
  return heard;
}

describe.each(['channel', 'list', 'stream'] as const)(
  'a FastStream requester over a %s',
  (kind) => {
    /** Asks as FastStream does: a reply channel and a correlation id, and nothing else. */
    async function requester(
      set: (service: RedisBroker, at: { channel: string }) => void,
    ): Promise<{
      ask: (body: string, correlationId: string) => Promise<unknown>;
      answers: Frame[];
      /** Sends over the connection that answers take, so that it comes after all of them. */
      mark: () => Promise<unknown>;
    }> {
      const [name, reply] = [unique('in'), unique('reply')];
      const service = newBroker(redisUrl());
      set(service, { [kind]: name } as unknown as { channel: string });
      await service.start();
      const answers = await hear(reply);
      const client = rawClient();
      const ask = (body: string, correlationId: string): Promise<unknown> => {
        const headers = {
          correlation_id: correlationId,
          reply_to: reply,
          'content-type': 'application/json',
        };
        const frame = encode(headers, body);
        if (kind === 'channel') return client.publish(name, frame);
        if (kind === 'list') return client.rpush(name, frame);
        return client.xadd(name, '*', '__data__', frame);
      };
      const mark = (): Promise<unknown> => service.publish('marker', { channel: reply });
      return { ask, answers, mark };
    }

    it('gets exactly one answer for each request, with its correlation id', async () => {
      const { ask, answers } = await requester((service, at) => {
        service.subscriber(at, (n: number) => ({ twice: n * 2 }));
      });
      for (let n = 0; n < 50; n++) await ask(String(n), `id-${n}`);
      await eventually(() => expect(answers.at(-1)?.headers['correlation_id']).toBe('id-49'));
      expect(answers).toHaveLength(50);
      for (const [n, { headers, text }] of answers.entries()) {
        expect(headers['correlation_id']).toBe(`id-${n}`);
        expect(headers['content-type']).toBe('application/json');
        expect(JSON.parse(text)).toEqual({ twice: n * 2 });
        expect(Object.keys(headers).filter((name) => name.startsWith('redstart-'))).toEqual([]);
        expect(headers['reply_to']).toBeUndefined();
      }
    });

    it('never gets an error, which it would take for a value', async () => {
      const { ask, answers, mark } = await requester((service, at) => {
        const accepts = z.union([z.literal('throw'), z.literal('unsendable'), z.literal('ok')]);
        service.subscriber({ ...at, schema: accepts, filter: wanted }, (body) => {
          if (body === 'throw') throw new Error('no');
          return body === 'unsendable' ? 1n : 'fine';
        });
      });
      const bad = ['"throw"', '"unsendable"', '"unwanted"', '"not in the schema"', '{broken'];
      for (const body of bad) await ask(body, 'bad');
      await ask('"ok"', 'good');
      await eventually(() => expect(answers.map(({ text }) => text)).toContain('fine'));
      await mark();
      await eventually(() => expect(answers.at(-1)?.text).toBe('marker'));
      expect(answers.map(({ text }) => text)).toEqual(['fine', 'marker']);
      expect(answers[0]?.headers['correlation_id']).toBe('good');
      // Those that wait for nobody's answer are told of in the log alone.
      expect(takeLogs()).toHaveLength(bad.length);
    });

    it('gets nothing from a handler with noReply', async () => {
      let handled = 0;
      const { ask, answers, mark } = await requester((service, at) => {
        service.subscriber({ ...at, noReply: true }, () => ++handled);
      });
      await ask('1', 'first');
      await ask('2', 'second');
      await eventually(() => expect(handled).toBe(2));
      await mark();
      await eventually(() => expect(answers.map(({ text }) => text)).toEqual(['marker']));
    });
  },
);

/** Answers as FastStream does: the body, under the request's correlation id, and nothing else. */
async function responder(
  channel: string,
  answer: (text: string) => string | undefined,
  correlationId = (request: Headers) => request['correlation_id'] as string,
): Promise<Headers[]> {
  const [ears, mouth] = [rawClient(), rawClient()];
  const requests: Headers[] = [];
  ears.on('messageBuffer', (_: Buffer, bytes: Buffer) => {
    const { headers, text } = decode(bytes);
    requests.push(headers);
    const body = answer(text);
    if (body === undefined) return;
    const own = { correlation_id: correlationId(headers), 'content-type': 'text/plain' };
    void mouth.publish(headers['reply_to'] as string, encode(own, body));
  });
  await ears.subscribe(channel);
  return requests;
}

describe('a FastStream responder that echoes the correlation id alone', () => {
  it('is understood, also by many calls at once', async () => {
    const channel = unique();
    const requests = await responder(channel, (text) => `got ${text}`);
    const caller = newBroker(redisUrl());
    const calls = Array.from({ length: 100 }, (_, n) =>
      caller.publish(`n${n}`, { channel, rpc: true, timeout: 10_000 }),
    );
    expect(await Promise.all(calls)).toEqual(calls.map((_, n) => `got n${n}`));
    expect(new Set(requests.map((headers) => headers['correlation_id'])).size).toBe(100);
    expect(new Set(requests.map((headers) => headers['reply_to'])).size).toBe(1);
    expect(caller.stats).toMatchObject({ pendingCalls: 0, lateAnswers: 0 });
  });

  it('is understood where the caller chose the correlation id', async () => {
    const channel = unique();
    const requests = await responder(channel, (text) => `got ${text}`);
    const caller = newBroker(redisUrl());
    const calls = ['order-1', '7', 'ü', ''].map((correlationId) =>
      caller.request(correlationId, { channel, correlationId, timeout: 10_000 }),
    );
    const answers = await Promise.all(calls);
    expect(answers.map(({ body }) => body)).toEqual(['got order-1', 'got 7', 'got ü', 'got ']);
    expect(answers.map(({ correlationId }) => correlationId)).toEqual(['order-1', '7', 'ü', '']);
    expect(requests.map((headers) => headers['correlation_id'])).toContain('order-1');
  });

  it('may answer in any order, and twice: the second answer is counted, not delivered', async () => {
    const channel = unique();
    const caller = newBroker(redisUrl());
    const mouth = rawClient();
    const held: { headers: Headers; text: string }[] = [];
    const ears = rawClient();
    ears.on('messageBuffer', (_: Buffer, bytes: Buffer) => held.push(decode(bytes)));
    await ears.subscribe(channel);
    const calls = ['a', 'b', 'c'].map((body) =>
      caller.publish(body, { channel, rpc: true, timeout: 10_000 }),
    );
    await eventually(() => expect(held).toHaveLength(3));
    for (const { headers, text } of held.toReversed()) {
      const answer = encode({ correlation_id: headers['correlation_id'] as string }, `"${text}"`);
      await mouth.publish(headers['reply_to'] as string, answer);
      await mouth.publish(headers['reply_to'] as string, answer);
    }
    expect(await Promise.all(calls)).toEqual(['a', 'b', 'c']);
    await eventually(() => expect(caller.stats.lateAnswers).toBe(3));
  });

  it('that makes up the correlation id is nobody’s answer: the call times out', async () => {
    const channel = unique();
    await responder(
      channel,
      () => 'lost',
      () => 'somebody else',
    );
    const caller = newBroker(redisUrl());
    const call = caller.publish(1, { channel, rpc: true, timeout: 300 });
    await expect(call).rejects.toMatchObject({ code: 'RPC_TIMEOUT' });
    expect(caller.stats.pendingCalls).toBe(0);
    await eventually(() => expect(caller.stats.lateAnswers).toBe(1));
  });

  it('stands beside a redstart responder that declines', async () => {
    const channel = unique();
    await responder(channel, () => 'from FastStream');
    const service = newBroker(redisUrl());
    service.subscriber({ channel, filter: () => false }, () => 'never');
    await service.start();
    const caller = newBroker(redisUrl());
    for (let n = 0; n < 20; n++) {
      const call = caller.publish(n, { channel, rpc: true, timeout: 10_000 });
      expect(await call).toBe('from FastStream');
    }
    takeLogs();
  });
});

it('rubbish on the reply channel harms no call', async () => {
  const channel = unique();
  const caller = newBroker(redisUrl());
  const service = newBroker(redisUrl());
  const client = rawClient();
  service.subscriber(channel, async (body, ctx) => {
    const inbox = ctx.message.replyTo as string;
    for (const bytes of ['', 'hello', '{"a":', Buffer.from([0x89, 66, 73, 78, 255, 255])]) {
      await client.publish(inbox, bytes);
    }
    await client.publish(inbox, encode({ 'redstart-status': 'error' }, 'null'));
    return body;
  });
  await service.start();
  const call = { channel, rpc: true, timeout: 10_000 } as const;
  expect(await caller.publish('whole', call)).toBe('whole');
  expect(await caller.publish('again', call)).toBe('again');
  takeLogs();
});
