import { RedisRouter, Response, subscriber, type Middleware } from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

/** Notes when it is entered and left. */
function tracer(trace: string[], name: string): Middleware {
  return async (_, next) => {
    trace.push(`> ${name}`);
    const result = await next();
    trace.push(`< ${name}`);
    return result;
  };
}

onBothBackends('middleware around handlers', (bench) => {
  it('runs broker, outer router, inner router, subscriber; and back', async () => {
    const { broker, name } = bench();
    const trace: string[] = [];
    const service = broker({
      middlewares: [tracer(trace, 'broker 1'), tracer(trace, 'broker 2')],
    });
    service.use(tracer(trace, 'broker 3'));
    const outer = new RedisRouter({ middlewares: [tracer(trace, 'outer')] });
    const inner = new RedisRouter({ middlewares: [tracer(trace, 'inner')] });
    const list = name();
    class Service {
      @subscriber({ list, middlewares: [tracer(trace, 'own 1'), tracer(trace, 'own 2')] })
      handle(): string {
        trace.push('handler');
        return 'done';
      }
    }
    inner.register(Service);
    outer.include(inner);
    service.include(outer);
    await service.start();
    expect(await service.publish(1, { list, rpc: true, timeout: 20_000 })).toBe('done');
    const layers = ['broker 1', 'broker 2', 'broker 3', 'outer', 'inner', 'own 1', 'own 2'];
    expect(trace).toEqual([
      ...layers.map((layer) => `> ${layer}`),
      'handler',
      ...layers.toReversed().map((layer) => `< ${layer}`),
    ]);
  });

  it.each(['channel', 'list', 'stream'] as const)(
    'runs once for each message (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const trace: string[] = [];
      const service = broker({ middlewares: [tracer(trace, 'm')] });
      const at = { [kind]: name() } as { list: string };
      service.subscriber(at, (body: string) => void trace.push(body));
      await service.start();
      await service.publish('a', at);
      await service.publish('b', at);
      await eventually(() => expect(trace).toHaveLength(6));
      expect(trace).toEqual(['> m', 'a', '< m', '> m', 'b', '< m']);
    },
  );

  it('runs once for a batch, and sees all its messages', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    const service = broker({
      middlewares: [
        (ctx, next) => {
          seen.push(ctx.messages.map(({ body }) => body));
          return next();
        },
      ],
    });
    service.subscriber({ list: name(), batch: true }, () => undefined);
    await service.publishBatch([1, 2, 3], { list: name() });
    await service.start();
    await eventually(() => expect(seen).toEqual([[1, 2, 3]]));
  });

  it('sees the validated body, the path and the headers', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    const service = broker({
      middlewares: [
        ({ message, path }, next) => {
          seen.push(message.body, path['id'], message.headers['x']);
          return next();
        },
      ],
    });
    const schema = z.object({ n: z.number().default(7) });
    service.subscriber({ channel: name('in.{id}'), schema }, () => undefined);
    await service.start();
    await service.publish({}, { channel: name('in.9'), headers: { x: 'y' } });
    await eventually(() => expect(seen).toEqual([{ n: 7 }, '9', 'y']));
  });

  it('may change the result, also one in a Response', async () => {
    const { broker, name } = bench();
    const service = broker({
      middlewares: [
        async (_, next) => {
          const result = await next();
          return result instanceof Response
            ? new Response(`${String(result.body)}!`, { headers: { ...result.headers, more: '1' } })
            : `${String(result)}!`;
        },
      ],
    });
    service.subscriber({ list: name('plain') }, () => 'plain');
    service.subscriber(
      { list: name('whole') },
      () => new Response('whole', { headers: { x: 'y' } }),
    );
    await service.start();
    const timeout = 20_000;
    expect((await service.request(1, { list: name('plain'), timeout })).body).toBe('plain!');
    const whole = await service.request(1, { list: name('whole'), timeout });
    expect(whole.body).toBe('whole!');
    expect(whole.headers).toMatchObject({ x: 'y', more: '1' });
  });

  it.each<[string, (next: () => unknown) => unknown]>([
    ['one after the other', async (next) => (await next(), next())],
    ['at once', async (next) => (await Promise.all([next(), next()]))[1]],
    ['without waiting for the first', (next) => (void next(), next())],
    ['after a failure', async (next) => Promise.resolve(next()).catch(next)],
  ])('that calls next() twice, %s, is told so: the handler runs once', async (when, twice) => {
    const { broker, name } = bench();
    const steps: string[] = [];
    const service = broker({ middlewares: [(_ctx, next) => twice(next)] });
    const handler = async (): Promise<void> => {
      steps.push('begun');
      await new Promise((resolve) => setTimeout(resolve, 5));
      steps.push('ended');
      if (when === 'after a failure') throw new Error('mine');
    };
    const places = [{ stream: name('one') }, { list: name('batch') }] as const;
    service.subscriber({ ...places[0], group: 'g' }, handler);
    service.subscriber({ ...places[1], batch: true }, handler);
    await service.start();
    for (const place of places) {
      const call = service.publish(1, { ...place, rpc: true, timeout: 20_000 });
      await expect(call).rejects.toThrow('middleware called next() twice for one message');
      expect(steps.splice(0)).toEqual(['begun', 'ended']);
    }
    expect(takeLogs().map(({ error }) => (error as { code: string }).code)).toEqual([
      'SETUP',
      'SETUP',
    ]);
  });

  it('may answer itself: the handler does not run', async () => {
    const { broker, name } = bench();
    let runs = 0;
    const service = broker({
      middlewares: [({ message }, next) => (message.body === 'cached' ? 'from the cache' : next())],
    });
    service.subscriber({ list: name() }, () => {
      runs++;
      return 'from the handler';
    });
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish('cached', call)).toBe('from the cache');
    expect(runs).toBe(0);
    expect(await service.publish('new', call)).toBe('from the handler');
    expect(runs).toBe(1);
  });

  it('sees what the handler throws, and may turn it into an answer', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    const service = broker({
      middlewares: [
        async (_, next) => {
          try {
            return await next();
          } catch (error) {
            seen.push(error);
            return 'made good';
          }
        },
      ],
    });
    const failure = new Error('no good');
    service.subscriber({ list: name() }, () => {
      throw failure;
    });
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('made good');
    expect(seen).toEqual([failure]);
    expect(seen[0]).toBe(failure);
  });

  it.each(['before', 'after'] as const)(
    'that throws %s the handler fails the message',
    async (when) => {
      const { broker, name } = bench();
      let runs = 0;
      const service = broker({
        middlewares: [
          async ({ message }, next) => {
            if (message.body === 'good') return next();
            if (when === 'after') await next();
            throw new TypeError('middleware broke');
          },
        ],
      });
      service.subscriber({ list: name() }, () => {
        runs++;
        return 'fine';
      });
      await service.start();
      const call = { list: name(), rpc: true, timeout: 20_000 } as const;
      await expect(service.publish('bad', call)).rejects.toMatchObject({
        remoteName: 'TypeError',
        message: 'middleware broke',
      });
      expect(runs).toBe(when === 'after' ? 1 : 0);
      expect(await service.publish('good', call)).toBe('fine');
      expect(takeLogs()).toMatchObject([
        { level: 'error', error: { message: 'middleware broke' } },
      ]);
    },
  );

  it('shares a state with the handler, of this message alone', async () => {
    const { broker, name } = bench();
    const service = broker({
      middlewares: [
        (ctx, next) => {
          ctx.state['count'] = Number(ctx.state['count'] ?? 0) + 1;
          return next();
        },
      ],
    });
    service.subscriber({ list: name() }, (_, ctx) => ctx.state['count']);
    await service.start();
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe(1);
    expect(await service.publish(1, call)).toBe(1);
  });
});

describe('middleware that throws on an entry of a group', () => {
  it.each([
    ['reject-on-error', 0],
    ['ack', 0],
    ['nack-on-error', 1],
    ['manual', 1],
  ] as const)('is logged, and the entry settled by the policy (%s)', async (ackPolicy, left) => {
    const [stream, client] = [unique(), rawClient()];
    const broker = newBroker(redisUrl(), {
      ackPolicy,
      middlewares: [
        ({ message }, next) => {
          if (message.body === 'bad') throw new Error('middleware broke');
          return next();
        },
      ],
    });
    broker.subscriber({ stream, group: 'g' }, (_, ctx) => ctx.ack());
    await broker.start();
    await broker.publish('bad', { stream });
    await broker.publish('good', { stream, rpc: true, timeout: 20_000 });
    await eventually(async () => {
      expect(((await client.xpending(stream, 'g')) as [number])[0]).toBe(left);
    });
    await broker.stop();
    const logs = takeLogs();
    expect(logs.length).toBeGreaterThanOrEqual(1);
    for (const { error } of logs) expect(error).toMatchObject({ message: 'middleware broke' });
  });
});
