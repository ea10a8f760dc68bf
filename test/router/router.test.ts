import {
  RedisRouter,
  SetupError,
  subscriber,
  type MessageContext,
  type Middleware,
  type RedisBroker,
} from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

onBothBackends('a router', (bench) => {
  it.each(['channel', 'list', 'stream'] as const)(
    'puts its prefix before the names of its subscribers (%s)',
    async (kind) => {
      const { broker, name } = bench();
      const service = broker();
      const router = new RedisRouter({ prefix: name('r.') });
      router.subscriber({ [kind]: 'in' } as { list: string }, () => 'here');
      service.include(router);
      await service.start();
      const at = { [kind]: name('r.in') } as { list: string };
      expect(await service.publish(1, { ...at, rpc: true, timeout: 20_000 })).toBe('here');
    },
  );

  it('adds its prefix to that of the broker and of the routers around it', async () => {
    const { broker, name } = bench();
    const service = broker({ prefix: name('b.') });
    const outer = new RedisRouter({ prefix: 'outer.' });
    const inner = new RedisRouter({ prefix: 'inner.' });
    inner.subscriber({ list: 'in' }, () => 'found');
    outer.include(inner);
    service.include(outer);
    await service.start();
    const client = broker();
    const call = { list: name('b.outer.inner.in'), rpc: true, timeout: 20_000 } as const;
    expect(await client.publish(1, call)).toBe('found');
    // The broker's own prefix is put before what it publishes.
    expect(await service.publish(1, { ...call, list: 'outer.inner.in' })).toBe('found');
  });

  it('keeps the parameters of templates out of its prefix', async () => {
    const { broker, name } = bench();
    const service = broker();
    const router = new RedisRouter({ prefix: name('a*b.') });
    router.subscriber('{level}', (_, ctx) => ctx.path);
    service.include(router);
    await service.start();
    const call = { rpc: true, timeout: 20_000 } as const;
    const answer = await service.publish(1, { channel: name('a*b.error'), ...call });
    expect(answer).toEqual({ level: 'error' });
    // A star in a prefix is a star, and no glob.
    expect(await service.publish(1, name('axb.error'))).toBe(0);
  });

  it('that is included twice is included once', async () => {
    const { broker, name } = bench();
    const service = broker();
    const router = new RedisRouter();
    const seen: unknown[] = [];
    router.subscriber(name(), (body) => void seen.push(body));
    service.include(router);
    service.include(router);
    await service.start();
    expect(await service.publish(1, name())).toBe(1);
    await service.publish('end', { channel: name(), rpc: true, timeout: 20_000 });
    expect(seen).toEqual([1, 'end']);
  });

  it('may be included in two brokers: each has its subscribers', async () => {
    const { broker, name } = bench();
    const [one, two] = [broker({ prefix: name('1.') }), broker({ prefix: name('2.') })];
    const router = new RedisRouter();
    router.subscriber({ list: 'in' }, (_, ctx) => (ctx.broker === one ? 'one' : 'two'));
    one.include(router);
    two.include(router);
    await Promise.all([one.start(), two.start()]);
    const call = { list: 'in', rpc: true, timeout: 20_000 } as const;
    expect(await one.publish(1, call)).toBe('one');
    expect(await two.publish(1, call)).toBe('two');
  });

  it.each(['before', 'after'] as const)(
    'may be included %s its handlers are registered',
    async (when) => {
      const { broker, name } = bench();
      const service = broker();
      const router = new RedisRouter({ prefix: name('') });
      if (when === 'before') service.include(router);
      class Handlers {
        @subscriber({ list: 'class' })
        handle(): string {
          return 'class';
        }
      }
      router.register(new Handlers());
      router.subscriber({ list: 'function' }, () => 'function');
      if (when === 'after') service.include(router);
      await service.start();
      const call = { rpc: true, timeout: 20_000 } as const;
      expect(await service.publish(1, { list: name('class'), ...call })).toBe('class');
      expect(await service.publish(1, { list: name('function'), ...call })).toBe('function');
    },
  );

  it('may be included after the start, nested routers with it', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    const outer = new RedisRouter({ prefix: name('o.') });
    const inner = new RedisRouter({ prefix: 'i.' });
    outer.subscriber({ list: 'in' }, () => 'outer');
    outer.include(inner);
    inner.subscriber({ list: 'in' }, () => 'inner');
    service.include(outer);
    const call = { rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(1, { list: name('o.in'), ...call })).toBe('outer');
    expect(await service.publish(1, { list: name('o.i.in'), ...call })).toBe('inner');
    inner.subscriber({ list: 'late' }, () => 'late');
    expect(await service.publish(1, { list: name('o.i.late'), ...call })).toBe('late');
  });

  it('hands down concurrency; the nearest wins', async () => {
    const { broker, name } = bench();
    const service = broker({ concurrency: 4 });
    const router = new RedisRouter({ concurrency: 2 });
    const inside: Record<string, number> = { broker: 0, router: 0, own: 0 };
    const ends: (() => void)[] = [];
    const stay = (who: string) => () => {
      inside[who] = (inside[who] as number) + 1;
      return new Promise<void>((resolve) => void ends.push(resolve));
    };
    service.subscriber({ list: name('broker') }, stay('broker'));
    router.subscriber({ list: name('router') }, stay('router'));
    router.subscriber({ list: name('own'), concurrency: 3 }, stay('own'));
    service.include(router);
    await service.start();
    for (const who of ['broker', 'router', 'own']) {
      await service.publishBatch([1, 2, 3, 4, 5, 6], { list: name(who) });
    }
    await eventually(() => expect(inside).toEqual({ broker: 4, router: 2, own: 3 }));
    const stopping = service.stop();
    for (const end of ends) end();
    await stopping;
    // What had not been started stayed in the lists.
    expect(inside).toEqual({ broker: 4, router: 2, own: 3 });
  });

  it('has publishers, under its prefix and through its middleware and its broker’s', async () => {
    const { broker, name } = bench();
    const trace: string[] = [];
    const tracing = (title: string): Middleware => ({
      publish: (_, next) => (trace.push(title), next()),
    });
    const service = broker({ prefix: 'b:', middlewares: [tracing('broker')] });
    const outer = new RedisRouter({ prefix: 'o:', middlewares: [tracing('outer')] });
    const inner = new RedisRouter({ prefix: 'i:', middlewares: [tracing('inner')] });
    const orders = inner.publisher({ list: name() }, { schema: z.string() });
    await expect(orders.publish('early')).rejects.toThrow('no broker');
    outer.include(inner);
    service.include(outer);
    expect(await orders.publish('A')).toBe(1);
    expect(trace).toEqual(['broker', 'outer', 'inner']);
    await using consumer = await broker().subscribe({ list: `b:o:i:${name()}` });
    expect((await consumer.next())?.body).toBe('A');
    await expect(orders.publish(7 as never)).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });

    const shared = new RedisRouter();
    const notices = shared.publisher(name('notices'));
    for (const parent of [broker(), broker()]) parent.include(shared);
    await expect(notices.publish('A')).rejects.toThrow('2 brokers');
  });

  it('refuses what is no router, and a circle', () => {
    const { broker } = bench();
    const [outer, inner] = [new RedisRouter(), new RedisRouter()];
    outer.include(inner);
    expect(() => inner.include(outer)).toThrow(SetupError);
    expect(() => outer.include(outer)).toThrow(SetupError);
    expect(() => broker().include({} as RedisRouter)).toThrow(SetupError);
  });
});

type Include = (broker: RedisBroker, router: RedisRouter) => void;

const of = (ackPolicy?: 'manual' | 'ack' | 'reject-on-error') =>
  ackPolicy === undefined ? {} : { ackPolicy };

/** How many entries stay pending when one has failed. */
async function pendingAfterFailure(
  include: Include,
  policies: {
    broker?: 'manual' | 'reject-on-error';
    router?: 'manual' | 'ack';
    own?: 'manual' | 'ack';
  },
): Promise<number> {
  const [stream, client] = [unique(), rawClient()];
  const broker = newBroker(redisUrl(), of(policies.broker));
  const router = new RedisRouter(of(policies.router));
  const address = { stream, group: 'g', ...of(policies.own) };
  router.subscriber(address, (body: unknown, ctx: MessageContext) => {
    if (body === 'end') return ctx.ack();
    throw new Error('no good');
  });
  include(broker, router);
  await broker.start();
  await broker.publish('bad', { stream });
  await broker.publish('end', { stream, rpc: true, timeout: 20_000 });
  await broker.stop();
  takeLogs();
  return ((await client.xpending(stream, 'g')) as [number])[0];
}
const plainly: Include = (broker, router) => broker.include(router);

const nested: Include = (broker, router) => {
  const between = new RedisRouter();
  between.include(router);
  broker.include(between);
};

describe("a router's ack policy", () => {
  it("is the broker's where it has none, also where it was made before the broker", async () => {
    expect(await pendingAfterFailure(plainly, { broker: 'manual' })).toBe(1);
    expect(await pendingAfterFailure(plainly, { broker: 'reject-on-error' })).toBe(0);
  });

  it("is the broker's through a router between them", async () => {
    expect(await pendingAfterFailure(nested, { broker: 'manual' })).toBe(1);
  });

  it("is its own where it has one, and the subscriber's before that", async () => {
    expect(await pendingAfterFailure(plainly, { broker: 'manual', router: 'ack' })).toBe(0);
    expect(await pendingAfterFailure(plainly, { router: 'manual' })).toBe(1);
    expect(await pendingAfterFailure(plainly, { router: 'manual', own: 'ack' })).toBe(0);
    expect(await pendingAfterFailure(plainly, { router: 'ack', own: 'manual' })).toBe(1);
  });
});
