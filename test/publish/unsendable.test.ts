import { EncodeError, RedisResponse, Response as Answer, SetupError, type Codec } from 'redstart';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

const bytes = new Uint8Array([1, 2, 3, 4]);

/** What JSON would turn into `{}` or an object of digits, and what the error says to do. */
const LOST: [what: string, value: object, says: RegExp][] = [
  ['a Map', new Map([['a', 1]]), /a Map .*Object\.fromEntries/],
  ['a Set', new Set([1]), /a Set .*\[\.\.\.set\]/],
  ['an ArrayBuffer', bytes.buffer, /an ArrayBuffer .*Buffer\.from\(buffer\)/],
  ['a DataView', new DataView(bytes.buffer), /a DataView .*Buffer\.from/],
  ['a Blob', new Blob([bytes]), /a Blob .*arrayBuffer/],
  ['a Float64Array', new Float64Array([1]), /a Float64Array .*\[\.\.\.array\]/],
  ['a Uint8ClampedArray', new Uint8ClampedArray([1]), /a Uint8ClampedArray/],
  ['an empty Int8Array', new Int8Array(), /an Int8Array/],
  ['an object of functions', { run: () => 1 }, /an object of functions /],
  ['a WeakMap', new WeakMap(), /a WeakMap .*toJSON/],
  ['a RegExp', /x/, /a RegExp/],
  ['an Error', new Error('no'), /an Error .*throw it/],
  ['a Promise', Promise.resolve(1), /a Promise .*await it/],
  ['a Response of fetch', new Response('x'), /a Response .*redstart exports/],
  ['Headers', new Headers({ a: 'b' }), /a Headers/],
  ['URLSearchParams', new URLSearchParams('a=b'), /URLSearchParams/],
  ['a generator', (function* () {})(), /a Generator/],
  ['a Map of another realm', runInNewContext('new Map([[1, 2]])') as object, /a Map/],
];

class Money {
  constructor(
    readonly amount: number,
    readonly currency: string,
  ) {}
}

class Empty {
  method(): void {}
}

class Tagged {
  readonly value = 1;
  get [Symbol.toStringTag](): string {
    return 'Tagged';
  }
}

const noPrototype: object = Object.assign(Object.create(null) as object, { a: {} });

/** What is sent as before, and as what it arrives. */
const KEPT: [what: string, value: unknown, arrives: unknown][] = [
  ['an instance of a class', new Money(1, 'EUR'), { amount: 1, currency: 'EUR' }],
  ['an instance of a class without fields', new Empty(), {}],
  ['an instance with a tag of its own', new Tagged(), { value: 1 }],
  ['an object without a prototype', noPrototype, { a: {} }],
  ['empty objects in an array', [{}, [], { '0': 1 }], [{}, [], { '0': 1 }]],
  ['a Map with a JSON of its own', Object.assign(new Map(), { toJSON: () => [1] }), [1]],
  [
    'a Date beside an empty object',
    { at: new Date(0), o: {} },
    { at: '1970-01-01T00:00:00.000Z', o: {} },
  ],
  ['an object of another realm', runInNewContext('({ a: {} })'), { a: {} }],
  ['bytes of another realm', runInNewContext('new Uint8Array([1, 2])'), Buffer.from([1, 2])],
  ['text in an object', new Object('x'), 'x'],
];

onBothBackends('a value that JSON cannot carry', (bench) => {
  it.each(LOST)(
    '%s is refused, alone and inside of others, and the text says what to send',
    async (_, value, says) => {
      const { broker, name } = bench();
      const sender = broker();
      for (const [body, at] of [
        [value, ''],
        [{ a: { tags: value } }, "at 'a.tags'"],
        [[1, value], "at '1'"],
      ] as const) {
        const refused: Promise<unknown>[] = [
          sender.publish(body, { list: name('l') }),
          sender.publish(body, name('c')),
          sender.publish(body, { stream: name('s') }),
          sender.publish(body, { list: name('l'), rpc: true, timeout: 20_000 }),
          sender.publishBatch([1, body], { list: name('l') }),
        ];
        for (const result of await Promise.allSettled(refused)) {
          const error: unknown = result.status === 'rejected' ? result.reason : undefined;
          expect(error).toBeInstanceOf(EncodeError);
          expect((error as Error).message).toMatch(says);
          expect((error as Error).message).toContain(at);
        }
      }
    },
  );

  it('as an answer is told to the caller, of a handler, a batch and a Response', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name('plain') }, () => ({ tags: new Set([1]) }));
    service.subscriber({ list: name('batch'), batch: true }, () => [new Map()]);
    service.subscriber({ list: name('response') }, async () => new Answer(new Map()));
    await service.start();
    for (const list of ['plain', 'batch', 'response'].map(name)) {
      const call = service.publish(1, { list, rpc: true, timeout: 20_000 });
      await expect(call).rejects.toMatchObject({ code: 'ENCODE' });
    }
    expect(takeLogs().length).toBeGreaterThanOrEqual(3);
  });

  it.each(KEPT)('%s is sent', async (_, value, arrives) => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name() }, (body) => body);
    await service.start();
    expect(await service.publish(value, { list: name(), rpc: true, timeout: 20_000 })).toEqual(
      arrives,
    );
  });
});

onBothBackends('headers and ids that are no text', (bench) => {
  it.each([
    ['a Map', new Map([['a', 'b']])],
    ['Headers', new Headers({ a: 'b' })],
    ['an array', [['a', 'b']]],
  ])('headers that are %s are refused, and not dropped', async (_, given) => {
    const { broker, name } = bench();
    const service = broker();
    const headers = given as unknown as Record<string, string>;
    await expect(service.publish(1, { list: name(), headers })).rejects.toThrow(SetupError);
    await expect(service.publish(1, { list: name(), headers })).rejects.toThrow(
      /Object\.fromEntries/,
    );
    service.subscriber({ list: name() }, () => new RedisResponse('x', { headers }));
    await service.start();
    const call = service.publish(1, { list: name(), rpc: true, timeout: 20_000 });
    await expect(call).rejects.toMatchObject({ code: 'ENCODE', message: /Object\.fromEntries/ });
    takeLogs();
  });

  it('a correlation id that is a number is refused as an option, and sent as text by a Response and by middleware', async () => {
    const { broker, name } = bench();
    const id = 42 as unknown as string;
    const service = broker({
      middlewares: [
        {
          publish: (command, next) => {
            if (command.type === 'publish') Object.assign(command, { correlationId: id });
            return next();
          },
        },
      ],
    });
    const seen: unknown[] = [];
    service.subscriber({ list: name('in') }, (body, ctx) => {
      seen.push([body, ctx.message.correlationId, ctx.message.contentType]);
      return new Answer('x', { correlationId: id, headers: { a: 1 } });
    });
    await service.start();
    const to = { list: name('in'), correlationId: id };
    await expect(service.publish('hello', to)).rejects.toThrow(/'correlationId' must be a string/);
    await service.publish('hello', { list: name('in') });
    const answer = await service.request('call', { list: name('in'), timeout: 20_000 });
    expect(seen[0]).toEqual(['hello', '42', 'text/plain']);
    expect(answer.body).toBe('x');
    expect(answer.headers).toMatchObject({
      correlation_id: '42',
      'content-type': 'text/plain',
      a: '1',
    });
  });

  it('a signal that is none is refused, and nothing waits', async () => {
    const { broker, name } = bench();
    const caller = broker();
    for (const signal of [new AbortController(), null]) {
      const to = { list: name(), rpc: true, signal: signal as unknown as AbortSignal } as const;
      await expect(caller.publish(1, to)).rejects.toThrow(/'signal' must be an AbortSignal/);
    }
    expect(caller.stats.pendingCalls).toBe(0);
  });
});

describe('a codec of the user', () => {
  const codecs: [what: string, encode: unknown, says: RegExp][] = [
    ['returns nothing', () => undefined, /\{ body, contentType \}.*undefined/],
    ['returns a promise', async () => ({ body: 'x' }), /\{ body, contentType \}/],
    ['returns a body that is a number', () => ({ body: 5 }), /number 5/],
    ['returns a content type that is none', () => ({ body: 'x', contentType: 5 }), /contentType/],
    [
      'throws',
      () => {
        throw new TypeError('cannot');
      },
      /the codec cannot encode the value: cannot/,
    ],
  ];

  onBothBackends('that', (bench) => {
    it.each(codecs)(
      '%s: EncodeError at the sender, and the caller is told',
      async (_, encode, says) => {
        const { broker, name } = bench();
        const codec = { encode, decode: (body: Buffer) => body.toString() } as Codec;
        const [service, caller] = [broker(), broker()];
        service.subscriber({ list: name(), codec }, () => 'x');
        await service.start();
        const sent = broker({ codec }).publish(1, { list: name('other') });
        await expect(sent).rejects.toThrow(EncodeError);
        await expect(broker({ codec }).publish(1, { list: name('other') })).rejects.toThrow(says);
        const call = caller.publish(1, { list: name(), rpc: true, timeout: 20_000 });
        await expect(call).rejects.toMatchObject({ code: 'ENCODE' });
        takeLogs();
      },
    );
  });
});
