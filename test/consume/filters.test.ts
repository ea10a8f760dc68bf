import { RedisRouter, subscriber, type SubscriberAddress } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const isJson = ({ contentType }: { contentType: string | undefined }): boolean =>
  contentType === 'application/json';

const kind =
  (wanted: string) =>
  ({ body }: { body: unknown }): boolean =>
    (body as { kind: string }).kind === wanted;

const brokenFilter = ({ body }: { body: unknown }): boolean => {
  if (body === 'bad') throw new Error('filter broke');
  return true;
};

onBothBackends('a filter', (bench) => {
  it('sends a message to the handler that accepts it, and the rest to the one without', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(
      { channel: name(), filter: isJson },
      (body) => void seen.push(['json', body]),
    );
    service.subscriber(name(), (body) => void seen.push(['rest', body]));
    await service.start();
    expect(await service.publish({ a: 1 }, name())).toBe(1);
    await service.publish('text', name());
    await eventually(() => expect(seen).toHaveLength(2));
    expect(seen).toEqual([
      ['json', { a: 1 }],
      ['rest', 'text'],
    ]);
  });

  it('is asked before a handler without one, also where that was registered first', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name() }, () => 'rest');
    service.subscriber({ list: name(), filter: isJson }, () => 'json');
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish({}, call)).toBe('json');
    expect(await service.publish('text', call)).toBe('rest');
  });

  it('that is registered first wins over a later one that would accept, too', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), filter: isJson }, () => 'first');
    service.subscriber({ list: name(), filter: () => true }, () => 'second');
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish({}, call)).toBe('first');
    expect(await service.publish('text', call)).toBe('second');
  });

  it('may be asynchronous, and sees body and headers', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    const filter = async (message: {
      body: unknown;
      headers: { readonly [name: string]: string };
    }) => {
      seen.push([message.body, message.headers['kind']]);
      return message.headers['kind'] === 'vip';
    };
    service.subscriber({ list: name(), filter }, () => 'vip');
    service.subscriber({ list: name() }, () => 'all');
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish('a', { ...call, headers: { kind: 'vip' } })).toBe('vip');
    expect(await service.publish('b', call)).toBe('all');
    expect(seen).toEqual([
      ['a', 'vip'],
      ['b', undefined],
    ]);
  });

  it('chooses before the schema of a handler checks the body', async () => {
    const { broker, name } = bench();
    const service = broker();
    class Shapes {
      @subscriber({
        list: name(),
        filter: kind('circle'),
        schema: z.object({ kind: z.literal('circle'), radius: z.number() }),
      })
      circle({ radius }: { radius: number }): number {
        return radius;
      }
      @subscriber({
        list: name(),
        filter: kind('square'),
        schema: z.object({ kind: z.literal('square'), side: z.number() }),
      })
      square({ side }: { side: number }): number {
        return side;
      }
    }
    service.register(new Shapes());
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish({ kind: 'square', side: 2 }, call)).toBe(2);
    expect(await service.publish({ kind: 'circle', radius: 3 }, call)).toBe(3);
  });

  it('that nobody passes makes a failed message, and tells the caller', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), filter: isJson }, () => 'json');
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    await expect(service.publish('text', call)).rejects.toMatchObject({
      code: 'NO_MATCHING_HANDLER',
    });
    expect(await service.publish({}, call)).toBe('json');
    expect(takeLogs()).toMatchObject([{ error: { name: 'NoMatchingHandlerError' } }]);
  });

  it('that throws fails the message and not the subscriber', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), filter: brokenFilter }, () => 'fine');
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    await expect(service.publish('bad', call)).rejects.toMatchObject({ message: 'filter broke' });
    expect(await service.publish('good', call)).toBe('fine');
    expect(takeLogs()).toMatchObject([{ error: { message: 'filter broke' } }]);
  });

  it('that throws for a while is asked again, as the message is retried like that of a handler', async () => {
    const { broker, name } = bench();
    const service = broker();
    let asked = 0;
    const handled: unknown[] = [];
    const filter = (): boolean => {
      if (++asked < 3) throw new Error('the database is away');
      return true;
    };
    const address = { stream: name(), group: 'g', retry: { backoff: 1 }, filter };
    service.subscriber(address, (_, ctx) => void handled.push(ctx.message.deliveryCount));
    await service.start();
    await service.publish(1, { stream: name() });
    await eventually(() => expect(handled).toEqual([3]));
    const retried = { message: expect.stringMatching(/delivery . of 10/) as unknown };
    expect(takeLogs()).toMatchObject([retried, retried]);
  });
});

const mark = (value: unknown): Uint8Array => Buffer.from(String(value));
const codec = {
  encode: (value: unknown) => ({ body: mark(value) }),
  decode: (raw: Buffer) => raw,
};
const format = {
  encode: ({ body }: { body: Uint8Array }) => body,
  decode: (frame: Buffer) => ({ headers: {}, body: frame }),
};

onBothBackends('handlers that share an address by filters', (bench) => {
  it.each([
    ['codec', { codec }],
    ['format', { format }],
    ['maxRecords', { maxRecords: 5 }],
    ['reliable', { reliable: true }],
    ['noReply', { noReply: true }],
    ['errorPolicy', { errorPolicy: 'hide' }],
  ] as const)('must agree on %s', async (option, other) => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name(), filter: isJson }, () => 1);
    service.subscriber({ list: name(), ...other }, () => 2);
    await expect(service.start()).rejects.toThrow(`must have the same '${option}'`);
  });

  it.each([
    ['noAck', { noAck: true }],
    ['maxlen', { maxlen: 5 }],
    ['claim.minIdle', { claim: { minIdle: 5_000 } }],
    ['ackPolicy', { ackPolicy: 'ack-first' }],
  ] as const)('of a group must agree on %s', async (option, other) => {
    const { broker, name } = bench();
    const service = broker();
    const address = { stream: name(), group: 'g' };
    service.subscriber({ ...address, filter: isJson }, () => 1);
    service.subscriber({ ...address, ...other } as SubscriberAddress, () => 2);
    await expect(service.start()).rejects.toThrow(`must have the same '${option}'`);
  });

  it('must agree on retry, also where it differs by a function alone', async () => {
    const { broker, name } = bench();
    const address = { stream: name(), group: 'g' };
    const service = broker();
    service.subscriber({ ...address, filter: isJson, retry: { backoff: () => 5 } }, () => 1);
    service.subscriber({ ...address, retry: { backoff: () => 6 } }, () => 2);
    await expect(service.start()).rejects.toThrow("must have the same 'retry'");
  });

  it('cannot be two without a filter, in whatever order they come', async () => {
    const { broker, name } = bench();
    for (const filters of [
      [isJson, undefined, undefined],
      [undefined, undefined, isJson],
    ]) {
      const service = broker();
      for (const filter of filters)
        service.subscriber({ list: name(), ...(filter && { filter }) }, () => 1);
      await expect(service.start()).rejects.toThrow('give one of them a filter');
    }
  });

  it('are missing where different handlers of one list or group take turns: a warning says so', async () => {
    const { broker, name } = bench();
    const [one, two] = [() => 1, () => 2];
    for (const place of [{ list: name('l') }, { stream: name('s'), group: 'g' }]) {
      const service = broker();
      service.subscriber({ ...place, title: 'first' }, one);
      service.subscriber({ ...place, title: 'second' }, two);
      await service.start();
      expect(takeLogs()).toMatchObject([
        {
          level: 'warn',
          message: expect.stringMatching(/\(first\) and .* \(second\) take turns: /),
        },
      ]);
      await service.stop();
    }
    for (const place of [{ list: name('l'), title: 'same' }, name(), { stream: name('s') }]) {
      const service = broker();
      service.subscriber(place as string, one);
      service.subscriber(place as string, typeof place === 'string' ? two : one);
      await service.start();
      await service.stop();
    }
    expect(takeLogs()).toEqual([]);
  });

  it('answer and send each through its own publish middleware', async () => {
    const { broker, name } = bench();
    const service = broker();
    const through: string[] = [];
    for (const which of ['first', 'second']) {
      const router = new RedisRouter({
        middlewares: [
          {
            publish: (_command, next) => {
              through.push(which);
              return next();
            },
          },
        ],
      });
      const filter = ({ body }: { body: unknown }): boolean => body === which;
      router.subscriber({ list: name(), filter }, async (body, ctx) => {
        await ctx.publish('sent', { list: name('sent') });
        return body;
      });
      service.include(router);
    }
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish('second', call)).toBe('second');
    expect(through).toEqual(['second', 'second']);
    expect(await service.publish('first', call)).toBe('first');
    expect(through).toEqual(['second', 'second', 'first', 'first']);
  });

  it('of a channel are told apart by the names of their parameters', async () => {
    const { broker, name } = bench();
    const service = broker();
    const paths: unknown[] = [];
    service.subscriber(
      { channel: name('{level}'), filter: () => true, noReply: true },
      (_, ctx) => {
        paths.push(ctx.path);
      },
    );
    service.subscriber({ channel: name('{topic}'), noReply: true }, (_, ctx) => {
      paths.push(ctx.path);
    });
    await service.start();
    await service.publish(1, name('a'));
    await eventually(() => expect(paths).toHaveLength(2));
    expect(paths).toEqual(expect.arrayContaining([{ level: 'a' }, { topic: 'a' }]));
  });
});

describe('a stream entry that no filter accepts', () => {
  it.each([
    ['reject-on-error', 0],
    ['nack-on-error', 0],
    ['manual', 2],
  ] as const)(
    'is settled by the ack policy (%s): trying again would not help',
    async (ackPolicy, left) => {
      const [stream, broker, client] = [unique(), newBroker(redisUrl()), rawClient()];
      const address = { stream, group: 'g', ackPolicy, filter: isJson };
      broker.subscriber(address, () => 'json');
      await broker.start();
      await broker.publish('text', { stream });
      expect(await broker.publish({}, { stream, rpc: true, timeout: 20_000 })).toBe('json');
      await eventually(async () => {
        const [count] = (await client.xpending(stream, 'g')) as [number];
        expect(count).toBe(left);
      });
      await broker.stop();
      const logs = takeLogs();
      expect(logs.length).toBeGreaterThanOrEqual(1);
      for (const { error } of logs) expect(error).toMatchObject({ name: 'NoMatchingHandlerError' });
    },
  );
});
