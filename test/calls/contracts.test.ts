import {
  InvalidMessageError,
  RedisBroker,
  RedisRouter,
  RpcError,
  SetupError,
  event,
  publisher,
  rpc,
  subscriber,
  type EventContract,
  type MessageContext,
} from 'redstart';
import { expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const Order = z.object({ sku: z.string(), quantity: z.number().int().default(1) });
const Receipt = z.object({ id: z.string() });

function contractsAt(place: string) {
  return {
    placeOrder: rpc(
      { list: `${place}:orders` },
      {
        request: Order,
        reply: Receipt,
        errors: { OUT_OF_STOCK: z.object({ left: z.number() }) },
      },
    ),
    tail: rpc(`${place}:tail`, { request: z.number(), reply: z.string(), many: true }),
    shipped: event({ stream: `${place}:shipped`, group: 'warehouse' }, { schema: Receipt }),
  };
}

onBothBackends('a contract', (bench) => {
  function set() {
    const { broker, name } = bench();
    const contracts = contractsAt(name());
    const { placeOrder, tail, shipped } = contracts;
    const seen: unknown[] = [];
    class Shop {
      @subscriber(placeOrder)
      place(order: z.infer<typeof Order>) {
        if (order.sku === 'none') throw placeOrder.error('OUT_OF_STOCK', { left: 0 });
        if (order.sku === 'liar') return { id: 7 } as never;
        if (order.sku === 'vague') throw new RpcError('OUT_OF_STOCK', 'no data');
        return { id: `${order.sku}x${order.quantity}` };
      }

      @subscriber(tail)
      async *lines(count: number) {
        for (let i = 0; i < count; i++) yield `line ${i}`;
      }

      @subscriber(shipped)
      ship(receipt: z.infer<typeof Receipt>, ctx: MessageContext) {
        seen.push([receipt, ctx.message.deliveryCount]);
      }
    }
    const service = broker();
    service.register(new Shop());
    return { service, contracts, seen };
  }

  it('serves publish, request, stream and clientFor, with defaults of its schema filled in', async () => {
    const { service, contracts, seen } = set();
    await service.start();
    const receipt = await service.publish({ sku: 'a' }, contracts.placeOrder, { timeout: 20_000 });
    expectTypeOf(receipt).toEqualTypeOf<{ id: string }>();
    expect(receipt).toEqual({ id: 'ax1' });
    const reply = await service.request({ sku: 'b', quantity: 2 }, contracts.placeOrder);
    expect(reply.body.id).toBe('bx2');
    expect(await collect(service.requestMany(2, contracts.tail))).toEqual(['line 0', 'line 1']);

    const client = service.clientFor(contracts);
    expect(await client.placeOrder({ sku: 'c' })).toEqual({ id: 'cx1' });
    const lines = client.tail(3);
    expectTypeOf(lines).toEqualTypeOf<AsyncIterableIterator<string, undefined>>();
    expect(await collect(lines)).toHaveLength(3);
    await client.shipped({ id: 'c' });
    await eventually(() => expect(seen).toEqual([[{ id: 'c' }, 1]]));
  });

  it('brings its errors back typed, their data checked on both sides', async () => {
    const { service, contracts } = set();
    await service.start();
    const { placeOrder } = contracts;
    const error: unknown = await service
      .publish({ sku: 'none' }, placeOrder)
      .catch((caught: unknown) => caught);
    expect(placeOrder.is(error, 'OUT_OF_STOCK')).toBe(true);
    if (placeOrder.is(error, 'OUT_OF_STOCK')) {
      expectTypeOf(error.data).toEqualTypeOf<{ left: number }>();
    }
    expect(error).toMatchObject({ code: 'OUT_OF_STOCK', data: { left: 0 } });
    const vague = service.publish({ sku: 'vague' }, placeOrder);
    await expect(vague).rejects.toBeInstanceOf(InvalidMessageError);
    takeLogs(); // the handler broke its contract
  });

  it('refuses what does not fit, before it is sent and before it is answered', async () => {
    const { service, contracts } = set();
    const { placeOrder } = contracts;
    // @ts-expect-error -- the compiler says so first
    const bad = service.publish({ sku: 1 }, placeOrder);
    await expect(bad).rejects.toBeInstanceOf(InvalidMessageError);
    expect(service.stats.pendingCalls).toBe(0);
    await service.start();
    await expect(service.publish({ sku: 'liar' }, placeOrder)).rejects.toMatchObject({
      code: 'INVALID_MESSAGE',
    });
    expect(takeLogs()).toHaveLength(1);
  });

  it('says so when a stream is called like a call, or a call like a stream', async () => {
    const { service, contracts } = set();
    // @ts-expect-error -- a stream
    await expect(service.publish(1, contracts.tail)).rejects.toBeInstanceOf(SetupError);
    // @ts-expect-error -- a call
    expect(() => service.requestMany({ sku: 'a' }, contracts.placeOrder)).toThrow('answered once');
    expect(() => service.clientFor({ nothing: {} as never })).toThrow(
      "'nothing' is not a contract",
    );
  });
});

const Cents = z.object({ cents: z.number().transform((cents) => cents / 100) });
const Doubled = z.number().transform(async (value) => Promise.resolve(value * 2));

onBothBackends('a schema that converts', (bench) => {
  it('runs once: the handler gets its output, the caller that of the answer', async () => {
    const { broker, name } = bench();
    const pay = rpc({ list: name('a') }, { request: Cents, reply: Doubled });
    const service = broker();
    const bodies: unknown[] = [];
    service.subscriber(pay, ({ cents }) => {
      bodies.push(cents);
      return 10;
    });
    await service.start();
    expect(await service.publish({ cents: 250 }, pay)).toBe(20);
    expect((await service.request({ cents: 250 }, pay)).body).toBe(20);
    expect(await service.clientFor({ pay }).pay({ cents: 250 })).toBe(20);
    expect(await service.publisher(pay).publish({ cents: 250 })).toBe(20);
    expect((await service.publisher(pay).request({ cents: 250 })).body).toBe(20);
    expect(bodies).toEqual([2.5, 2.5, 2.5, 2.5, 2.5]);
  });

  it('runs once for an event, a batch, a pipeline and a publisher', async () => {
    const { broker, name } = bench();
    const paid = event({ list: name('b') }, { schema: Cents });
    const address = { list: name('c') };
    const service = broker();
    const bodies: unknown[] = [];
    service.subscriber(paid, ({ cents }) => bodies.push(cents));
    service.subscriber({ ...address, schema: Cents }, ({ cents }) => bodies.push(cents));
    await service.start();
    await service.publish({ cents: 100 }, paid);
    expect(await service.publishBatch([{ cents: 200 }, { cents: 300 }], paid)).toBeGreaterThan(0);
    await service.pipeline().publish({ cents: 400 }, paid).send();
    await service.publisher(paid).publish({ cents: 500 });
    await service.publisher(paid).publishBatch([{ cents: 600 }]);
    await eventually(() => expect(bodies).toEqual([1, 2, 3, 4, 5, 6]));
    await service.publisher(address, { schema: Cents }).publish({ cents: 700 });
    await eventually(() => expect(bodies).toEqual([1, 2, 3, 4, 5, 6, 7]));
    for (const bad of [
      service.publishBatch([{ cents: 1 }, { cents: 'x' } as never], paid),
      service
        .pipeline()
        .publish({ cents: 'x' } as never, paid)
        .send(),
      service.publisher(paid).publish({ cents: 'x' } as never),
    ])
      await expect(bad).rejects.toBeInstanceOf(InvalidMessageError);
    expect(bodies).toHaveLength(7);
  });

  it('runs once for each item of a stream and each answer to gather', async () => {
    const { broker, name } = bench();
    const count = rpc(name('d'), { request: Doubled, reply: Doubled, many: true });
    const ask = rpc(name('e'), { request: Doubled, reply: Doubled });
    const service = broker();
    service.subscriber(count, async function* counting(to) {
      for (let i = 1; i <= to; i++) yield i;
    });
    service.subscriber(ask, (value) => value + 1);
    await service.start();
    expect(await collect(service.requestMany(1, count))).toEqual([2, 4]);
    expect(await collect(service.clientFor({ count }).count(1))).toEqual([2, 4]);
    const { answers } = await service.gather(5, ask, { timeout: 20_000 });
    expect(answers.map(({ body }) => body)).toEqual([22]);
  });

  it('runs once for the data of an error, however the call was made', async () => {
    const { broker, name } = bench();
    const errors = { LIMIT: z.object({ at: z.number().transform(String) }) };
    const once = rpc(name('f'), { request: z.null(), reply: z.null(), errors });
    const many = rpc(name('g'), { request: z.null(), reply: z.null(), errors, many: true });
    const service = broker();
    service.subscriber(once, () => {
      throw once.error('LIMIT', { at: 5 });
    });
    service.subscriber(many, async function* failing() {
      yield await Promise.resolve(null);
      throw many.error('LIMIT', { at: 6 });
    });
    await service.start();
    await expect(service.publish(null, once)).rejects.toMatchObject({ data: { at: '5' } });
    await expect(service.request(null, once)).rejects.toMatchObject({ data: { at: '5' } });
    const { errors: gathered } = await service.gather(null, once, { timeout: 20_000 });
    expect(gathered).toMatchObject([{ code: 'LIMIT', data: { at: '5' } }]);
    await expect(collect(service.requestMany(null, many))).rejects.toMatchObject({
      data: { at: '6' },
    });
  });

  it('runs once for what @publisher sends on', async () => {
    const { broker, name } = bench();
    const paid = event({ list: name('h') }, { schema: Cents });
    const source = name('i');
    const bodies: unknown[] = [];
    class Shop {
      @publisher(paid)
      @subscriber({ list: source, reply: Cents })
      pay(cents: number) {
        return { cents };
      }

      @subscriber(paid)
      paid({ cents }: { cents: number }) {
        bodies.push(cents);
      }
    }
    const service = broker();
    service.register(new Shop());
    await service.start();
    await service.publish(300, { list: source });
    await eventually(() => expect(bodies).toEqual([3]));
  });
});

onBothBackends('undefined', (bench) => {
  it('is a body of its own: void, optional and default work on both sides', async () => {
    const { broker, name } = bench();
    const flush = rpc({ list: name('j') }, { request: z.void(), reply: z.number() });
    const find = rpc({ list: name('k') }, { request: z.string(), reply: z.string().optional() });
    const touch = rpc({ list: name('l') }, { request: z.string(), reply: z.void() });
    const ticks = rpc(name('m'), { request: z.void(), reply: z.number().optional(), many: true });
    const nothing = rpc({ list: name('n') }, { request: z.null(), reply: z.null() });
    const page = { list: name('o') };
    const plain = { list: name('p') };
    const service = broker();
    const bodies: unknown[] = [];
    service.subscriber(flush, (body) => bodies.push(body));
    service.subscriber(find, (key) => (key === 'x' ? undefined : key));
    service.subscriber(touch, () => {});
    service.subscriber(nothing, (body) => body);
    service.subscriber(ticks, async function* ticking() {
      yield undefined;
      yield await Promise.resolve(1);
    });
    service.subscriber({ ...page, schema: z.number().default(1) }, (value) => value);
    service.subscriber(plain, (body) => [body]);
    await service.start();
    const client = service.clientFor({ flush, find, touch, ticks, nothing });
    expect(await client.flush()).toBe(1);
    expect(bodies).toEqual([undefined]);
    expect(await client.find('x')).toBeUndefined();
    expect(await client.find('y')).toBe('y');
    expect(await client.touch('x')).toBeUndefined();
    expect(await client.nothing(null)).toBeNull();
    expect(await collect(client.ticks())).toEqual([undefined, 1]);
    expect(await service.publish(undefined, { ...page, rpc: true })).toBe(1);
    // Without a schema an empty body is null, as FastStream reads it.
    expect(await service.publish(undefined, { ...plain, rpc: true })).toEqual([null]);
    expect((await service.request('x', { list: touch.address['list'] as string })).body).toBeNull();
  });
});

onBothBackends('a contract with options of its address', (bench) => {
  it('has them at the subscriber, and the publishing side ignores them', async () => {
    const { broker, name } = bench();
    const place = name('q');
    const dead = name('r');
    const charge = event(
      {
        list: place,
        reliable: true,
        retry: { maxDeliveries: 2, backoff: 1 },
        deadLetter: { list: dead },
      },
      { schema: z.number() },
    );
    const service = broker();
    let deliveries = 0;
    service.subscriber(charge, () => {
      deliveries++;
      throw new Error('declined');
    });
    await service.start();
    expect(await service.publish(1, charge)).toBe(1);
    await eventually(async () => {
      expect(await service.deadLetters({ list: dead }).count()).toBe(1);
    });
    expect(deliveries).toBe(2);
    takeLogs();
  });

  it('gives batches where it says so, or its subscriber does, whose options win', async () => {
    const { broker, name } = bench();
    const batched = event(
      { stream: name('s'), group: 'g', batch: true, maxRecords: 2, claim: { minIdle: 5_000 } },
      { schema: z.number() },
    );
    const single = event({ list: name('t'), maxRecords: 3 }, { schema: z.number() });
    const service = broker();
    const batches: number[][] = [];
    await service.publishBatch([1, 2, 3], batched);
    await service.publishBatch([4, 5, 6], single);
    service.subscriber(batched, (bodies) => void batches.push(bodies));
    service.subscriber(
      single,
      { batch: true, maxRecords: 2 },
      (bodies) => void batches.push(bodies),
    );
    await service.start();
    await eventually(() =>
      expect(batches.flat().toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]),
    );
    expect(Math.max(...batches.map(({ length }) => length))).toBe(2);
  });

  it('caps its stream by maxlen where it is published', async () => {
    const { broker, name } = bench();
    const capped = event({ stream: name('u'), maxlen: 10 }, { schema: z.number() });
    const service = broker();
    await service.publishBatch(
      Array.from({ length: 1_000 }, (_, i) => i),
      capped,
    );
    const consumer = await service.subscribe({
      stream: capped.address['stream'] as string,
      lastId: '0',
    });
    const first = await consumer.next({ timeout: 20_000 });
    expect(first?.body).toBeGreaterThan(100);
  });

  it('is taken by hand, and by a decorator of a broker or a router', async () => {
    const { broker, name } = bench();
    const queued = event(
      { list: name('hand'), batch: true, reliable: true, retry: { maxDeliveries: 2 } },
      { schema: z.number().default(7) },
    );
    const called = rpc(name('w'), { request: z.number(), reply: z.number() });
    const service = broker();
    const router = new RedisRouter();
    class Shop {
      @service.subscriber(called)
      one(value: number) {
        return value + 1;
      }
    }
    const routed = rpc({ list: name('x') }, { request: z.number(), reply: z.number() });
    router.subscriber(routed, (value) => value + 2);
    service.include(router);
    service.register(new Shop());
    await service.start();
    await using consumer = await service.subscribe(queued);
    await service.publish(undefined, queued);
    const taken = await consumer.next({ timeout: 20_000 });
    expect(taken?.body).toBe(7);
    await taken?.ack();
    expect(await service.publish(1, called)).toBe(2);
    expect(await service.publish(1, routed)).toBe(3);
  });
});

async function refused(sending: Promise<unknown>): Promise<void> {
  await expect(sending).rejects.toBeInstanceOf(SetupError);
}

it('a contract is checked when it is made, and sets what nobody else may', async () => {
  const schema = z.number();
  const make = (address: object) => () => event(address as never, { schema });
  expect(make({ list: 'a', timeout: 5 })).toThrow(
    "event(): 'timeout' is not an option of a contract",
  );
  expect(make({ list: 'a', pause: 5 })).toThrow("event(): 'pause' is not an option of a contract");
  expect(make({ list: 'a', group: 'g' })).toThrow("'group' is not an option of a list contract");
  expect(make({ stream: 'a', gruop: 'g' })).toThrow("did you mean 'group'");
  expect(make({ list: 'a', retry: { maxDeliveries: 1 } })).toThrow("'retry' needs deliveries");
  expect(make({ stream: 'a', claim: {} })).toThrow("'claim' needs deliveries");
  expect(make({ list: 'a', stream: 'b' })).toThrow('got list and stream');
  expect(() => event(5 as never, { schema })).toThrow("expected a channel's name");
  const broker = new RedisBroker('memory://contracts', { logger: false });
  const queued = event({ list: 'a' }, { schema });
  const called = rpc({ list: 'b' }, { request: schema, reply: schema });
  const subscribing = (options: object) => () =>
    broker.subscriber(called, options as never, () => 1);
  expect(subscribing({ schema })).toThrow("'schema' is set by the contract");
  expect(subscribing({ list: 'c' })).toThrow("'list' is set by the contract");
  expect(subscribing({ noReply: true })).toThrow("'noReply' is set by the contract");
  expect(() => broker.publisher(queued, { schema } as never)).toThrow(
    "'schema' is set by the contract",
  );
  await refused(broker.publish(1, queued, { list: 'c' } as never));
  await refused(broker.publish(1, called, { reply: schema } as never));
  await refused(broker.request(1, queued as never));
  await refused(broker.gather(1, called as never));
  await refused(broker.publishBatch([1], called as never));
  await refused(
    broker
      .pipeline()
      .publish(1, called as never)
      .send(),
  );
  await refused(
    (broker.publish as (...all: unknown[]) => Promise<unknown>)(1, 'a', { headers: {} }),
  );
  await broker.stop();
});

/** Never called: what the compiler must refuse. */
export function refusedByTheCompiler(): void {
  const { placeOrder, tail } = contractsAt('x');
  class Wrong {
    // @ts-expect-error -- the answer lacks its id
    @subscriber(placeOrder)
    place(_order: z.infer<typeof Order>) {
      return { number: 1 };
    }

    // @ts-expect-error -- the parameter is no order
    @subscriber(placeOrder)
    other(_order: { sku: number }) {
      return { id: 'x' };
    }

    // @ts-expect-error -- a stream answers with an async iterable
    @subscriber(tail)
    lines(_count: number) {
      return 'line';
    }
  }
  void Wrong;
  // @ts-expect-error -- no such error
  placeOrder.error('NO_SUCH_CODE', {});
  // @ts-expect-error -- its data is { left: number }
  placeOrder.error('OUT_OF_STOCK', { right: 1 });
}

onBothBackends('a contract whose channel has parameters', (bench) => {
  it('is sent with the values in path, by every method, and never to the channel with braces', async () => {
    const { broker, name: makeName } = bench();
    const name = makeName();
    const Level = z.string();
    const log = event(`${name}.log.{level}`, { schema: Level });
    const ask = rpc(`${name}.ask.{topic}`, { request: Level, reply: Level });
    const tail = rpc(`${name}.tail.{topic}`, { request: Level, reply: Level, many: true });
    const service = broker();
    const logged: string[] = [];
    service.subscriber(log, (text, { path }) => void logged.push(`${path['level']} ${text}`));
    service.subscriber(ask, (text, { path }) => `${path['topic']} ${text}`);
    service.subscriber(tail, async function* answer(text, { path }) {
      yield `${path['topic']} ${text}`;
    });
    await service.start();
    const caller = broker();
    const [path, topic] = [{ level: 'info' }, { topic: 'news' }];
    expect(await caller.publish('a', log, { path })).toBe(1);
    expect(await caller.publishBatch(['b', 'c'], log, { path })).toEqual([1, 1]);
    expect(await caller.publish('d', ask, { path: topic })).toBe('news d');
    expect((await caller.request('e', ask, { path: topic })).body).toBe('news e');
    const { answers } = await caller.gather('f', ask, { path: topic });
    expect(answers.map(({ body }) => body)).toEqual(['news f']);
    expect(await collect(caller.requestMany('g', tail, { path: topic }))).toEqual(['news g']);
    const client = caller.clientFor({ log, ask, tail });
    expect(await client.log('h', { path })).toBe(1);
    expect(await client.ask('i', { path: topic })).toBe('news i');
    expect(await collect(client.tail('j', { path: topic }))).toEqual(['news j']);
    expect(await caller.pipeline().publish('k', log, { path }).send()).toEqual([1]);
    expect(await caller.publisher(log).publish('l', { path })).toBe(1);
    const asking = caller.publisher(ask);
    expect(await asking.publish('m', { path: topic })).toBe('news m');
    expect((await asking.request('n', { path: topic })).body).toBe('news n');
    await eventually(() =>
      expect(logged.toSorted()).toEqual(['a', 'b', 'c', 'h', 'k', 'l'].map((one) => `info ${one}`)),
    );
  });

  it('is refused without them, with others, and with a dot; so is a pattern', async () => {
    const { broker, name: makeName } = bench();
    const name = makeName();
    const log = event(`${name}.{level}`, { schema: z.string() });
    const plain = event(name, { schema: z.string() });
    const all = event({ channel: `${name}.*`, pattern: true }, { schema: z.string() });
    const literal = event({ channel: `${name}.{x}`, pattern: false }, { schema: z.string() });
    const caller = broker();
    const refusal = (contract: EventContract<z.ZodString>, path?: object): Promise<unknown> =>
      caller.publish('x', contract, { path } as object).then(
        () => 'sent',
        (error: Error) => error.message,
      );
    const needs = `publish: channel '${name}.{level}' is a template and needs path: { level: 'text' }, without a dot, got`;
    expect(await refusal(log)).toMatch(`${needs} undefined;`);
    expect(await refusal(log, { level: 'a.b' })).toMatch(`${needs} the string 'a.b'`);
    expect(await refusal(log, { level: 'a', shop: 'b' })).toMatch('has no parameter {shop}');
    expect(await refusal(plain, { level: 'a' })).toMatch('has no parameter {level}');
    expect(await refusal(all)).toMatch('is a pattern, which only subscribers have');
    expect(await refusal(literal)).toBe('sent');
    expect(await caller.publisher(literal).publish('x')).toBe(0);
    // As a handler without parameters has it in `ctx.path`.
    expect(await refusal(plain, {})).toBe('sent');
    expect(await caller.publisher(plain).publish('x', { path: {} })).toBe(0);
    const queue = event({ list: `${name}:list` }, { schema: z.string() });
    expect(await caller.publish('x', queue, { path: {} } as object)).toBe(1);
    expect(() => caller.publisher(all)).toThrow('is a pattern, which only subscribers have');
    expect(() => caller.publisher(log, { pattern: false } as object)).toThrow(
      "'pattern' is set by the contract",
    );
    expect(() => caller.delayed(log)).toThrow('is a template, and does not say which channel');
    await expect(caller.cancel(log, 'handle')).rejects.toThrow('is a template');
    // Made by an earlier copy of the package, which knew nothing of it.
    const { [Symbol.for('redstart:contract') as never]: brand, ...older } = log;
    const earlier = { ...older, [Symbol.for('redstart:contract')]: brand } as typeof log;
    expect(await refusal(earlier, { level: 'a' })).toBe('sent');
    expect(await refusal(earlier)).toMatch(needs);
  });
});
