// Several handlers, several promises, odd middleware: each call and each handler has its own.
import {
  binaryFormat,
  RpcError,
  type MessageContext,
  type MessageFormat,
  type RedisBroker,
} from 'redstart';
import { expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { rawFrame } from '../support/frames.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

function failLarge(): never {
  throw new RpcError('BIG', 'too much', 'x'.repeat(20_000));
}

/** Waits until it is aborted, and says so. */
function waiting(seen: Map<string, string>, name: string) {
  return async (_body: unknown, { signal }: MessageContext): Promise<void> => {
    seen.set(name, 'running');
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    seen.set(name, 'aborted');
  };
}

onBothBackends('two handlers of one broker', (bench) => {
  it('that work for one call are both aborted with it, also where one has ended before', async () => {
    const { broker, name } = bench();
    const at = name('a');
    const service = broker();
    const seen = new Map<string, string>();
    service.subscriber(at, waiting(seen, 'exact'));
    service.subscriber(`${at.slice(0, -1)}{x}`, waiting(seen, 'template'));
    service.subscriber(at, { noReply: true }, (_body: unknown, ctx: MessageContext) => {
      seen.set('short', String(ctx.signal.aborted));
    });
    await service.start();
    const controller = new AbortController();
    const call = broker().publish(1, { channel: at, rpc: true, signal: controller.signal });
    call.catch(() => undefined); // looked at below
    await eventually(() => expect(seen.size).toBe(3));
    controller.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    await eventually(() =>
      expect([...seen.values()].sort()).toEqual(['aborted', 'aborted', 'false']),
    );
  });

  it('that stream for one call do not mix: the caller gets one stream', async () => {
    const { broker, name } = bench();
    const service = broker();
    for (const who of ['a', 'b']) {
      service.subscriber(name(), async function* () {
        for (let i = 1; i <= 5; i++) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          yield who + i;
        }
      });
    }
    await service.start();
    const items = await collect(broker().requestMany<string>(1, { channel: name() }));
    const [first = ''] = items;
    expect(items).toEqual([1, 2, 3, 4, 5].map((i) => first[0] + String(i)));
  });
});

onBothBackends('a gather that is aborted', (bench) => {
  it('aborts the handlers that work for it', async () => {
    const { broker, name } = bench();
    const seen = new Map<string, string>();
    for (const city of ['Oslo', 'Turin']) {
      const shop = broker();
      shop.subscriber(name(), waiting(seen, city));
      await shop.start();
    }
    const controller = new AbortController();
    const gather = broker().gather(1, { channel: name(), signal: controller.signal });
    gather.catch(() => undefined); // looked at below
    await eventually(() => expect(seen.size).toBe(2));
    controller.abort(new Error('changed my mind'));
    await expect(gather).rejects.toThrow('changed my mind');
    await eventually(() => expect([...seen.values()]).toEqual(['aborted', 'aborted']));
  });
});

onBothBackends('a call', (bench) => {
  it('whose middleware runs next() twice at once ends twice', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), concurrency: 5 }, async (body) => body);
    await service.start();
    const hedged = broker({
      middlewares: [
        { publish: async (_command, next) => (await Promise.all([next(), next()]))[1] },
      ],
    });
    expect(await hedged.publish('x', { list: name(), rpc: true, timeout: 20_000 })).toBe('x');
    await eventually(() => expect(hedged.stats.pendingCalls).toBe(0));
  });

  it('to a channel that fits a glob and not its template is declined at once', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(`${name()}.{level}`, (_body, ctx) => ctx.path['level']);
    service.subscriber(`${name()}.{kind}`, { noReply: true }, () => undefined);
    await service.start();
    const call = (channel: string): Promise<unknown> =>
      broker().publish(1, { channel, rpc: true, timeout: 10_000 });
    await expect(call(`${name()}.a.b`)).rejects.toMatchObject({ code: 'NO_MATCHING_HANDLER' });
    expect(await call(`${name()}.a`)).toBe('a');
    service.subscriber(`${name()}.a.b`, () => 'exact');
    await eventually(async () => expect(await call(`${name()}.a.b`)).toBe('exact'));
  });

  it('whose handler throws what cannot be looked at is told so, and the next is handled', async () => {
    const { broker, name } = bench();
    const service = broker();
    const proxy = new Proxy(new Error('x'), {
      get() {
        throw new Error('no');
      },
      getPrototypeOf() {
        throw new Error('no');
      },
    });
    service.subscriber({ list: name() }, (body: unknown) => {
      if (body === 'bad') throw proxy;
      return body;
    });
    await service.start();
    const call = (body: string): Promise<unknown> =>
      service.publish(body, { list: name(), rpc: true, timeout: 20_000 });
    await expect(call('bad')).rejects.toThrow('a value that cannot be read');
    expect(await call('good')).toBe('good');
    expect(takeLogs()).toHaveLength(1);
  });

  it('larger than maxBytes is refused by its sender, an answer larger than that reaches the caller as an error', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), (bytes: number) => 'y'.repeat(bytes));
    await service.start();
    const small = broker({ maxBytes: 1_000 });
    const large = small.publish('x'.repeat(1_000), { channel: name(), rpc: true });
    await expect(large).rejects.toMatchObject({ code: 'ENCODE' });
    await expect(large).rejects.toThrow('maxBytes (1000)');
    const answer = small.publish(17_000_000, { channel: name(), rpc: true, timeout: 10_000 });
    await expect(answer).rejects.toMatchObject({ code: 'ENCODE' });
    await expect(answer).rejects.toThrow('maxBytes (16777216)');
    expect(takeLogs()).toHaveLength(1);
  });

  it('whose failure is too large to be sent hears why, also where the codec threw it', async () => {
    const { broker, name } = bench();
    const service = broker({ maxBytes: 10_000 });
    const codec = { contentType: 'application/json', encode: failLarge, decode: JSON.parse };
    service.subscriber({ list: name() }, failLarge);
    service.subscriber({ list: `${name()}:codec` }, { codec } as never, () => 1);
    await service.start();
    for (const list of [name(), `${name()}:codec`]) {
      const call = service.publish(1, { list, rpc: true, timeout: 20_000 });
      await expect(call).rejects.toMatchObject({ code: 'ENCODE' });
    }
    expect(takeLogs()).toHaveLength(2);
  });

  it('answered with 10 MiB gets all of it', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), (bytes: number) => Buffer.alloc(bytes, 7));
    await service.start();
    const call = broker().publish<Buffer>(10 * 2 ** 20, { channel: name(), rpc: true });
    expect((await call).equals(Buffer.alloc(10 * 2 ** 20, 7))).toBe(true);
  });
});

const lines: MessageFormat = {
  encode: ({ headers, body }) =>
    Buffer.from(JSON.stringify({ headers, body: Buffer.from(body).toString('base64') })),
  decode: (frame) => {
    const { headers, body } = JSON.parse(frame.toString()) as { headers: object; body: string };
    return { headers: headers as Record<string, string>, body: Buffer.from(body, 'base64') };
  },
};

onBothBackends('with a format of their own', (bench) => {
  it('brokers stream past the first window', async () => {
    const { broker, name } = bench();
    const service = broker({ format: lines });
    service.subscriber(name(), async function* () {
      for (let i = 1; i <= 200; i++) yield i;
    });
    await service.start();
    const items = await collect(broker({ format: lines }).requestMany(1, { channel: name() }));
    expect(items).toHaveLength(200);
  });

  it.each(['both brokers', 'the handler and the publisher'])(
    '%s call and cancel',
    async (whose) => {
      const { broker, name } = bench();
      const options = whose === 'both brokers' ? { format: lines } : {};
      const format = whose === 'both brokers' ? {} : { format: lines };
      const service = broker(options);
      const seen = new Map<string, string>();
      service.subscriber({ list: name('echo'), ...format }, (body) => body);
      service.subscriber({ list: name('wait'), ...format }, waiting(seen, 'wait'));
      await service.start();
      const caller = broker(options);
      const to = (suffix: string) => caller.publisher({ list: name(suffix), ...format });
      expect(await to('echo').request('x')).toMatchObject({ body: 'x' });
      const controller = new AbortController();
      const call = to('wait').request(1, { signal: controller.signal });
      call.catch(() => undefined); // looked at below
      await eventually(() => expect(seen.get('wait')).toBe('running'));
      controller.abort();
      await expect(call).rejects.toMatchObject({ name: 'AbortError' });
      await eventually(() => expect(seen.get('wait')).toBe('aborted'));
    },
  );
});

onBothBackends('a stream of answers', (bench) => {
  it('gives two reads at once an item each, in order', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name(), async function* () {
      for (let i = 1; i <= 3; i++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield i;
      }
    });
    await service.start();
    const items = service.requestMany(1, { channel: name() });
    const reads = await Promise.all(Array.from({ length: 4 }, () => items.next()));
    expect(reads.map(({ value }) => value)).toEqual([1, 2, 3, undefined]);
  });

  it.each(['last', 'middle'])(
    'with an item that cannot be sent (%s) tells its reader and the log',
    async (where) => {
      const { broker, name } = bench();
      const service = broker();
      service.subscriber(name(), async function* () {
        yield 1;
        yield 2n;
        if (where === 'middle') yield 3;
      });
      await service.start();
      const items = service.requestMany(1, { channel: name() });
      expect(await items.next()).toMatchObject({ value: 1 });
      await expect(items.next()).rejects.toMatchObject({ code: 'ENCODE' });
      await eventually(() => expect(takeLogs()).toMatchObject([{ error: { code: 'ENCODE' } }]));
    },
  );

  it('tells its reader at once where the service stops, also between two items', async () => {
    const { broker, name } = bench();
    const service = broker({ gracefulTimeout: 50 });
    service.subscriber(name(), async function* (_body: unknown, ctx: MessageContext) {
      yield 1;
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      yield 2;
    });
    await service.start();
    const items = broker().requestMany(1, { channel: name(), itemTimeout: 20_000 });
    expect(await items.next()).toMatchObject({ value: 1 });
    const next = items.next();
    next.catch(() => undefined); // looked at below
    await service.stop();
    await expect(next).rejects.toMatchObject({ code: 'STREAM_BROKEN' });
    takeLogs(); // that handlers still ran, and why the stream ended
  });

  it('that nobody reads ends at its first item', async () => {
    const { broker, name } = bench();
    const service = broker();
    let ended = 0;
    service.subscriber({ list: name() }, async function* () {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        ended++;
      }
    });
    await service.start();
    await service.publish(1, { list: name() });
    await eventually(() => expect(ended).toBe(1));
    for await (const item of service.requestMany<number>(1, { list: name() }))
      if (item === 3) break;
    await eventually(() => expect(ended).toBe(2));
  });

  it('of one value that cannot be decoded tells its reader', async () => {
    const { broker, name } = bench();
    const service = broker({
      codec: { encode: () => ({ body: '{', contentType: 'application/json' }), decode: () => 1 },
    });
    service.subscriber(name(), () => 1);
    await service.start();
    const items = broker().requestMany(1, { channel: name(), itemTimeout: 20_000 });
    await expect(items.next()).rejects.toMatchObject({ code: 'DECODE' });
  });
});

/** Answers as FastStream does, each under the correlation id that `of` makes of the request's. */
async function foreign(of: (id: string) => string): Promise<string> {
  const list = unique('foreign');
  const [reader, writer] = [rawClient(), rawClient()];
  void (async () => {
    for (;;) {
      const [, frame] = (await reader.blpopBuffer(list, 0)) as [Buffer, Buffer];
      const { headers, body } = binaryFormat.decode(frame);
      const answer = { correlation_id: of(headers['correlation_id'] ?? '') };
      await writer.publish(headers['reply_to'] ?? '', rawFrame(answer, Buffer.from(body)));
    }
  })().catch(() => undefined); // the test has ended
  return list;
}

it('a call with a header correlation_id finds the answer of a responder that echoes it alone', async () => {
  const list = await foreign((id) => id);
  const headers = { correlation_id: 'mine' };
  const call = newBroker(redisUrl()).publish(7, { list, rpc: true, timeout: 20_000, headers });
  expect(await call).toBe(7);
});

it('with a dedicated channel a call takes the answer whatever its correlation id, and leaves the channel', async () => {
  const list = await foreign(() => 'another');
  // Other tests on this server have such channels, too.
  const inboxPrefix = `${unique('inbox')}:`;
  const caller: RedisBroker = newBroker(redisUrl(), { rpc: { inboxPrefix } });
  const call = (replyChannel: 'shared' | 'dedicated', timeout: number): Promise<unknown> =>
    caller.publish(7, { list, rpc: true, timeout, replyChannel });
  await expect(call('shared', 200)).rejects.toMatchObject({ code: 'RPC_TIMEOUT' });
  const answers = Array.from({ length: 10 }, () => call('dedicated', 20_000));
  expect(await Promise.all(answers)).toEqual(Array(10).fill(7));
  const raw = rawClient();
  await eventually(async () => {
    const inboxes = (await raw.pubsub('CHANNELS', `${inboxPrefix}*:*`)) as string[];
    expect(inboxes.filter((name) => name.includes('}:'))).toEqual([]);
  });
});

it('of calls that share a correlation id, all but the first have a channel of their own for the answer', async () => {
  const list = unique('shared');
  const caller = newBroker(redisUrl());
  const options = { list, rpc: true, correlationId: 'same', timeout: 20_000 } as const;
  for (const n of [1, 2, 3]) caller.publish(n, options).catch(() => undefined);
  const raw = rawClient();
  await eventually(async () => expect(await raw.llen(list)).toBe(3));
  const frames = await raw.lrangeBuffer(list, 0, -1);
  const places = frames.map((frame) => binaryFormat.decode(frame).headers['reply_to'] ?? '');
  expect(places.map((place) => place.includes('}:'))).toEqual([false, true, true]);
  await caller.stop();
});

it('a stream for a caller that is gone ends after a window of items at most', async () => {
  const list = unique('gone');
  const service = newBroker(redisUrl());
  let items = 0;
  let hasEnded = false;
  service.subscriber({ list }, async function* () {
    try {
      for (;;) yield ++items;
    } finally {
      hasEnded = true;
    }
  });
  const caller = newBroker(redisUrl());
  const reading = caller.requestMany(1, { list, window: 8 }).next();
  const end = reading.catch((error: unknown) => error);
  const raw = rawClient();
  await eventually(async () => expect(await raw.llen(list)).toBe(1));
  await caller.stop();
  expect(await end).toMatchObject({ code: 'BROKER_CLOSED' });
  await service.start();
  await eventually(() => expect(hasEnded).toBe(true));
  expect(items).toBeLessThanOrEqual(8);
});

it('a message with replyTo does not begin a stream: it fails with STREAM', async () => {
  const list = unique('one');
  const service = newBroker(redisUrl());
  let items = 0;
  service.subscriber({ list }, async function* () {
    yield ++items;
  });
  await service.start();
  await service.publish(1, { list, replyTo: { list: `${list}:answers` } });
  const lines = await eventually(() => {
    const found = takeLogs();
    expect(found).toHaveLength(1);
    return found;
  });
  expect(lines).toMatchObject([{ error: { code: 'STREAM' } }]);
  expect(items).toBe(0);
});
