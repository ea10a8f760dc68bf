// Whatever the user's own code throws, returns or rejects with, and wherever it does: the process goes on,
// callers are answered, and the next message is handled.
import {
  RpcError,
  Response,
  defaultCodec,
  binaryFormat,
  onError,
  type BrokerOptions,
  type Codec,
  type Logger,
  type MessageFormat,
  type Observer,
} from 'redstart';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { testLog } from '../support/logs.ts';
import { redisUrl, unique } from '../support/redis.ts';

type Handler = (body: unknown, ctx: { nack(options: object): unknown }) => unknown;

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const get = (): never => {
  throw new Error('a getter');
};

/** An error that cannot be looked at. */
function sealed(): Error {
  const error = new Error('x');
  for (const key of ['message', 'stack', 'name', 'code', 'data', 'cause'])
    Object.defineProperty(error, key, { get });
  return error;
}

const failing = (thrown: () => unknown) => (): never => {
  throw thrown();
};
const rejecting = (thrown: () => unknown) => (): Promise<never> => Promise.reject(thrown());

const circular = (): object => {
  const data: Record<string, unknown> = {};
  data['data'] = data;
  return data;
};

/** What a handler may do. */
const HANDLERS: Record<string, Handler> = {
  'throws undefined': failing(() => undefined),
  'throws a symbol': failing(() => Symbol('s')),
  'throws a revoked proxy': failing(revoked),
  'throws an error that cannot be looked at': failing(sealed),
  'rejects with a revoked proxy': rejecting(revoked),
  'throws an RpcError with data that cannot be sent': failing(
    () => new RpcError('C', 'm', circular()),
  ),
  'returns a bigint': () => 1n,
  'returns a revoked proxy': revoked,
  'returns an array of a revoked proxy': () => [revoked()],
  'returns a toJSON that throws': () => ({ toJSON: failing(sealed) }),
  // oxlint-disable-next-line unicorn/no-thenable -- users do
  'returns a then that throws': () => ({ then: failing(sealed) }),
  'returns a getter of then that throws': () =>
    // oxlint-disable-next-line unicorn/no-thenable -- users do
    Object.defineProperty({}, 'then', { get: failing(sealed) }),
  'returns a response with a header that is none': () =>
    new Response(1, { headers: { a: Symbol('x') as never } }),
  'streams and throws': async function* () {
    yield 1;
    throw sealed();
  },
  'streams what cannot be sent': async function* () {
    yield 1n;
  },
  'returns a stream that cannot be iterated': () => ({ [Symbol.asyncIterator]: failing(sealed) }),
  'returns a stream without an iterator': () => ({ [Symbol.asyncIterator]: () => undefined }),
  'returns a stream whose items are none': () => ({
    [Symbol.asyncIterator]: () => ({ next: async () => 5 }),
  }),
  'calls nack with no time': (_, ctx) => void ctx.nack({ after: Number.NaN }),
};

const schemaOf = (validate: (value: unknown) => unknown): object => ({
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value: unknown) =>
      value === 'good' || value === 'ok' ? { value } : validate(value),
  },
});

const isGood = (body: Uint8Array): boolean => /good|ok/.test(Buffer.from(body).toString());
const codec = (decode: () => unknown): Codec => ({
  encode: (value) => defaultCodec.encode(value),
  decode: (body, type) => (isGood(body) ? defaultCodec.decode(body, type) : decode()),
});
const encoding = (encode: () => unknown): Codec => ({
  encode: (value) => (value === 'ok' ? defaultCodec.encode(value) : (encode() as never)),
  decode: (body, type) => defaultCodec.decode(body, type),
});
/** The frame is readable, and what answers are made of is not. */
const formatting = (encode: () => unknown): MessageFormat => ({
  encode: (message) => (isGood(message.body) ? binaryFormat.encode(message) : (encode() as never)),
  decode: (frame) => binaryFormat.decode(frame),
});

/** What its options may do. */
const OPTIONS: Record<string, object> = {
  'a schema that throws': { schema: schemaOf(failing(sealed)) },
  'a schema that rejects': { schema: schemaOf(rejecting(revoked)) },
  'issues that cannot be looked at': { schema: schemaOf(() => ({ issues: [revoked()] })) },
  'issues that are none': { schema: schemaOf(() => ({ issues: 7 })) },
  'a schema of answers that rejects': { reply: schemaOf(rejecting(revoked)) },
  'a codec that cannot decode': { codec: codec(failing(revoked)) },
  'a codec that decodes later, and fails': { codec: codec(rejecting(sealed)) },
  'a codec that cannot encode': { codec: encoding(failing(sealed)) },
  'a codec that encodes later, and fails': { codec: encoding(rejecting(sealed)) },
  'a codec that makes no body': { codec: encoding(() => 5) },
  'a filter that throws': {
    filter: ({ body }: { body: unknown }) => body === 'good' || failing(sealed)(),
  },
  'a filter that rejects': {
    filter: async ({ body }: { body: unknown }) => body === 'good' || rejecting(revoked)(),
  },
  'a dependency that rejects': {
    inject: {
      one: async ({ message }: { message: { body: unknown } }) =>
        message.body === 'good' || rejecting(revoked)(),
    },
  },
  'an error handler that rejects': { onError: [onError(Error, rejecting(revoked))], throws: true },
  'a backoff that rejects': {
    retry: { maxDeliveries: 2, backoff: rejecting(sealed) },
    throws: true,
  },
};

/** Bodies of a batch come as an array. */
const PLACES = [
  ['a channel', { channel: 'x' }, {}],
  ['a list', { list: 'x' }, {}],
  ['a reliable list', { list: 'x' }, { reliable: true }],
  ['a batch of a group', { stream: 'x' }, { group: 'g', batch: true }],
  ['a group', { stream: 'x' }, { group: 'g' }],
  ['a group with lanes', { stream: 'x' }, { group: 'g', ordered: true }],
  ['a group with a time limit', { stream: 'x' }, { group: 'g', timeout: 20_000 }],
] as const;

type Place = readonly [string, object, object];

/** For brokers that are stopped by hand. */
const whenDone = (): void => {};

/** Sends a message that meets the odd code, a call that meets it, and a good one; all must come to an end. */
async function meet(
  url: string,
  [, place, more]: Place,
  odd: object & { throws?: boolean },
  handler?: Handler,
  options: BrokerOptions = {},
): Promise<void> {
  const [[kind]] = Object.entries(place) as [[string, string]];
  const at = { [kind]: unique() } as { list: string };
  const { logger, take } = testLog();
  const retry = { maxDeliveries: 2, backoff: 1 };
  const acknowledges = 'group' in more || 'reliable' in more;
  const service = newBroker(
    url,
    { logger, pause: false, gracefulTimeout: 200, ...options },
    whenDone,
  );
  const { throws, ...own } = odd;
  let good = 0;
  const failures = acknowledges ? { retry, ...own } : own;
  if (!acknowledges) delete (failures as { retry?: object }).retry;
  service.subscriber({ ...at, ...more, ...failures }, (body: unknown, ctx) => {
    if ([body].flat().includes('good')) {
      good++;
      return Array.isArray(body) ? body.map(() => 'ok') : 'ok';
    }
    if (throws) throw new Error('thrown by the handler');
    return (handler ?? (() => 'an answer'))(body, ctx as never);
  });
  await service.start();
  const caller = newBroker(url, { logger: false }, whenDone);
  await caller.publish('odd', at);
  // It ends with whatever, and long before its time.
  const timeout = 180_000;
  await caller.publish('odd', { ...at, rpc: true, timeout }).catch(() => undefined);
  await caller.publish('good', at);
  await eventually(() => expect(good).toBe(1));
  await eventually(async () => {
    const [health] = (await service.health()).subscribers;
    expect(health).toMatchObject({ state: 'running', running: 0 });
  });
  await Promise.all([service.stop(), caller.stop()]);
  take();
}

const rejections: unknown[] = [];
const onRejection = (error: unknown): void => void rejections.push(error);
beforeEach(() => void process.on('unhandledRejection', onRejection));
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onRejection);
  expect(rejections.splice(0)).toEqual([]);
});

const memory = (): string => `memory://${unique()}`;

/** What went wrong with each of them; empty where nothing did. */
async function troubleOf(
  names: readonly string[],
  meetOne: (name: string) => Promise<void>,
): Promise<unknown[]> {
  const all = names.map(async (name) => {
    try {
      await meetOne(name);
      return [];
    } catch (error) {
      return [[name, error]];
    }
  });
  return (await Promise.all(all)).flat();
}

function fits(name: string, more: object): boolean {
  if (name.includes('filter') && 'batch' in more) return false;
  return !name.includes('backoff') || 'group' in more || 'reliable' in more;
}

describe.each(PLACES)('%s', (title, at, more) => {
  const place = [title, at, more] as const;

  it('goes on after whatever its handler throws and returns', async () => {
    const meetOne = (name: string): Promise<void> => meet(memory(), place, {}, HANDLERS[name]);
    expect(await troubleOf(Object.keys(HANDLERS), meetOne)).toEqual([]);
  });

  it('goes on after whatever its options throw and return', async () => {
    const names = Object.keys(OPTIONS).filter((name) => fits(name, more));
    const meetOne = (name: string): Promise<void> => meet(memory(), place, OPTIONS[name] as object);
    expect(await troubleOf(names, meetOne)).toEqual([]);
  });
});

it.each([
  ['a handler that throws what cannot be looked at', {}, failing(sealed)],
  ['a stream that cannot be iterated', {}, HANDLERS['returns a stream that cannot be iterated']],
  ['a schema that rejects', OPTIONS['a schema that rejects'] as object, undefined],
] as const)('on Redis, too, a group goes on after %s', async (_, odd, handler) => {
  expect(await troubleOf([''], () => meet(redisUrl(), PLACES[4], odd, handler))).toEqual([]);
});

const observer = (rest: object): { observers: Observer[] } => ({ observers: [rest] });

const waits = async (_: unknown, next: () => unknown): Promise<void> => void (await next());

describe('what nobody awaits does not end the process', () => {
  const later = rejecting(sealed) as never;
  const logger = { debug: later, info: later, warn: later, error: later } as Logger;
  it.each<[string, BrokerOptions]>([
    ['a logger that rejects', { logger }],
    ['an observer that rejects', observer({ received: later, handled: later, published: later })],
    ['one that rejects around the handler', observer({ handle: later, send: later })],
    ['one that waits for a handler that fails', observer({ handle: waits })],
  ])('%s', async (_, options) => {
    const fails = rejecting(() => new Error('the handler fails'));
    const meetOne = (place: string): Promise<void> =>
      meet(memory(), PLACES.find(([title]) => title === place) as Place, {}, fails, options);
    expect(await troubleOf(['a channel', 'a group'], meetOne)).toEqual([]);
  });

  it('an observer that waits for a publish that fails', async () => {
    const broker = newBroker(memory(), observer({ send: waits }));
    await expect(broker.publish(1, { channel: 'nobody', rpc: true })).rejects.toThrow(/nobody/);
  });
});

it('a format that cannot encode, or does so later, refuses the message', async () => {
  for (const encode of [failing(sealed), rejecting(sealed), () => null]) {
    const broker = newBroker(memory(), { format: formatting(encode) });
    await expect(broker.publish('x', { list: 'x' })).rejects.toMatchObject({ code: 'ENCODE' });
  }
});

it('a batch whose handler takes too long fails, and its place is free', async () => {
  const { logger, take } = testLog();
  const broker = newBroker(memory(), {
    logger,
    pause: false,
    retry: { maxDeliveries: 2, backoff: 1 },
  });
  const list = unique();
  const seen: unknown[] = [];
  const aborted: unknown[] = [];
  broker.subscriber(
    { list, reliable: true, batch: true, timeout: 20, deadLetter: { list: `${list}:dead` } },
    (bodies: string[], ctx) => {
      if (!bodies.includes('hangs')) return void seen.push(...bodies);
      ctx.signal.addEventListener('abort', () => aborted.push(ctx.signal.reason));
      return new Promise(() => undefined);
    },
  );
  await broker.start();
  await broker.publish('hangs', { list });
  await eventually(() => expect(aborted).toHaveLength(2));
  await broker.publish('good', { list });
  await eventually(() => expect(seen).toEqual(['good']));
  expect(aborted[0]).toMatchObject({ code: 'HANDLER_TIMEOUT' });
  await eventually(async () =>
    expect(await broker.deadLetters({ list: `${list}:dead` }).count()).toBe(1),
  );
  expect((await broker.health()).subscribers).toMatchObject([{ running: 0 }]);
  take();
});

it.each([0, null, 'a b', '', {}, Symbol('x')])(
  'a page of dead letters after %o is a SetupError',
  async (after) => {
    const broker = newBroker(memory());
    const page = { after } as { after: string };
    await expect(broker.deadLetters({ stream: 'dead' }).list(page)).rejects.toMatchObject({
      code: 'SETUP',
      message: expect.stringContaining("'after' must be the id of a dead letter"),
    });
  },
);
