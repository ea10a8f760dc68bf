import {
  EncodeError,
  RedisBroker,
  RedisRouter,
  RedstartError,
  Retry,
  SetupError,
  event,
  fromType,
  onError,
  rpc,
  subscriber,
  type BrokerOptions,
} from 'redstart';
import { z } from 'zod';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { unique } from '../support/redis.ts';

const broker = new RedisBroker('memory://mistakes', { logger: false });
const handler = (): undefined => undefined;

// Users without TypeScript, and those who cast, make mistakes that the compiler would have refused.
const subscribe = (address: unknown, options?: unknown): unknown =>
  broker.subscriber(address as string, options as object, handler);
const publish = (to: unknown): Promise<unknown> => broker.publish('body', to as string);
const brokerWith = (options: unknown): unknown =>
  new RedisBroker('memory://mistakes', options as BrokerOptions);

class Plain {
  handle(): void {}
}
class NeedsArguments {
  constructor(readonly dependency: object) {}
  @subscriber('x')
  handle(): void {}
}
class Mistyped {
  @subscriber({ stream: 'x', grup: 'g' } as never)
  handle(): void {}
}

/** What the user did, the class of the error, and what its text must say. */
type Row = [mistake: string, does: () => unknown, ...says: (string | RegExp)[]];

const setup: Row[] = [
  [
    'a subscriber with two destinations',
    () => subscribe({ channel: 'a', list: 'b' }),
    /one of channel, list or stream/,
    'channel and list',
  ],
  [
    'a subscriber with no destination',
    () => subscribe({}),
    /one of channel, list or stream/,
    'none',
  ],
  [
    'a handler in the place of the address',
    () => broker.subscriber(handler as never, { list: 'a' } as never),
    'the address comes first',
  ],
  [
    'publishBy with an address in the place of a publisher',
    () => broker.pipeline().publishBy({ list: 'a' } as never, 1),
    'publishBy expects a publisher',
    'got an object',
  ],
  ['a subscriber at undefined', () => subscribe(undefined), '{ channel }', 'undefined'],
  ['an empty name', () => subscribe(''), 'channel', 'non-empty'],
  ['a name that is a number', () => subscribe({ list: 7 }), 'list', 'string', 'number'],
  ['a group on a channel', () => subscribe({ channel: 'a', group: 'g' }), "'group'", 'channel'],
  ['a group on a list', () => subscribe({ list: 'a', group: 'g' }), "'group'", 'list'],
  ['maxlen on a list', () => subscribe({ list: 'a', maxlen: 5 }), "'maxlen'", 'list'],
  ['reliable on a channel', () => subscribe({ channel: 'a', reliable: true }), "'reliable'"],
  ['reliable on a stream', () => subscribe({ stream: 'a', reliable: true }), "'reliable'"],
  [
    'reliable that is no boolean',
    () => subscribe({ list: 'a', reliable: 1 }),
    "'reliable'",
    'boolean',
  ],
  [
    'retry on a list that is not reliable',
    () => subscribe({ list: 'a', retry: { maxDeliveries: 2 } }),
    "'retry'",
    "'reliable'",
  ],
  ['batch on a channel', () => subscribe({ channel: 'a', batch: true }), "'batch'", 'channel'],
  ['a misspelt option', () => subscribe({ stream: 'a', gruop: 'g' }), "'gruop'", "mean 'group'?"],
  ['a misspelt option beside', () => subscribe('a', { concurency: 2 }), "mean 'concurrency'?"],
  [
    'an option nobody knows',
    () => subscribe('a', { colour: 'red' }),
    "'colour'",
    /known: .*filter/,
  ],
  ['options that are a number', () => subscribe('a', 3), 'options', 'object', 'number'],
  [
    'a lastId that is none',
    () => subscribe({ stream: 'a', lastId: 'yesterday' }),
    "'lastId'",
    "'$'",
    'yesterday',
  ],
  [
    'a consumer without a group',
    () => subscribe({ stream: 'a', consumer: 'c' }),
    "'consumer'",
    "'group'",
  ],
  ['noAck without a group', () => subscribe({ stream: 'a', noAck: true }), "'noAck'", "'group'"],
  ['a bad ackPolicy', () => subscribe('a', { ackPolicy: 'often' }), "'ackPolicy'", 'ack', 'often'],
  [
    'concurrency 0',
    () => subscribe('a', { concurrency: 0 }),
    "'concurrency'",
    '1 or more',
    'got 0',
  ],
  ['concurrency 1.5', () => subscribe('a', { concurrency: 1.5 }), "'concurrency'", 'got 1.5'],
  ['maxRecords 0', () => subscribe({ list: 'a', maxRecords: 0 }), "'maxRecords'", 'got 0'],
  [
    'a schema that is none',
    () => subscribe('a', { schema: {} }),
    "'schema'",
    'Standard Schema',
    'zod',
  ],
  ['a reply that is none', () => subscribe('a', { reply: 'x' }), "'reply'", 'Standard Schema'],
  [
    'a filter that is none',
    () => subscribe('a', { filter: 'x' }),
    "'filter'",
    'function',
    'string',
  ],
  [
    'a filter with batch',
    () => subscribe({ list: 'a', batch: true, filter: () => true }),
    "'filter'",
    "'batch'",
  ],
  [
    'noReply that is text',
    () => subscribe('a', { noReply: 'yes' }),
    "'noReply'",
    'boolean',
    'string',
  ],
  [
    'a codec without decode',
    () => subscribe('a', { codec: { encode: handler } }),
    "'codec'",
    'decode',
  ],
  [
    'a middleware that is none',
    () => subscribe('a', { middlewares: [5] }),
    'middleware',
    'function',
  ],
  [
    'an error handler that onError did not make',
    () => subscribe('a', { onError: [handler] }),
    "'onError'",
    'onError(ErrorClass',
  ],
  [
    'two error handlers for one class',
    () => brokerWith({ onError: [onError(TypeError, handler), onError(TypeError, handler)] }),
    'two',
    'TypeError',
  ],
  [
    'a second error handler for one class, later',
    () => {
      const router = new RedisRouter();
      router.onError(TypeError, handler);
      router.onError(TypeError, handler);
    },
    'two',
    'TypeError',
  ],
  ['an error handler for no class of errors', () => onError(Map as never, handler), 'Error', 'Map'],
  [
    'an error handler without a function',
    () => onError(Error, 5 as never),
    '(error, ctx)',
    'number',
  ],
  ['maxWait without batch', () => subscribe({ list: 'a', maxWait: 5 }), "'maxWait'", 'batch'],
  ['an injection of a value', () => subscribe('a', { inject: { db: 5 } }), "'inject.db'", 'number'],
  ['an injection of nothing', () => subscribe('a', { inject: 5 }), "'inject'", 'object', 'number'],
  ['a pipeline with an unknown option', () => broker.pipeline({ atomic: true } as never), 'atomic'],
  [
    'a pipeline whose transaction is no boolean',
    () => broker.pipeline({ transaction: 1 } as never),
    "'transaction'",
    'boolean',
  ],
  [
    'middleware for messages taken by hand',
    () => broker.subscribe({ list: 'a', middlewares: [] } as never),
    "'middlewares'",
    'by hand',
  ],
  [
    'a handler that is no function',
    () => broker.subscriber('a', {}, 'handle' as never),
    'handler',
    'function',
    'string',
  ],
  [
    'a handler that is no function, without options',
    () => broker.subscriber('a', 'handle' as never),
    'string',
  ],
  [
    'a handler that is undefined',
    () => broker.subscriber('a', {}, undefined as never),
    'handler',
    'function',
    'undefined',
  ],
  ['a class without handlers', () => broker.register(new Plain()), 'Plain', '@subscriber'],
  [
    'a class that needs arguments',
    () => broker.register(NeedsArguments),
    'NeedsArguments',
    'register(new NeedsArguments(',
  ],
  ['a mistake in a decorator', () => broker.register(Mistyped), 'Mistyped.handle', "mean 'group'?"],
  ['something that is no instance', () => broker.register('x' as never), 'register', 'string'],
  ['include of something else', () => broker.include({} as never), 'RedisRouter', 'object'],
  [
    'a router that includes itself',
    () => {
      const router = new RedisRouter();
      router.include(router);
    },
    'itself',
  ],
  ['a misspelt router option', () => new RedisRouter({ prefx: 'a' } as never), "mean 'prefix'?"],
  ['a misspelt broker option', () => brokerWith({ gracefulTimout: 5 }), "mean 'gracefulTimeout'?"],
  ['a misspelt rpc default', () => brokerWith({ rpc: { timout: 5 } }), "mean 'timeout'?"],
  ['a negative rpc.timeout', () => brokerWith({ rpc: { timeout: -1 } }), 'rpc.timeout', 'got -1'],
  ['maxPending 0', () => brokerWith({ rpc: { maxPending: 0 } }), 'rpc.maxPending', 'got 0'],
  [
    'a word that connections does not know',
    () => brokerWith({ connections: 'many' }),
    "'connections' must be 'shared' or 'dedicated'",
  ],
  [
    'a negative gracefulTimeout',
    () => brokerWith({ gracefulTimeout: -5 }),
    "'gracefulTimeout'",
    '-5',
  ],
  [
    'a broker codec without decode',
    () => brokerWith({ codec: { encode: handler } }),
    "'codec'",
    'decode',
  ],
  ['a logger without methods', () => brokerWith({ logger: {} }), "'logger'", 'false'],
  ['a connection that is a number', () => new RedisBroker(6379 as never), 'URL', 'number'],
  [
    'a publisher with two destinations',
    () => broker.publisher({ channel: 'a', list: 'b' } as never),
    'channel and list',
  ],
  [
    'a misspelt publisher option',
    () => broker.publisher('a', { header: {} } as never),
    "mean 'headers'?",
  ],

  ['a publish with two destinations', () => publish({ list: 'a', stream: 'b' }), 'list and stream'],
  ['a publish with none', () => publish({}), /one of channel, list or stream/, 'none'],
  ['a publish to undefined', () => publish(undefined), '{ channel }', 'undefined'],
  [
    'a publish with a misspelt option',
    () => publish({ channel: 'a', timout: 5 }),
    "mean 'timeout'?",
  ],
  ['a publish with a group', () => publish({ stream: 'a', group: 'g' }), "'group'"],
  ['a publish with maxlen on a list', () => publish({ list: 'a', maxlen: 5 }), "'maxlen'", 'list'],
  ['maxlen 0', () => publish({ stream: 'a', maxlen: 0 }), "'maxlen'", 'got 0'],
  [
    'a negative timeout',
    () => publish({ channel: 'a', rpc: true, timeout: -5 }),
    "'timeout'",
    '-5',
  ],
  [
    'a timeout that is text',
    () => publish({ channel: 'a', rpc: true, timeout: '5' }),
    "'timeout'",
    'milliseconds',
  ],
  [
    'a timeout of a plain message that is no number',
    () => publish({ channel: 'a', timeout: '5' }),
    "'timeout'",
    'milliseconds',
  ],
  [
    'a reply schema without rpc',
    () => publish({ channel: 'a', reply: z.string() }),
    "'reply'",
    'rpc: true',
  ],
  [
    'a reply schema that is none',
    () => publish({ channel: 'a', rpc: true, reply: {} }),
    "'reply'",
    'Standard Schema',
  ],
  [
    'a call with replyTo',
    () => publish({ channel: 'a', rpc: true, replyTo: 'b' }),
    "'replyTo'",
    'call',
  ],
  [
    'a replyTo with two destinations',
    () => publish({ channel: 'a', replyTo: { list: 'a', stream: 'b' } }),
    'replyTo',
    'list and stream',
  ],
  [
    'the header reply_to',
    () => publish({ channel: 'a', headers: { reply_to: 'x' } }),
    "'reply_to'",
    "'replyTo'",
  ],
  ['headers that are null', () => publish({ channel: 'a', headers: null }), 'headers'],
  ['a publish to an empty name', () => publish({ list: '' }), /^publish: the name of a list/],
  [
    'a call to an empty name',
    () => publish({ list: '', rpc: true }),
    /^publish: the name of a list/,
  ],
  [
    'a request to an empty name',
    () => broker.request(1, { list: '' }),
    /^request: the name of a list/,
  ],
  [
    'a request with maxlen on a list',
    () => broker.request(1, { list: 'a', maxlen: 5 } as never),
    /^request: 'maxlen'/,
  ],
  [
    'a stream from an empty name',
    () => broker.requestMany(1, { list: '' }).next(),
    /^requestMany: the name of a list/,
  ],
  [
    'a window larger than responders send ahead',
    () => broker.requestMany(1, { list: 'a', window: 1_025 }),
    "'window'",
    '1024',
  ],
  [
    'a reply channel of an unknown kind',
    () => publish({ list: 'a', rpc: true, replyChannel: 'own' }),
    "'replyChannel'",
    'dedicated',
  ],
  [
    'a reply channel for a message that is no call',
    () => publish({ list: 'a', replyChannel: 'dedicated' }),
    "'replyChannel'",
    'rpc: true',
  ],
  ['trimPast of 0', () => new RedisBroker('memory://x', { trimPast: 0 }), "'trimPast' must be"],
  ['maxBytes of 0', () => new RedisBroker('memory://x', { maxBytes: 0 }), "'maxBytes'"],
  [
    'replies to an unknown kind of place',
    () => new RedisBroker('memory://x', { replies: 'inbox' as never }),
    "'replies'",
    'inboxes',
  ],
  [
    'a gather at an empty name',
    () => broker.gather(1, { channel: '' }),
    /^gather: the name of a channel/,
  ],
  ['a batch that is no array', () => broker.publishBatch('x' as never, 'a'), 'array', 'string'],
  [
    'a batch that waits for answers',
    () => broker.publishBatch([1], { channel: 'a', rpc: true } as never),
    'batch',
  ],
];

const encoding: Row[] = [
  [
    'a header that is null',
    () => publish({ channel: 'a', headers: { 'x-who': null } }),
    "'x-who'",
    'null',
  ],
  [
    'a header that is an object',
    () => publish({ channel: 'a', headers: { 'x-who': {} } }),
    "'x-who'",
    'string',
    'object',
  ],
  [
    'a header that is an array',
    () => publish({ channel: 'a', headers: { 'x-who': [] } }),
    "'x-who'",
    'array',
  ],
  [
    'a header that is too long',
    () => publish({ channel: 'a', headers: { 'x-long': 'y'.repeat(65_536) } }),
    "'x-long'",
    /65[\s ]?535/,
  ],
  [
    'a name of a header that is too long',
    () => publish({ channel: 'a', headers: { ['n'.repeat(65_536)]: 'y' } }),
    /65[\s ]?535/,
  ],
  ['a value that is no JSON', () => broker.publish(1n, 'a'), 'JSON', 'BigInt'],
  ['a function', () => broker.publish(handler, 'a'), 'function', 'JSON'],
];

async function thrownBy(does: () => unknown): Promise<RedstartError> {
  try {
    await does();
  } catch (error) {
    return error as RedstartError;
  }
  throw new Error('nothing was thrown');
}

describe.each([
  ['SetupError', SetupError, 'SETUP', setup],
  ['EncodeError', EncodeError, 'ENCODE', encoding],
] as const)('a mistake is answered with a %s that helps', (_, type, code, rows) => {
  it.each(rows)('%s', async (_mistake, does, ...says) => {
    const error = await thrownBy(does);
    expect(error).toBeInstanceOf(type);
    expect(error).toBeInstanceOf(RedstartError);
    expect(error.code).toBe(code);
    for (const part of says) expect(error.message).toMatch(part);
  });
});

/** Starts a broker with this one subscriber: names are read together with prefixes, at the start. */
function startWith(address: string): Promise<void> {
  const service = newBroker(`memory://${unique()}`);
  service.subscriber(address, handler);
  return service.start();
}

describe('at the latest, the start finds', () => {
  it('a glob that does not say so', async () => {
    await expect(startWith('logs.*')).rejects.toThrow(SetupError);
    await expect(startWith('logs.*')).rejects.toThrow(/'logs\.\*'.*pattern: true/);
  });

  it('a template that names a parameter twice', async () => {
    await expect(startWith('{id}.{id}')).rejects.toThrow(SetupError);
    await expect(startWith('{id}.{id}')).rejects.toThrow(/'\{id\}\.\{id\}'.*twice/);
  });

  it('a class under @broker.subscriber of which no instance was registered', async () => {
    const service = newBroker(`memory://${unique()}`);
    class Forgotten {
      @service.subscriber('x')
      handleIt(): void {}
    }
    await expect(service.start()).rejects.toThrow(SetupError);
    await expect(service.start()).rejects.toThrow(/'handleIt'.*register/);
    service.register(new Forgotten());
    await service.start();
  });

  it('middleware added after the broker has connected', async () => {
    const service = newBroker(`memory://${unique()}`);
    await service.connect();
    expect(() => service.use((_, next) => next())).toThrow(SetupError);
    expect(() => service.use((_, next) => next())).toThrow(/before/);
  });
});

it.each([
  [{ claim: { minidle: 500 } }, /'minidle' is not an option of 'claim', did you mean 'minIdle'\?/],
  [{ claim: [500] }, /'claim' must be an object, got an array/],
  [
    { retry: { maxDeliveries: 3, backof: 10 } },
    /'backof' is not an option of 'retry', did you mean 'backoff'\?/,
  ],
  [
    { deadLetter: { stream: 'dead', maxLen: 10 } },
    /'maxLen' is not an option of 'deadLetter', did you mean 'maxlen'\?/,
  ],
])('a slip inside of an option is found when it is registered: %o', (options, text) => {
  const broker = new RedisBroker('memory://slips');
  const subscribe = (): unknown =>
    broker.subscriber({ stream: 's', group: 'g', ...(options as object) }, () => undefined);
  expect(subscribe).toThrow(SetupError);
  expect(subscribe).toThrow(text);
});

/** The longest time that a timer of Node can wait is 2 147 483 647 ms: with more it fires after 1 ms. */
const group = { stream: 'a', group: 'g' };
const consumer = broker.subscribe({ list: 'a' });

describe.each([
  [
    'timeout of publish',
    'timeout',
    (ms: unknown) => publish({ list: 'a', rpc: true, timeout: ms }),
  ],
  [
    'timeout of request',
    'timeout',
    (ms: unknown) => broker.request(1, { list: 'a', timeout: ms as number }),
  ],
  [
    'timeout of stream',
    'timeout',
    (ms: unknown) => broker.requestMany(1, { list: 'a', timeout: ms as number }),
  ],
  [
    'itemTimeout of stream',
    'itemTimeout',
    (ms: unknown) => broker.requestMany(1, { list: 'a', itemTimeout: ms as number }),
  ],
  [
    'timeout of gather',
    'timeout',
    (ms: unknown) => broker.gather(1, { channel: 'a', timeout: ms as number }),
  ],
  ['rpc.timeout', 'rpc.timeout', (ms: unknown) => brokerWith({ rpc: { timeout: ms } })],
  ['gracefulTimeout', 'gracefulTimeout', (ms: unknown) => brokerWith({ gracefulTimeout: ms })],
  ['trimPast', 'trimPast', (ms: unknown) => brokerWith({ trimPast: ms })],
  ['maxWait', 'maxWait', (ms: unknown) => subscribe({ list: 'a', batch: true, maxWait: ms })],
  [
    'retry.backoff',
    'retry.backoff',
    (ms: unknown) => subscribe({ ...group, retry: { maxDeliveries: 2, backoff: ms } }),
  ],
  [
    'claim.minIdle',
    'claim.minIdle',
    (ms: unknown) => subscribe({ ...group, claim: { minIdle: ms } }),
  ],
  [
    'timeout of next',
    'timeout',
    async (ms: unknown) => (await consumer).next({ timeout: ms as number }),
  ],
] as const)('milliseconds are checked by one rule: %s', (_, key, does) => {
  it.each([
    [Infinity, 'milliseconds', 'got Infinity'],
    [Number.NaN, 'milliseconds', 'got NaN'],
    [-1, 'milliseconds', 'got -1'],
    ['5', 'milliseconds', "got the string '5'"],
    [[], 'milliseconds', 'got an array'],
  ])('%o', async (ms, ...says) => {
    const error = await thrownBy(() => does(ms));
    expect(error).toBeInstanceOf(SetupError);
    for (const part of [`'${key}'`, ...says]) expect(error.message).toContain(part);
  });
});

it.each([333.3, 99, 0, 2 ** 31, 1e10])(
  'claim.minIdle of %d ms, which Redis or a timer does not take, is refused',
  (ms) => {
    const make = (): unknown => subscribe({ ...group, claim: { minIdle: ms } });
    expect(make).toThrow(SetupError);
    expect(make).toThrow(`'claim.minIdle' must be whole milliseconds, 100 to 2147483647, got`);
    expect(() => subscribe({ ...group, claim: { minIdle: 2 ** 31 - 1 } })).not.toThrow();
  },
);

it.each([0, 100, 2 ** 31 - 1, 2 ** 31, 30 * 86_400_000])('%d ms are accepted', (ms) => {
  expect(() => {
    brokerWith({ gracefulTimeout: ms, rpc: { timeout: ms } });
    subscribe({ list: 'a', batch: true, maxWait: ms });
  }).not.toThrow();
});

it('null waits for ever, where that is offered', async () => {
  expect(() => brokerWith({ rpc: { timeout: null } })).not.toThrow();
  expect(() => brokerWith({ gracefulTimeout: null })).toThrow(/'gracefulTimeout'.*got null/);
  expect(() => brokerWith({ rpc: { timeout: Infinity } })).toThrow(/null waits for ever.*Infinity/);
});

it.each([-1, NaN, Infinity, 2 ** 53, '5', null])('no milliseconds: %s', async (after) => {
  expect(() => new Retry({ after: after as number })).toThrow(/milliseconds, 0 or more, got/);
  const options = { id: 'wrong', list: 'a', body: 1 };
  await expect(async () => broker.every(after as number, options)).rejects.toThrow(SetupError);
});

it('a batch of a contract that is answered with a stream', () => {
  const schemas = { request: z.string(), reply: z.string(), many: true } as const;
  const batch = true as never;
  const [own, given] = [rpc({ list: 'a', batch }, schemas), rpc({ list: 'a' }, schemas)];
  const handle = handler as never;
  expect(() => broker.subscriber(own, handle)).toThrow("'many' answers each message");
  expect(() => broker.subscriber(given, { batch }, handle)).toThrow(SetupError);
});

it('an option that is undefined is not given: that of the contract stays', () => {
  const own = new RedisBroker('memory://mistakes', { logger: false });
  const contract = event({ list: 'a', reliable: true, concurrency: 5 }, { schema: z.string() });
  own.subscriber(contract, { concurrency: undefined, reliable: undefined }, () => {});
  expect(own.describe().subscribers).toMatchObject([{ concurrency: 5, reliable: true }]);
});

it('an address among the options beside an address', () => {
  const twice = { list: 'b' } as never;
  expect(() => broker.subscriber({ list: 'a' }, twice, handler)).toThrow(
    "'list' is an address, and one was given before the options",
  );
  expect(() => broker.publisher('a', twice)).toThrow(SetupError);
});

it.each(['debug', 'info', 'warn', 'error'])('a logger without %s is refused by name', (missing) => {
  const levels = { debug: handler, info: handler, warn: handler, error: handler };
  const build = (): unknown => brokerWith({ logger: { ...levels, [missing]: undefined } });
  expect(() => brokerWith({ logger: levels })).not.toThrow();
  expect(build).toThrow(SetupError);
  expect(build).toThrow(`got an object without ${missing}`);
});

it.each([
  ['a subscriber', () => subscribe('a', { schema: fromType })],
  ['a subscriber of a list', () => subscribe({ list: 'a', schema: fromType })],
  ['a reply', () => subscribe('a', { reply: fromType })],
  ['a publisher', () => broker.publisher('a', { schema: fromType })],
  ['messages taken by hand', () => broker.subscribe({ list: 'a', schema: fromType })],
  ['an event', () => event('a', { schema: fromType })],
  ['an answer', () => publish({ channel: 'a', rpc: true, reply: fromType })],
])('fromType without a method is refused where it is given: %s', async (_, does) => {
  const error = await thrownBy(does);
  expect(error).toBeInstanceOf(SetupError);
  expect(error.message).toContain("'fromType' works on a method decorator");
});

it.each([
  [
    'a broker included in a broker',
    () => broker.include(broker as never),
    'an object of class RedisBroker',
  ],
  [
    'middlewares',
    () => subscribe('a', { middlewares: null }),
    "'middlewares' must be an array, got null",
  ],
  ['onError', () => subscribe('a', { onError: {} }), "'onError' must be an array, got an object"],
  ['a middleware', () => subscribe('a', { middlewares: ['x'] }), "got the string 'x'"],
  [
    'a codec',
    () => brokerWith({ codec: { encode: handler } }),
    'encode and decode, got an object without decode',
  ],
  ['a codec that is null', () => brokerWith({ codec: null }), 'got null'],
  ['rpc', () => brokerWith({ rpc: null }), "'rpc' must be an object, got null"],
  ['options of a broker', () => brokerWith([]), 'got an array'],
  [
    'headers of a publisher',
    () => broker.publisher('a', { headers: 5 as never }),
    "'headers' must be an object, got the number 5",
  ],
  ['replyTo that is null', () => publish({ channel: 'a', replyTo: null }), "'replyTo'", 'got null'],
  [
    'replyTo of a publisher',
    () => broker.publisher('a', { replyTo: {} as never }),
    'replyTo',
    'got none',
  ],
  [
    'options of a publisher',
    () => broker.publisher('a', 5 as never),
    'options must be an object, got the number 5',
  ],
  [
    'maxlen of a publisher to a list',
    () => broker.publisher({ list: 'a', maxlen: 5 } as never),
    "'maxlen'",
    "'stream'",
  ],
  [
    'a signal',
    () => publish({ channel: 'a', rpc: true, signal: new AbortController() }),
    "'signal'",
    'an object of class AbortController',
  ],
  [
    'rpc that is text',
    () => publish({ channel: 'a', rpc: 'yes' }),
    "'rpc' must be a boolean, got the string 'yes'",
  ],
  [
    'maxlen of dead letters in a list',
    () => subscribe({ ...group, deadLetter: { list: 'd', maxlen: 5 } }),
    "'deadLetter.maxlen'",
    "'stream'",
  ],
] as Row[])('the error says what came: %s', async (_, does, ...says) => {
  const error = await thrownBy(does);
  expect(error).toBeInstanceOf(SetupError);
  for (const part of says) expect(error.message).toContain(part);
});
