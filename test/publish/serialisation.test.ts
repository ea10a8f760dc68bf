import type { Message, MessageContext, RedisBroker } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends, type Bench } from '../support/broker.ts';

interface Seen {
  readonly body: unknown;
  readonly contentType: string | undefined;
}

/** A service that answers with the very body it received, and remembers it. */
async function echo({ broker, name }: Bench): Promise<{
  service: RedisBroker;
  channel: string;
  seen: Seen[];
}> {
  const service = broker();
  const channel = name();
  const seen: Seen[] = [];
  service.subscriber(channel, (body, ctx) => {
    seen.push({ body, contentType: ctx.message.contentType });
    return body;
  });
  await service.start();
  return { service, channel, seen };
}

const JSON_TYPE = 'application/json';

/** What is sent, what arrives, and as what. */
const VALUES: [what: string, sent: unknown, arrives: unknown, type: string | undefined][] = [
  ['text', 'hello', 'hello', 'text/plain'],
  ['empty text', '', '', 'text/plain'],
  ['text that looks like JSON', '{"a":1}', '{"a":1}', 'text/plain'],
  ['text that looks like a number', '42', '42', 'text/plain'],
  [
    'text in many scripts',
    'grüße 世界 👩‍👩‍👧 \u0000 \u2028',
    'grüße 世界 👩‍👩‍👧 \u0000 \u2028',
    'text/plain',
  ],
  ['null', null, null, undefined],
  ['undefined', undefined, null, undefined],
  ['a number', 42, 42, JSON_TYPE],
  ['zero', 0, 0, JSON_TYPE],
  ['a fraction', -0.5e-7, -0.5e-7, JSON_TYPE],
  ['true', true, true, JSON_TYPE],
  ['false', false, false, JSON_TYPE],
  ['an empty object', {}, {}, JSON_TYPE],
  ['an empty array', [], [], JSON_TYPE],
  ['an array with null in it', [1, 'a', null, [true]], [1, 'a', null, [true]], JSON_TYPE],
  ['nested objects', { a: { b: [{ ü: '世' }] } }, { a: { b: [{ ü: '世' }] } }, JSON_TYPE],
  [
    'a date, as its ISO text',
    new Date(Date.UTC(2020, 1, 29)),
    '2020-02-29T00:00:00.000Z',
    JSON_TYPE,
  ],
  [
    'a date inside an object',
    { at: new Date(Date.UTC(2020, 1, 29)) },
    { at: '2020-02-29T00:00:00.000Z' },
    JSON_TYPE,
  ],
  ['an object that says how it is written', { toJSON: () => [1] }, [1], JSON_TYPE],
  ['bytes', Buffer.from([0, 255, 128, 10]), Buffer.from([0, 255, 128, 10]), undefined],
  ['a Uint8Array', new Uint8Array([200, 1]), Buffer.from([200, 1]), undefined],
];

onBothBackends('a value', (bench) => {
  it.each(VALUES)('that is %s arrives and comes back', async (_, sent, arrives, type) => {
    const { service, channel, seen } = await echo(bench());
    const answer = await service.request(sent, { channel, timeout: 20_000 });
    expect(seen).toEqual([{ body: arrives, contentType: type }]);
    expect(answer.body).toEqual(arrives);
    // A date comes as text, so text is what the handler answers with.
    expect(answer.contentType).toBe(typeof arrives === 'string' ? 'text/plain' : type);
  });

  it('that is text with half of a surrogate pair arrives with U+FFFD in its place', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name() }, (body) => body);
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish('a\ud800b', call)).toBe('a\ufffdb');
    // JSON writes it as an escape, which is read back.
    expect(await service.publish(['a\ud800b'], call)).toEqual(['a\ud800b']);
  });

  it('of half a megabyte arrives whole and comes back, on every structure', async () => {
    const { broker, name } = bench();
    const service = broker();
    const big = { text: 'ä'.repeat(250_000) };
    const call = { rpc: true, timeout: 10_000 } as const;
    service.subscriber({ channel: name('c') }, (body) => body);
    service.subscriber({ list: name('l') }, (body) => body);
    service.subscriber({ stream: name('s') }, (body) => body);
    await service.start();
    expect(await service.publish(big, { channel: name('c'), ...call })).toEqual(big);
    expect(await service.publish(big, { list: name('l'), ...call })).toEqual(big);
    expect(await service.publish(big, { stream: name('s'), ...call })).toEqual(big);
  });
});

onBothBackends('headers', (bench) => {
  it('arrive as text, numbers and booleans and letters of any script among them', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), (_, ctx: MessageContext) => ctx.message.headers);
    await service.start();
    const headers = {
      plain: 'a',
      empty: '',
      ü: 'grüße 世界 👍',
      count: 7,
      part: 0.5,
      on: true,
      off: false,
    };
    const got = await service.publish(1, { channel: name(), headers, rpc: true, timeout: 20_000 });
    expect(got).toMatchObject({
      plain: 'a',
      empty: '',
      ü: 'grüße 世界 👍',
      count: '7',
      part: '0.5',
      on: 'true',
      off: 'false',
    });
  });

  it('of the longest length that fits arrive whole', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), (_, ctx) => ctx.message.headers['x-long']);
    await service.start();
    const headers = { 'x-long': 'é'.repeat(32_767) };
    const call = { channel: name(), headers, rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe(headers['x-long']);
  });

  it('named like properties of every object are headers like others', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), (_, { message: { headers } }) => [
      headers['constructor'],
      headers['__proto__'],
      headers['toString'],
    ]);
    await service.start();
    const headers = { constructor: 'a', ['__proto__']: 'b' } as unknown as Record<string, string>;
    const call = { channel: name(), headers, rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toEqual(['a', 'b', null]);
  });

  it('of a request are not echoed on its answer', async () => {
    const { service, channel } = await echo(bench());
    const answer = await service.request(1, {
      channel,
      headers: { 'x-mine': 'a' },
      timeout: 20_000,
    });
    expect(answer.headers['x-mine']).toBeUndefined();
  });
});

onBothBackends('a correlation id', (bench) => {
  it('is what the sender gave, for the handler and on the answer', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), (_, ctx) => ctx.message.correlationId);
    await service.start();
    const answer = await service.request(1, {
      channel: name(),
      correlationId: 'order-1 ü',
      timeout: 20_000,
    });
    expect(answer.body).toBe('order-1 ü');
    expect(answer.correlationId).toBe('order-1 ü');
    expect(answer.headers['correlation_id']).toBe('order-1 ü');
  });

  it('is made up where none was given, another one for each message', async () => {
    const { broker, name } = bench();
    const service = broker();
    const ids: string[] = [];
    service.subscriber(name(), (_, ctx) => void ids.push(ctx.message.correlationId));
    await service.start();
    const answers: Message[] = [];
    for (let n = 0; n < 3; n++) {
      answers.push(await service.request(n, { channel: name(), timeout: 20_000 }));
    }
    expect(new Set(ids).size).toBe(3);
    expect(ids.every((id) => id.length >= 8)).toBe(true);
    expect(answers.map((answer) => answer.correlationId)).toEqual(ids);
  });

  it('is kept by what a handler publishes and calls, unless it gives another', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: Record<string, string> = {};
    for (const place of ['second', 'third', 'other']) {
      service.subscriber(name(place), (_, ctx) => {
        seen[place] = ctx.message.correlationId;
      });
    }
    service.subscriber(name('first'), async (_, ctx) => {
      await ctx.publish(1, { channel: name('second'), rpc: true, timeout: 20_000 });
      await ctx.publish(1, { channel: name('other'), correlationId: 'own', rpc: true });
      await ctx.publish(1, { channel: name('third'), rpc: true });
    });
    await service.start();
    const to = {
      channel: name('first'),
      correlationId: 'kept',
      rpc: true,
      timeout: 20_000,
    } as const;
    await service.publish(1, to);
    expect(seen).toEqual({ second: 'kept', other: 'own', third: 'kept' });
  });
});
