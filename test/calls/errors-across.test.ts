import { InvalidMessageError, RemoteError, RpcError, event, onError, rpc } from 'redstart';
import { runInNewContext } from 'node:vm';
import { z } from 'zod';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

class NotFound extends RpcError<'NOT_FOUND', { id: number }> {
  override readonly name = 'NotFound';
  constructor() {
    super('NOT_FOUND', 'no such thing', { id: 1 });
  }
}

class Unfit extends InvalidMessageError {
  override readonly name = 'Unfit';
}

class ThrowingGetter extends Error {
  override get message(): string {
    throw new Error('a getter');
  }
}

const cycle: unknown[] = [];
cycle.push(cycle);

/** What a handler throws, and what its caller gets. */
const THROWN: [what: string, thrown: () => unknown, gets: object][] = [
  ['a string', () => 'no', { remoteName: 'Error', message: 'no' }],
  ['undefined', () => undefined, { message: 'undefined' }],
  ['a symbol', () => Symbol('x'), { message: 'Symbol(x)' }],
  [
    'a plain object',
    () => ({ name: 'Full', code: 'E_FULL', message: 'no room', data: { left: 0 } }),
    { remoteName: 'Full', remoteCode: 'E_FULL', message: 'no room', data: { left: 0 } },
  ],
  [
    'an object without a message',
    () => ({ code: 7 }),
    { remoteCode: '7', message: /without a message/ },
  ],
  [
    'an object without a prototype',
    () => Object.create(null) as unknown,
    { message: /without|cannot be read/ },
  ],
  [
    'an error of another realm',
    () => runInNewContext('new TypeError("far")') as unknown,
    { remoteName: 'TypeError', message: 'far' },
  ],
  [
    'an error whose getter throws',
    () => new ThrowingGetter(),
    { message: /a value that cannot be read/ },
  ],
  [
    'a proxy that throws',
    () =>
      new Proxy(
        {},
        {
          get: () => {
            throw new Error('a trap');
          },
        },
      ),
    { message: /a value that cannot be read/ },
  ],
  [
    'an error with data that is a cycle',
    () => Object.assign(new Error('x'), { data: cycle }),
    { message: 'x', data: undefined },
  ],
  [
    'an error with data that is a Map',
    () => Object.assign(new Error('x'), { data: new Map() }),
    { message: 'x', data: undefined },
  ],
  [
    'an AggregateError',
    () => new AggregateError([new TypeError('a'), new RpcError('B', 'b', 2)], 'both'),
    {
      remoteName: 'AggregateError',
      message: 'both',
      errors: [
        expect.objectContaining({ remoteName: 'TypeError', message: 'a' }) as object,
        expect.objectContaining({ code: 'B', data: 2 }) as object,
      ],
    },
  ],
  [
    'an AggregateError without a message',
    () => new AggregateError([new Error('a'), 'b']),
    { message: 'a, b' },
  ],
];

onBothBackends('what a handler throws', (bench) => {
  it.each(['list', 'channel', 'stream'] as const)(
    'a subclass of RpcError with a name of its own is an RpcError at the caller (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const text = z.number();
      const contract = rpc({ [kind]: name() } as { list: string }, {
        request: text,
        reply: text,
        errors: { NOT_FOUND: z.object({ id: z.number() }) },
      });
      service.subscriber(contract, undefined, async () => {
        throw new NotFound();
      });
      await service.start();
      const error: unknown = await service
        .publish(1, contract, { timeout: 20_000 })
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RpcError);
      expect(error).toBeInstanceOf(RemoteError);
      expect(error).toMatchObject({
        code: 'NOT_FOUND',
        message: 'no such thing',
        data: { id: 1 },
        remoteName: 'NotFound',
      });
      expect(contract.is(error, 'NOT_FOUND')).toBe(true);
      expect(event(name(), { schema: text })).toBeDefined();
    },
  );

  it('a subclass of our own errors is that error at the caller', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name() }, () => {
      throw new Unfit('it', [{ path: ['a'], message: 'no' }]);
    });
    await service.start();
    const call = service.publish(1, { list: name(), rpc: true, timeout: 20_000 });
    await expect(call).rejects.toBeInstanceOf(InvalidMessageError);
    await expect(call).rejects.toMatchObject({ issues: [{ path: ['a'], message: 'no' }] });
    takeLogs();
  });

  it.each(THROWN)(
    '%s crosses, synchronously, asynchronously, in a batch and a stream',
    async (_, thrown, gets) => {
      const { broker, name } = bench();
      const service = broker();
      const fail = (): never => {
        throw thrown();
      };
      service.subscriber({ list: name('sync') }, fail);
      service.subscriber({ list: name('async') }, async () => fail());
      service.subscriber({ list: name('batch'), batch: true }, fail);
      service.subscriber({ list: name('again'), onError: [onError(Error, fail)] }, () => {
        throw new Error('first');
      });
      service.subscriber({ list: name('many') }, async function* () {
        yield 1;
        fail();
      });
      await service.start();
      const call = { timeout: 20_000 };
      const calls = ['sync', 'async', 'batch', 'again'].map((list) =>
        service.request(1, { list: name(list), ...call }),
      );
      const many = service.requestMany(1, { list: name('many'), ...call });
      await many.next();
      for (const result of await Promise.allSettled([...calls, many.next()])) {
        const error: unknown = result.status === 'rejected' ? result.reason : undefined;
        expect(error).toBeInstanceOf(RemoteError);
        const { message, ...others } = gets as { message: string | RegExp };
        expect((error as Error).message).toMatch(message);
        expect(error).toMatchObject(others);
        expect(JSON.stringify(error)).not.toContain('errors-across.test');
      }
      takeLogs();
    },
  );
});
