import {
  RedisRouter,
  type Destination,
  type Message,
  type Middleware,
  type PublishCommand,
} from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { monitor } from '../support/monitor.ts';
import { redisUrl, unique } from '../support/redis.ts';

/** Notes the type of each command on its way out and back. */
function tracer(trace: string[], name: string): Middleware {
  return {
    publish: async (command, next) => {
      trace.push(`> ${name} ${command.type}`);
      const result = await next();
      trace.push(`< ${name} ${command.type}`);
      return result;
    },
  };
}

onBothBackends('middleware around publishing', (bench) => {
  it('runs outermost first, the same for publish, request and rpc', async () => {
    const { broker, name } = bench();
    const trace: string[] = [];
    const [service, client] = [
      broker(),
      broker({ middlewares: [tracer(trace, 'a'), tracer(trace, 'b')] }),
    ];
    service.subscriber(name(), () => 'answer');
    await service.start();
    expect(await client.publish(1, name())).toBe(1);
    expect(trace).toEqual(['> a publish', '> b publish', '< b publish', '< a publish']);
    trace.length = 0;
    const around = ['> a request', '> b request', '< b request', '< a request'];
    await client.request(1, { channel: name(), timeout: 20_000 });
    expect(trace).toEqual(around);
    trace.length = 0;
    await client.publish(1, { channel: name(), rpc: true, timeout: 20_000 });
    expect(trace).toEqual(around);
  });

  it('runs around answers, outermost first, too', async () => {
    const { broker, name } = bench();
    const trace: string[] = [];
    const service = broker({ middlewares: [tracer(trace, 'a'), tracer(trace, 'b')] });
    service.subscriber(name(), () => 'answer');
    await service.start();
    const client = broker();
    expect(await client.publish(1, { channel: name(), rpc: true, timeout: 20_000 })).toBe('answer');
    await eventually(() =>
      expect(trace).toEqual(['> a reply', '> b reply', '< b reply', '< a reply']),
    );
  });

  it('runs around what a handler publishes with ctx.publish', async () => {
    const { broker, name } = bench();
    const seen: [string, unknown][] = [];
    const service = broker({
      middlewares: [
        {
          publish: ({ type, body }, next) => {
            seen.push([type, body]);
            return next();
          },
        },
      ],
    });
    service.subscriber({ list: name('in') }, (_, ctx) =>
      ctx.publish('onward', { list: name('out') }),
    );
    await service.start();
    await broker().publish(1, { list: name('in') });
    await eventually(() => expect(seen).toEqual([['publish', 'onward']]));
  });

  it('runs around the messages of a publisher and of a batch', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    const client = broker({
      middlewares: [
        {
          publish: ({ body }, next) => {
            seen.push(body);
            return next();
          },
        },
      ],
    });
    await client.publisher({ list: name() }).publish('single');
    await client.publishBatch(['one', 'two'], { list: name() });
    expect(seen).toEqual(['single', 'one', 'two']);
  });

  it('may change body, headers, correlation id and destination', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name('other') }, (body, { message }) => {
      seen.push([body, message.headers['x'], message.correlationId]);
    });
    await service.start();
    const change = (command: PublishCommand): void => {
      command.body = `${String(command.body)}, changed`;
      command.headers = { ...command.headers, x: 'y' };
      command.correlationId = 'mine';
      command.to = { kind: 'list', name: name('other') };
    };
    const client = broker({
      middlewares: [{ publish: (command, next) => (change(command), next()) }],
    });
    await client.publish('body', { list: name('given') });
    await eventually(() => expect(seen).toEqual([['body, changed', 'y', 'mine']]));
  });

  it('sees the whole answering message of a call, and may change its body', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    const service = broker();
    service.subscriber(name(), (n: number) => n * 2);
    await service.start();
    const client = broker({
      middlewares: [
        {
          publish: async ({ correlationId }, next) => {
            const answer = (await next()) as Message<number>;
            seen.push(answer.body, answer.correlationId === correlationId);
            answer.body += 1;
            return answer;
          },
        },
      ],
    });
    const call = { channel: name(), timeout: 20_000 };
    expect(await client.publish(4, { ...call, rpc: true })).toBe(9);
    expect((await client.request(5, call)).body).toBe(11);
    expect(seen).toEqual([8, true, 10, true]);
  });

  it('changes request and answer on both sides of a call', async () => {
    const { broker, name } = bench();
    const twice: Middleware = {
      consume: async (ctx, next) => {
        ctx.message.body = Number(ctx.message.body) * 2;
        return next();
      },
      publish: (command, next) => {
        command.body = Number(command.body) * 2;
        return next();
      },
    };
    const service = broker({ middlewares: [twice] });
    const seen: unknown[] = [];
    service.subscriber(name(), (_, ctx) => {
      seen.push(ctx.message.body);
      return ctx.message.body;
    });
    await service.start();
    // Sent as 2, taken as 4, answered as 8.
    const answer = await service.publish(1, { channel: name(), rpc: true, timeout: 20_000 });
    expect(seen).toEqual([4]);
    expect(answer).toBe(8);
  });

  it('that calls next() twice sends a message twice, and one of a batch once', async () => {
    const { broker, name } = bench();
    const got: unknown[] = [];
    const results: unknown[] = [];
    const service = broker({
      middlewares: [
        {
          publish: async (_command, next) => {
            results.push(await next(), await next());
          },
        },
      ],
    });
    service.subscriber({ list: name('one') }, (body) => void got.push(body));
    service.subscriber({ list: name('batch') }, (body) => void got.push(body));
    await service.start();
    await service.publish('a', { list: name('one') });
    await eventually(() => expect(got).toEqual(['a', 'a']));
    got.length = results.length = 0;
    await service.publishBatch(['b', 'c'], { list: name('batch') });
    await eventually(() => expect(got).toEqual(['b', 'c']));
    expect(results).toEqual([1, 1, 2, 2]);
  });

  it('may swallow a message: nothing is sent', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (body) => void seen.push(body));
    await service.start();
    const client = broker({
      middlewares: [{ publish: ({ body }, next) => (body === 'secret' ? 0 : next()) }],
    });
    expect(await client.publish('secret', { list: name() })).toBe(0);
    await client.publish('public', { list: name() });
    await eventually(() => expect(seen).toEqual(['public']));
  });

  it('that throws rejects the publish, and nothing is sent', async () => {
    const { broker, name } = bench();
    const failure = new Error('not allowed');
    const client = broker({
      middlewares: [
        {
          publish: () => {
            throw failure;
          },
        },
      ],
    });
    await expect(client.publish(1, { list: name() })).rejects.toBe(failure);
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    await expect(client.publish(1, call)).rejects.toBe(failure);
    expect(client.stats.pendingCalls).toBe(0);
    expect(await broker().publish(2, { list: name() })).toBe(1);
  });

  it('sees what sending rejects with', async () => {
    const { broker, name } = bench();
    const seen: unknown[] = [];
    const client = broker({
      middlewares: [
        {
          publish: async (_, next) => {
            try {
              return await next();
            } catch (error) {
              seen.push((error as { code: string }).code);
              throw error;
            }
          },
        },
      ],
    });
    const call = client.publish(1, { channel: name(), rpc: true, timeout: 20_000 });
    await expect(call).rejects.toMatchObject({ code: 'NO_RESPONDERS' });
    expect(seen).toEqual(['NO_RESPONDERS']);
  });

  it("of a router runs inside the broker's, for its handlers' answers and publishes", async () => {
    const { broker, name } = bench();
    const trace: string[] = [];
    const service = broker({ middlewares: [tracer(trace, 'broker')] });
    const router = new RedisRouter({ middlewares: [tracer(trace, 'router')] });
    router.subscriber(name('routed'), () => 'answer');
    service.include(router);
    service.subscriber(name('direct'), () => 'answer');
    await service.start();
    const client = broker();
    await client.publish(1, { channel: name('direct'), rpc: true, timeout: 20_000 });
    await eventually(() => expect(trace).toEqual(['> broker reply', '< broker reply']));
    trace.length = 0;
    await client.publish(1, { channel: name('routed'), rpc: true, timeout: 20_000 });
    await eventually(() =>
      expect(trace).toEqual([
        '> broker reply',
        '> router reply',
        '< router reply',
        '< broker reply',
      ]),
    );
  });
});

/** Notes the body of each message, and what sending it gave or threw. */
function witness(trace: unknown[]): Middleware {
  return {
    publish: async ({ body }, next) => {
      trace.push(body);
      try {
        const sent = await next();
        trace.push([body, sent]);
        return sent;
      } catch (error) {
        trace.push([body, (error as { code?: string }).code]);
        throw error;
      }
    },
  };
}

onBothBackends('middleware around a batch', (bench) => {
  it.each(['channel', 'list', 'stream'] as const)(
    'lets all pass before any is sent, and sees what its own publish would have given: to a %s',
    async (kind) => {
      const { broker, name } = bench();
      const trace: unknown[] = [];
      const client = broker({ middlewares: [witness(trace)] });
      const to = { [kind]: name() } as unknown as { stream: string };
      await client.publish('first', to);
      trace.length = 0;
      const result: unknown = await client.publishBatch(['a', 'b', 'c'], to);
      const each = { channel: [0, 0, 0], list: [2, 3, 4], stream: result as unknown[] }[kind];
      expect(trace).toEqual(['a', 'b', 'c', ['a', each[0]], ['b', each[1]], ['c', each[2]]]);
      expect(result).toEqual(kind === 'list' ? 4 : each);
      expect(each).toHaveLength(3);
    },
  );

  it('that throws for one message: none is sent, and the others learn why', async () => {
    const { broker, name } = bench();
    const failure = new Error('not allowed');
    const learned: unknown[] = [];
    const client = broker({
      middlewares: [
        {
          publish: async ({ body }, next) => {
            if (body === 'bad') throw failure;
            return next().catch((error: unknown) => {
              learned.push(error);
              throw error;
            });
          },
        },
      ],
    });
    const sending = client.publishBatch(['a', 'b', 'bad', 'c'], { list: name() });
    await expect(sending).rejects.toBe(failure);
    expect(learned).toEqual([failure, failure, failure]);
    expect(await client.publish('marker', { list: name() })).toBe(1);
  });

  it('and one value that cannot be encoded: none is sent', async () => {
    const { broker, name } = bench();
    const trace: unknown[] = [];
    const client = broker({ middlewares: [witness(trace)] });
    const sending = client.publishBatch([1, 2n, 3], { list: name() });
    await expect(sending).rejects.toMatchObject({ code: 'ENCODE' });
    expect(trace.slice(3)).toEqual([
      [2n, 'ENCODE'],
      [1, 'ENCODE'],
      [3, 'ENCODE'],
    ]);
    expect(await client.publish('marker', { list: name() })).toBe(1);
  });

  it('that Redis refuses: every message sees it, and the batch rejects with it', async () => {
    const { broker, name } = bench();
    const trace: unknown[] = [];
    const client = broker({ middlewares: [witness(trace)] });
    await broker().publish(1, { stream: name() });
    const sending = client.publishBatch(['a', 'b'], { list: name() });
    await expect(sending).rejects.toMatchObject({ code: 'SEND' });
    expect(trace).toEqual(['a', 'b', ['a', 'SEND'], ['b', 'SEND']]);
  });

  it('may swallow messages, answer for them, and send some elsewhere', async () => {
    const { broker, name } = bench();
    const client = broker({
      middlewares: [
        {
          publish: (command, next) => {
            if (command.body === 'swallowed') return 'answered';
            if (command.body === 'moved') command.to = { kind: 'list', name: name('other') };
            return next();
          },
        },
      ],
    });
    const to = { list: name('given') };
    expect(await client.publishBatch(['a', 'swallowed', 'b'], to)).toBe(2);
    expect(await client.publishBatch(['c', 'moved', 'd'], to)).toBe(4);
    expect(await client.publishBatch(['swallowed', 'swallowed'], to)).toBe('answered');
    expect(await client.publishBatch(['e', 'moved', 'swallowed'], to)).toBe('answered');
    const ids = await client.publishBatch(['a', 'swallowed'], { stream: name('ids') });
    expect(ids).toEqual([expect.stringMatching(/^\d+-\d+$/), 'answered']);
    const read = async (list: string, count: number): Promise<unknown[]> => {
      const found: unknown[] = [];
      await using consumer = await broker().subscribe({ list });
      while (found.length < count) found.push((await consumer.next({ timeout: 20_000 }))?.body);
      expect(await consumer.next({ timeout: 20 })).toBeNull();
      return found;
    };
    expect(await read(name('given'), 5)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(await read(name('other'), 2)).toEqual(['moved', 'moved']);
  });

  it('that calls next() when its message has been answered for is told so', async () => {
    const { broker, name } = bench();
    let late: (() => Promise<unknown>) | undefined;
    const client = broker({
      middlewares: [
        {
          publish: ({ body }, next) => {
            if (body !== 'late') return next();
            late = next;
            return 0;
          },
        },
      ],
    });
    await client.publishBatch(['a', 'late'], { list: name() });
    await expect(late?.()).rejects.toThrow(/next\(\).*answered/);
    expect(await client.publish('marker', { list: name() })).toBe(2);
  });
});

describe('a batch through middleware, on Redis', () => {
  it.each<[kind: string, at: (name: string) => Destination, commands: string[]]>([
    ['list', (list) => ({ list }), ['rpush of 5']],
    ['stream', (stream) => ({ stream }), Array(3).fill('xadd of 5')],
    ['channel', (channel) => ({ channel }), Array(3).fill('publish of 3')],
  ])('takes one round trip: to a %s', async (_, at, commands) => {
    const name = unique();
    const seen: string[] = [];
    await monitor((args) => {
      if (args[1] === name) seen.push(`${args[0]?.toLowerCase()} of ${args.length}`);
    });
    let [waiting, most] = [0, 0];
    const client = newBroker(redisUrl(), {
      middlewares: [
        {
          publish: async (_command, next) => {
            most = Math.max(most, ++waiting);
            const sent = await next();
            waiting--;
            return sent;
          },
        },
      ],
    });
    await client.publishBatch(['a', 'b', 'c'], at(name) as { list: string });
    await eventually(() => expect(seen).toEqual(commands));
    expect(most).toBe(3); // none was answered before all were sent
  });
});
