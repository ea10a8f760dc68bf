// The reader of a streamed answer is told of whatever ends it, long before its time.
import { EncodeError, RemoteError, RpcError } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { testLog } from '../support/logs.ts';
import { unique } from '../support/redis.ts';

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const trap = (): never => {
  throw new Error('a trap');
};

const THROWN: readonly (readonly [string, () => unknown, { prototype: object }])[] = [
  ['a revoked proxy', revoked, RemoteError],
  [
    'a proxy whose traps throw',
    () => new Proxy({}, { getPrototypeOf: trap, get: trap }),
    RemoteError,
  ],
  ['undefined', () => undefined, RemoteError],
  ['data over maxBytes', () => new RpcError('BIG', 'too much', 'x'.repeat(20_000)), EncodeError],
];

it.each(THROWN.flatMap((row) => [0, 2].map((items) => [...row, items] as const)))(
  'a generator that throws %s tells its reader (case %#)',
  async (_, thrown, { prototype }, items) => {
    const { logger, take } = testLog();
    const broker = newBroker(`memory://${unique()}`, { logger, maxBytes: 10_000 });
    const list = unique();
    broker.subscriber({ list }, async function* () {
      for (let i = 0; i < items; i++) yield i;
      throw thrown();
    });
    await broker.start();
    const got: unknown[] = [];
    const reading = (async () => {
      for await (const item of broker.requestMany(1, { list, itemTimeout: 60_000 })) got.push(item);
    })();
    const error: unknown = await reading.catch((reason: unknown) => reason);
    expect(Object.getPrototypeOf(error)).toBe(prototype);
    expect(got).toHaveLength(items);
    expect(take()).not.toEqual([]);
  },
);
