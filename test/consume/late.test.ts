import { RedisRouter, subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient } from '../support/redis.ts';

const is =
  (wanted: unknown) =>
  ({ body }: { body: unknown }): boolean =>
    body === wanted;

onBothBackends('a subscriber registered after the start', (bench) => {
  it.each(['channel', 'list', 'stream'] as const)('starts at once (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    const at = { [kind]: name() } as { list: string };
    const late = service.subscriber(at, (body: number) => `got ${body}`);
    await late.started();
    const call = { ...at, rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('got 1');
  });

  it('starts at once as a class, too', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    const list = name();
    class Late {
      @subscriber({ list })
      handle(body: number): string {
        return `got ${body}`;
      }
    }
    service.register(Late);
    expect(await service.publish(1, { list, rpc: true, timeout: 20_000 })).toBe('got 1');
  });

  it('starts at once in a router that was included before', async () => {
    const { broker, name } = bench();
    const service = broker();
    const router = new RedisRouter({ prefix: name('r.') });
    service.include(router);
    await service.start();
    await router.subscriber({ list: 'late' }, () => 'router').started();
    const call = { list: name('r.late'), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('router');
  });

  it('leaves those that run alone', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(
      { channel: name(), noReply: true },
      (body) => void seen.push(['first', body]),
    );
    await service.start();
    const late = service.subscriber({ channel: name(), noReply: true }, (body) => {
      seen.push(['second', body]);
    });
    await late.started();
    await service.publish(1, name());
    await eventually(() => expect(seen).toHaveLength(2));
    expect(new Set(seen.map((entry) => (entry as string[])[0]))).toEqual(
      new Set(['first', 'second']),
    );
  });

  it.each(['list', 'group'] as const)(
    'with a filter joins the reader of its address: nothing is taken that nobody wants (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const at = (kind === 'list' ? { list: name() } : { stream: name(), group: 'g' }) as {
        list: string;
      };
      const to = (kind === 'list' ? at : { stream: name() }) as { list: string };
      const [rest, ones]: [unknown[], unknown[]] = [[], []];
      service.subscriber(at, async (body) => void rest.push(body));
      await service.start();
      const late = service.subscriber(
        { ...at, filter: is(1) },
        async (body) => void ones.push(body),
      );
      await late.started();
      for (let n = 0; n < 50; n++) await service.publish(n % 2, to);
      await eventually(() => expect(rest.length + ones.length).toBe(50));
      expect([new Set(rest), new Set(ones)]).toEqual([new Set([0]), new Set([1])]);
    },
  );

  it('that does not fit those which run is refused, and leaves nothing behind', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name() }, () => 'first');
    await service.start();
    const address = { list: name(), filter: is(1), noReply: true };
    expect(() => service.subscriber(address, () => undefined)).toThrow(
      /must have the same 'noReply'/,
    );
    expect(service.subscribers).toHaveLength(1);
    expect((await service.health()).status).toBe('green');
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('first');
  });

  it('while the start connects is started with the others', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name('early') }, () => 'early');
    const starting = service.start();
    const late = service.subscriber({ list: name('late') }, () => 'late');
    await Promise.all([starting, late.started()]);
    const call = { list: name('late'), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('late');
  });

  it('in a router that is included a second time starts at its second place, too', async () => {
    const { broker, name } = bench();
    const service = broker();
    const [shop, depot] = [name('shop.'), name('depot.')].map(
      (prefix) => new RedisRouter({ prefix }),
    );
    const shared = new RedisRouter();
    shared.subscriber({ list: 'orders' }, () => 'here');
    shop?.include(shared);
    service.include(shop as RedisRouter);
    service.include(depot as RedisRouter);
    await service.start();
    depot?.include(shared);
    const call = { rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, { list: name('shop.orders'), ...call })).toBe('here');
    expect(await service.publish(1, { list: name('depot.orders'), ...call })).toBe('here');
  });

  it('tells through started() why it could not start', async () => {
    const { broker, name } = bench();
    const service = broker();
    const other = service.subscriber(name(), () => undefined);
    await expect(other.started()).rejects.toMatchObject({ code: 'SETUP' });
    await service.start();
    await other.started();
  });
});

onBothBackends('a subscriber that is stopped by itself', (bench) => {
  it('takes no further message, while others go on', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    const one = service.subscriber(name('one'), (body) => void seen.push(body));
    service.subscriber(name('two'), () => 'still here');
    await service.start();
    await service.publish(1, name('one'));
    await eventually(() => expect(seen).toEqual([1]));
    await one.stop();
    expect(await service.publish(2, name('one'))).toBe(0);
    const call = { channel: name('two'), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, call)).toBe('still here');
    expect(seen).toEqual([1]);
  });

  it('by its own handler is not called again: later items stay in the list', async () => {
    const { broker, name } = bench();
    const [service, other] = [broker(), broker()];
    const [seen, rest]: [unknown[], unknown[]] = [[], []];
    let stopped: Promise<void> | undefined;
    const one = service.subscriber({ list: name() }, (body) => {
      seen.push(body);
      stopped ??= one.stop();
    });
    await other.publishBatch([1, 2, 3], { list: name() });
    await service.start();
    await eventually(() => expect(stopped).toBeDefined());
    await stopped;
    expect(seen).toEqual([1]);
    other.subscriber({ list: name() }, (body) => void rest.push(body));
    await other.start();
    await other.publish('end', { list: name() });
    await eventually(() => expect(rest.at(-1)).toBe('end'));
    expect(rest).toEqual([2, 3, 'end']);
  });

  it.each(['itself', 'its broker'] as const)(
    'and once more by %s gives back what it had fetched once',
    async (by) => {
      const { broker, name } = bench();
      const [service, other] = [broker(), broker()];
      const rest: unknown[] = [];
      let end: (() => void) | undefined;
      const one = service.subscriber(
        { list: name(), maxRecords: 3 },
        () => new Promise<void>((resolve) => void (end = resolve)),
      );
      await other.publishBatch([1, 2, 3], { list: name() });
      await service.start();
      await eventually(() => expect(end).toBeDefined());
      const stops = [one.stop(), by === 'itself' ? one.stop() : service.stop()];
      end?.();
      await Promise.all(stops);
      other.subscriber({ list: name() }, (body) => void rest.push(body));
      await other.start();
      await other.publish('end', { list: name() });
      await eventually(() => expect(rest.at(-1)).toBe('end'));
      expect(rest).toEqual([2, 3, 'end']);
    },
  );

  it('does not start again with its broker', async () => {
    const { broker, name } = bench();
    const service = broker();
    const one = service.subscriber(name('one'), () => 1);
    service.subscriber(name('two'), () => 2);
    await service.start();
    await one.stop();
    await service.stop();
    await service.start();
    const call = { channel: name('two'), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(null, call)).toBe(2);
    expect(await service.publish(null, name('one'))).toBe(0);
  });

  it('leaves its broker: the list, the health, and its instance may come again', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    class Orders {
      @subscriber({ list: name() })
      place(body: number): string {
        return `got ${body}`;
      }
    }
    const orders = new Orders();
    for (let round = 0; round < 3; round++) {
      service.register(orders);
      const [one] = service.subscribersOf(orders);
      await one?.started();
      const call = { list: name(), rpc: true, timeout: 20_000 } as const;
      expect(await service.publish(round, call)).toBe(`got ${round}`);
      await one?.stop();
      expect(service.subscribers).toEqual([]);
      expect((await service.health()).subscribers).toEqual([]);
    }
  });

  it('beside one with a filter gets no further message, and waits for what it handles', async () => {
    const { broker, name } = bench();
    const service = broker();
    const rest: unknown[] = [];
    const ended: unknown[] = [];
    let end: (() => void) | undefined;
    service.subscriber({ list: name(), filter: is('filtered') }, () => 'filtered');
    const one = service.subscriber({ list: name() }, async (body) => {
      rest.push(body);
      await new Promise<void>((resolve) => void (end = resolve));
      ended.push(body);
    });
    await service.start();
    await service.publish('first', { list: name() });
    await eventually(() => expect(rest).toEqual(['first']));
    const stopping = one.stop().then(() => expect(ended).toEqual(['first']));
    end?.();
    await stopping;
    const call = { list: name(), rpc: true, timeout: 20_000 } as const;
    await expect(service.publish('second', call)).rejects.toMatchObject({
      code: 'NO_MATCHING_HANDLER',
    });
    expect(await service.publish('filtered', call)).toBe('filtered');
    expect(rest).toEqual(['first']);
    takeLogs();
  });

  it('with a filter beside another gets no further message: it is as after a start without it, and said', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ list: name(), filter: is('stays') }, () => 'stays');
    const one = service.subscriber({ list: name(), filter: is('goes') }, (body) => {
      seen.push(body);
      return 'goes';
    });
    await service.start();
    const call = { list: name(), rpc: true, timeout: 10_000 } as const;
    expect(await service.publish('goes', call)).toBe('goes');
    await one.stop();
    const refused = { code: 'NO_MATCHING_HANDLER' };
    await expect(service.publish('goes', call)).rejects.toMatchObject(refused);
    takeLogs();
    await service.publish('goes', { list: name() });
    expect(await service.publish('stays', call)).toBe('stays');
    expect(takeLogs()).toMatchObject([{ error: refused }]);
    expect(seen).toEqual(['goes']);
  });
});

it.each([
  ['a reliable list', { list: 'x', reliable: true }],
  ['a group', { stream: 'x', group: 'g' }],
])(
  '%s that is registered while its server is a replica starts when it is a master again',
  async (_, at) => {
    const server = await ownServer();
    const client = rawClient(server.url);
    const broker = newBroker(server.url);
    await broker.start();
    await client.replicaof('127.0.0.1', String(await freePort()) as never);
    const got: unknown[] = [];
    broker.subscriber(at as object as { list: string }, (body) => void got.push(body));
    await eventually(() =>
      expect(takeLogs()).toContainEqual(expect.objectContaining({ level: 'warn' })),
    );
    await client.replicaof('NO', 'ONE');
    const {
      reliable: _reliable,
      group: _group,
      ...to
    } = at as { list: string } & {
      reliable?: boolean;
      group?: string;
    };
    await broker.publish(1, to);
    await eventually(() => expect(got).toEqual([1]));
    await broker.stop();
    takeLogs();
  },
);
