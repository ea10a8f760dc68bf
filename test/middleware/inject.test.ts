import { RedisRouter, RpcTimeoutError, subscriber, type MessageContext } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

const call = { rpc: true, timeout: 20_000 } as const;

const tenant = (ctx: MessageContext): string => ctx.message.headers['tenant'] ?? 'nobody';
const user = async (ctx: MessageContext): Promise<{ name: string }> => {
  return { name: `user of ${await ctx.resolve(tenant)}` };
};

const refused = async (): Promise<never> => Promise.reject(new RangeError('refused'));
function* uncommitted() {
  yield 1;
  throw new TypeError('not committed');
}
function* empty(): Generator<number> {}
function* eager() {
  yield 1;
  yield 2;
}
const self = (ctx: MessageContext): Promise<unknown> => ctx.resolve(self);

onBothBackends('inject', (bench) => {
  it('gives the handler what functions of ctx make, sync and async, in ctx.state', async () => {
    const { broker, name } = bench();
    const service = broker();
    class Orders {
      @subscriber({ list: name(), inject: { tenant, user } })
      place(
        sku: string,
        { state }: MessageContext<string, { tenant: string; user: { name: string } }>,
      ) {
        return [sku, state.tenant, state.user.name];
      }
    }
    const router = new RedisRouter();
    router.register(new Orders());
    service.include(router);
    await service.start();
    const answer = await service.publish('A', { list: name(), headers: { tenant: 'T' }, ...call });
    expect(answer).toEqual(['A', 'T', 'user of T']);
  });

  it('waits for what is no Promise but has then, as the queries of database libraries', async () => {
    const { broker, name } = bench();
    let runs = 0;
    // Lazy: it runs once it is waited for.
    const query = (rows: unknown): PromiseLike<unknown> => ({
      // oxlint-disable-next-line unicorn/no-thenable -- Prisma and Knex do
      then: (resolve, reject) => {
        runs++;
        return Promise.resolve(rows).then(resolve, reject);
      },
    });
    const found = (): PromiseLike<unknown> => query('row');
    const service = broker();
    service.subscriber(
      { list: name(), filter: () => query(true) as Promise<boolean>, inject: { found } },
      (_, ctx) => query([ctx.state.found, typeof ctx.state.found]),
    );
    await service.start();
    expect(await service.publish(1, { list: name(), ...call })).toEqual(['row', 'string']);
    expect(runs).toBe(3);
  });

  it('makes each once for a message, whoever asks for it', async () => {
    const { broker, name } = bench();
    let made = 0;
    const counted = (): number => ++made;
    const twice = async (ctx: MessageContext): Promise<number> => 2 * (await ctx.resolve(counted));
    const service = broker({
      middlewares: [async (ctx, next) => [await ctx.resolve(counted), await next()]],
    });
    const inject = { counted, twice };
    service.subscriber({ list: name(), inject }, (_, { state }) => [state.counted, state.twice]);
    await service.start();
    expect(await service.publish(1, { list: name(), ...call })).toEqual([1, [1, 2]]);
    expect(await service.publish(1, { list: name(), ...call })).toEqual([2, [2, 4]]);
    expect(made).toBe(2);
  });

  it('lets generators clean up when the handler is done, the last first, before the answer is sent', async () => {
    const { broker, name } = bench();
    const trace: string[] = [];
    function* connection() {
      trace.push('connect');
      yield 'connection';
      trace.push('disconnect');
    }
    async function* transaction(ctx: MessageContext) {
      trace.push(`begin on ${await ctx.resolve(connection)}`);
      try {
        yield 'transaction';
        trace.push('commit');
      } catch (error) {
        trace.push('roll back');
        throw error;
      }
    }
    const service = broker();
    service.subscriber(
      { list: name(), inject: { transaction, connection } },
      async (body, { state }) => {
        trace.push(`${state.transaction} on ${state.connection}`);
        if (body === 'bad') throw new RangeError('bad');
        return 'good';
      },
    );
    await service.start();
    expect(await service.publish('good', { list: name(), ...call })).toBe('good');
    const begun = ['connect', 'begin on connection', 'transaction on connection'];
    expect(trace.splice(0)).toEqual([...begun, 'commit', 'disconnect']);
    const bad = service.publish('bad', { list: name(), ...call });
    await expect(bad).rejects.toMatchObject({ remoteName: 'RangeError' });
    expect(trace).toEqual([...begun, 'roll back']); // connection has no finally
    expect(takeLogs()).toHaveLength(1);
  });

  it('fails the message where something cannot be made, or not be cleaned up', async () => {
    const { broker, name } = bench();
    let closed = 0;
    function* opened() {
      try {
        yield 1;
      } finally {
        closed++;
      }
    }
    const service = broker();
    const cases = { refused, uncommitted, empty, eager, self };
    let handled = 0;
    for (const [title, made] of Object.entries(cases)) {
      service.subscriber({ list: name(title), inject: { opened, made } }, () => ++handled);
    }
    await service.start();
    const answers = Object.keys(cases).map(async (title) => {
      return service.publish(1, { list: name(title), ...call }).then(
        () => 'handled',
        ({ message }: Error) => `${title}: ${message}`,
      );
    });
    expect(await Promise.all(answers)).toEqual([
      'refused: refused',
      'uncommitted: not committed',
      expect.stringContaining('yielded nothing'),
      expect.stringContaining('yielded again'),
      expect.stringContaining('needs itself'),
    ]);
    expect({ handled, closed }).toEqual({ handled: 2, closed: 5 });
    expect(takeLogs()).toHaveLength(5);
  });

  it('keeps what a stream is made with until its last item, or until its reader leaves', async () => {
    const { broker, name } = bench();
    const trace: string[] = [];
    function* numbers() {
      yield [1, 2, 3];
      trace.push('closed');
    }
    const service = broker();
    service.subscriber({ list: name(), inject: { numbers } }, async function* (_, { state }) {
      for (const number of state.numbers) {
        trace.push(`sends ${number}`);
        yield number;
      }
    });
    await service.start();
    const seen: unknown[] = [];
    for await (const item of service.requestMany(1, { list: name() })) seen.push(item);
    expect(seen).toEqual([1, 2, 3]);
    expect(trace.splice(0)).toEqual(['sends 1', 'sends 2', 'sends 3', 'closed']);
    for await (const _ of service.requestMany(1, { list: name(), window: 1 })) break;
    await expect.poll(() => trace.at(-1)).toBe('closed');
  });

  it('is overridden for tests, and no longer when that is disposed of', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), inject: { user } }, (_, { state }) => state.user.name);
    await service.start();
    const ask = (): Promise<unknown> => service.publish(1, { list: name(), ...call });
    {
      using _ = service.override(user, () => ({ name: 'fake' }));
      {
        using other = service.override(user, () => ({ name: 'another' }));
        expect(other).toBeDefined();
        expect(await ask()).toBe('another');
      }
      expect(await ask()).toBe('fake');
    }
    expect(await ask()).toBe('user of nobody');
    using _ = service.override(tenant, () => 'fake tenant');
    expect(await ask()).toBe('user of fake tenant');
  });

  it('leaves calls of the handler the deadline that they inherit, from the first message on', async () => {
    const { broker, name } = bench();
    const service = broker();
    let inherited: unknown;
    service.subscriber({ list: name(), inject: { user } }, () => {
      const call = service.publish(1, { list: name('nobody'), rpc: true, timeout: 60_000 });
      return call.catch((error: unknown) => (inherited = error));
    });
    await service.start();
    // Whether its own timeout or the handler's last answer comes first is a race.
    // On a busy machine its time may be over before the handler begins: then once more.
    await expect
      .poll(async () => {
        await service.publish(1, { list: name(), rpc: true, timeout: 200 }).catch(() => undefined);
        return inherited;
      })
      .toBeInstanceOf(RpcTimeoutError);
    // Not its own minute. Two brokers know the server's clock to within the time of a round trip, which may take seconds on a busy machine.
    expect((inherited as RpcTimeoutError).timeout).toBeLessThan(30_000);
  });

  it('is made once for a batch', async () => {
    const { broker, name } = bench();
    const service = broker();
    let made = 0;
    const counted = (ctx: MessageContext): string => `${++made} for ${ctx.messages.length}`;
    const got: unknown[] = [];
    service.subscriber({ list: name(), batch: true, inject: { counted } }, (_, { state }) => {
      got.push(state.counted);
    });
    await service.publishBatch([1, 2, 3], { list: name() });
    await service.start();
    await expect.poll(() => got).toEqual(['1 for 3']);
  });
});
