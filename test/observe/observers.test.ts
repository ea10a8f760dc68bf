import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  RedisBroker,
  RpcError,
  SetupError,
  event,
  publisher,
  rpc,
  subscriber,
  type Observer,
} from 'redstart';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

interface Seen {
  readonly name: string;
  readonly event: Record<string, unknown>;
}

/** Records every event, and the order of the two that run something. */
function recorder(): { observer: Observer; seen: Seen[]; of(name: string): Seen['event'][] } {
  const seen: Seen[] = [];
  const record =
    (name: string) =>
    (given: object): void =>
      void seen.push({ name, event: given as Record<string, unknown> });
  const observer: Observer = {
    received: record('received'),
    handled: record('handled'),
    settled: record('settled'),
    retried: record('retried'),
    buried: record('buried'),
    answered: record('answered'),
    forwarded: record('forwarded'),
    breaker: record('breaker'),
    unacknowledged: record('unacknowledged'),
    published: record('published'),
    called: record('called'),
    connection: record('connection'),
    trouble: record('trouble'),
    handle: (given, next) => {
      record('handle')(given);
      return next();
    },
    send: (given, next) => {
      record('send')(given);
      return next();
    },
  };
  const of = (name: string): Seen['event'][] =>
    seen.filter((one) => one.name === name).map((one) => one.event);
  return { observer, seen, of };
}

function fail(): never {
  throw new Error('broken observer');
}

function filter({ body }: { readonly body: unknown }): boolean {
  if (body === 'broken') throw new Error('the database is away');
  return body === 'mine';
}

class Orders {
  @publisher({ list: 'placed' })
  @subscriber({ list: 'orders', reliable: true, title: 'orders', description: 'Takes orders' })
  place(sku: string) {
    if (sku === 'broken') throw new Error('no such thing');
    return { sku };
  }
}

onBothBackends('an observer', (bench) => {
  it('sees the life of a message: sent, received, handled, answered, sent on, settled', async () => {
    const { broker, name } = bench();
    const { observer, seen, of } = recorder();
    const service = broker({ observers: [observer], prefix: name() });
    service.register(new Orders());
    await service.start();
    const call = { list: 'orders', rpc: true, timeout: 20_000 } as const;
    expect(await service.publish('A-1', call)).toEqual({ sku: 'A-1' });
    await eventually(() => expect(of('settled')).toHaveLength(1));

    const info = {
      title: 'orders',
      description: 'Takes orders',
      address: `list '${name()}orders'`,
      kind: 'list',
      name: `${name()}orders`,
      group: undefined,
      batch: false,
      class: 'Orders',
      method: 'place',
    };
    expect(of('received')).toMatchObject([{ subscriber: info, message: { body: 'A-1' } }]);
    expect(of('handle')).toMatchObject([{ subscriber: info, messages: [{ body: 'A-1' }] }]);
    expect(of('handled')).toMatchObject([
      { subscriber: info, outcome: 'ok', result: { sku: 'A-1' }, error: undefined },
    ]);
    expect(of('handled')[0]?.['milliseconds']).toBeGreaterThan(0);
    expect(of('answered')).toMatchObject([{ subscriber: info, receivers: 1, error: undefined }]);
    expect(of('forwarded')).toMatchObject([{ subscriber: info, error: undefined }]);
    expect(of('settled')).toMatchObject([{ subscriber: info, how: 'ack' }]);
    expect(of('called')).toMatchObject([{ to: { name: info.name }, error: undefined }]);
    expect(of('published').map(({ type, to }) => [type, (to as { name: string }).name])).toEqual([
      ['reply', expect.stringContaining('inbox')],
      ['publish', `${name()}placed`],
    ]);
    const order = seen.map((one) => one.name);
    expect(
      order.filter((one) => ['received', 'handle', 'handled', 'settled'].includes(one)),
    ).toEqual(['received', 'handle', 'handled', 'settled']);
  });

  it.each([
    [
      'decode',
      (at: string) => ({
        to: { list: at, headers: { 'content-type': 'application/json' } },
        body: '{',
      }),
    ],
    ['validate', (at: string) => ({ to: { list: at }, body: 7 })],
    ['handler', (at: string) => ({ to: { list: at }, body: 'broken' })],
  ] as const)('sees where a message failed: %s', async (stage, make) => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker({ observers: [observer] });
    service.subscriber({ list: name(), schema: z.string() }, (body) => {
      if (body === 'broken') throw new Error('no');
    });
    await service.start();
    const { to, body } = make(name());
    await service.publish(body, to);
    await eventually(() => expect(of('handled')).toMatchObject([{ outcome: 'failed', stage }]));
    takeLogs();
  });

  it('sees results that could not be sent on', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker({ observers: [observer], prefix: name() });
    class Unsendable {
      @publisher({ list: 'placed' })
      @subscriber({ list: 'orders' })
      place(): unknown {
        return { toJSON: fail };
      }
    }
    service.register(new Unsendable());
    await service.start();
    await service.publish(1, { list: 'orders' });
    const failure = { message: { body: 1 }, error: { code: 'ENCODE' } };
    await eventually(() => expect(of('forwarded')).toMatchObject([failure]));
    takeLogs();
  });

  it('sees subscribers that pause because their messages fail, and go on', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker({ observers: [observer] });
    const retry = { maxDeliveries: 9, backoff: 1 };
    const title = 'orders';
    service.subscriber(
      { ...{ list: name(), reliable: true, title, retry }, pause: { after: 2, for: 20 } },
      (_, ctx) => {
        if (ctx.message.deliveryCount < 3) fail();
      },
    );
    await service.start();
    await service.publish(1, { list: name() });
    await eventually(() => expect(of('breaker')).toHaveLength(3));
    expect(of('breaker').map(({ state }) => state)).toEqual(['open', 'trial', 'closed']);
    expect(of('breaker')[0]).toMatchObject({ subscriber: { title } });
    takeLogs();
  });

  it('sees failures of filters, and messages that no handler takes', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker({ observers: [observer] });
    service.subscriber({ list: name(), filter }, () => undefined);
    await service.start();
    for (const body of ['broken', 'other', 'mine']) await service.publish(body, { list: name() });
    await eventually(() => expect(of('handled')).toHaveLength(3));
    expect(of('handled').map(({ outcome, stage }) => [outcome, stage])).toEqual([
      ['failed', 'filter'],
      ['failed', 'match'],
      ['ok', undefined],
    ]);
    expect(takeLogs().map(({ message }) => message)).toEqual([
      expect.stringContaining('a filter failed'),
      expect.stringContaining('no handler takes the message'),
    ]);
  });

  it('sees retries and dead letters', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker({ observers: [observer] });
    const retry = { maxDeliveries: 2, backoff: 10 };
    service.subscriber(
      { stream: name(), group: 'g', retry, deadLetter: { stream: name('dead') } },
      () => {
        throw new Error('always');
      },
    );
    await service.start();
    await service.publish('x', { stream: name() });
    await eventually(() => expect(of('buried')).toHaveLength(1));
    expect(of('retried')).toMatchObject([
      { delivery: 1, maxDeliveries: 2, delay: 10, error: { message: 'always' } },
    ]);
    expect(of('buried')).toMatchObject([
      { to: { kind: 'stream', name: name('dead') }, error: { message: 'always' } },
    ]);
    await eventually(() => expect(of('settled').map(({ how }) => how)).toEqual(['nack', 'reject']));
    takeLogs();
  });

  it('sees how calls end: value, error, time-out, nobody there', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const [service, client] = [broker(), broker({ observers: [observer] })];
    service.subscriber(name(), (body, ctx) => {
      if (body === 'error') throw new RpcError('NO', 'no');
      if (body === 'never')
        return new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      return 'value';
    });
    await service.start();
    const ask = (body: string, channel = name(), timeout = 10_000) =>
      client.publish(body, { channel, rpc: true, timeout }).catch(() => undefined);
    await ask('value');
    await ask('error');
    await ask('never', name(), 100);
    await ask('nobody', name('empty'));
    expect(of('called').map(({ error }) => (error as { code?: string } | undefined)?.code)).toEqual(
      [undefined, 'NO', 'RPC_TIMEOUT', 'NO_RESPONDERS'],
    );
  });

  it('sees the end of a streamed answer, of a gather, and each message of a batch', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker({ observers: [observer] });
    service.subscriber(name('many'), async function* many() {
      yield 1;
      yield 2;
    });
    service.subscriber(name('one'), () => 'here');
    await service.start();
    const items: unknown[] = [];
    for await (const item of service.requestMany(1, { channel: name('many') })) {
      items.push(item);
      expect(of('called')).toHaveLength(0);
    }
    expect(items).toEqual([1, 2]);
    expect(of('called')).toHaveLength(1);
    await service.gather(1, { channel: name('one'), timeout: 1_000 });
    expect(of('called')).toHaveLength(2);
    await service.publishBatch(['a', 'b', 'c'], { list: name('list') });
    const bodies = of('published').filter(({ type }) => type === 'publish');
    expect(bodies.map(({ body }) => body)).toEqual(['a', 'b', 'c']);
  });

  it('may add headers to what is sent: messages, batches, calls and answers; the user’s win', async () => {
    const { broker, name } = bench();
    const tracing: Observer = {
      send: ({ type, addHeaders }, next) => {
        addHeaders({ 'x-trace': type, 'x-mine': 'observer' });
        return next();
      },
    };
    const service = broker({ observers: [tracing] });
    const seen: unknown[] = [];
    service.subscriber({ list: name() }, (_, ctx) => {
      seen.push([ctx.message.headers['x-trace'], ctx.message.headers['x-mine']]);
      return 'answer';
    });
    await service.start();
    await service.publish(1, { list: name(), headers: { 'x-mine': 'user' } });
    await service.publishBatch([1], { list: name() });
    await service.pipeline().publish(1, { list: name() }).send();
    const reply = await service.request(1, { list: name(), timeout: 20_000 });
    expect(seen).toEqual([
      ['publish', 'user'],
      ['publish', 'observer'],
      ['publish', 'observer'],
      ['request', 'observer'],
    ]);
    expect(reply.headers['x-trace']).toBe('reply');
  });

  it('can run the handling inside something: handler, its own sending and its answer', async () => {
    const { broker, name } = bench();
    const storage = new AsyncLocalStorage<string>();
    const inside: (string | undefined)[] = [];
    const observer: Observer = {
      handle: ({ messages }, next) => storage.run(`handling ${String(messages[0]?.body)}`, next),
      send: ({ type }, next) => {
        inside.push(`${type}: ${storage.getStore() ?? 'nothing'}`);
        return next();
      },
    };
    const service = broker({ observers: [observer] });
    service.subscriber({ list: name() }, async (_, ctx) => {
      await new Promise((resolve) => setImmediate(resolve));
      await ctx.publish('on', { list: name('out') });
      return storage.getStore();
    });
    await service.start();
    expect(await service.publish('a', { list: name(), rpc: true, timeout: 20_000 })).toBe(
      'handling a',
    );
    expect(inside).toEqual(['request: nothing', 'publish: handling a', 'reply: handling a']);
  });

  it('that throws, skips next or calls it twice changes no message, and is logged once', async () => {
    const { broker, name } = bench();
    const observers: Observer[] = [
      {
        received: fail,
        handled: fail,
        settled: fail,
        published: fail,
        called: fail,
        answered: fail,
      },
      { handle: fail, send: fail },
      { handle: () => undefined as never, send: () => undefined as never },
      {
        handle: (_, next) => {
          next();
          return next();
        },
        send: (_, next) => {
          next();
          return next();
        },
      },
      {
        // Calls next, then throws: what was done is done.
        handle: (_, next) => {
          next();
          return fail();
        },
      },
    ];
    const service = broker({ observers });
    let runs = 0;
    service.subscriber({ list: name() }, (body) => {
      runs++;
      return body;
    });
    await service.start();
    for (let i = 1; i <= 5; i++)
      expect(await service.publish(i, { list: name(), rpc: true, timeout: 20_000 })).toBe(i);
    expect(runs).toBe(5);
    const logs = takeLogs();
    expect(logs.every(({ message }) => message.includes("an observer's"))).toBe(true);
    expect(new Set(logs.map(({ message }) => message)).size).toBeGreaterThanOrEqual(6);
    // Each observer's method once, not once a message.
    expect(logs).toHaveLength(8);
  });

  it('can be added and removed at any time', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker();
    service.subscriber({ list: name() }, (body) => body);
    await service.start();
    const ask = (body: number) =>
      service.publish(body, { list: name(), rpc: true, timeout: 20_000 });
    await ask(1);
    const remove = service.observe(observer);
    await ask(2);
    remove();
    remove();
    await ask(3);
    expect(of('handled')).toMatchObject([{ message: { body: 2 } }]);
    expect(of('called')).toMatchObject([{ body: 2 }]);
  });

  it('that calls next again from inside runs nothing twice', async () => {
    const { broker, name } = bench();
    const service = broker();
    let runs = 0;
    service.subscriber({ list: name() }, (body) => {
      runs++;
      return body;
    });
    await service.start();
    let handleNext: (() => unknown) | undefined;
    let sendNext: (() => unknown) | undefined;
    let sent = 0;
    service.observe({
      handle: (_, next) => {
        handleNext = next;
        return next();
      },
      // While `next` runs the handler, which is not asynchronous.
      handled: () => void handleNext?.(),
      send: (_, next) => {
        sendNext = next;
        sent++;
        return next();
      },
      published: () => void sendNext?.(),
    });
    expect(await service.publish('a', { list: name(), rpc: true, timeout: 5_000 })).toBe('a');
    await eventually(() => expect(sent).toBe(2));
    expect(runs).toBe(1);
  });

  it('that was added twice is removed once by each of its functions', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker();
    const [first, second] = [service.observe(observer), service.observe(observer)];
    first();
    first();
    await service.publish(1, { list: name() });
    expect(of('published')).toHaveLength(1);
    second();
    await service.publish(2, { list: name() });
    expect(of('published')).toHaveLength(1);
  });

  it('cannot spoil a message by the headers that it adds', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber({ list: name() }, (body) => body);
    await service.start();
    const wrong = [
      { 'x-a': null },
      { 'x-a': 'a'.repeat(70_000) },
      { ['a'.repeat(70_000)]: 'x-a' },
      null,
      new Map(),
      { correlation_id: 'other' },
      { 'content-type': 'application/octet-stream' },
      { message_id: 'other' },
    ] as unknown as Record<string, string>[];
    for (const headers of wrong) {
      const remove = service.observe({
        send: ({ addHeaders }, next) => {
          addHeaders(headers);
          return next();
        },
      });
      const options = { list: name(), correlationId: 'mine', timeout: 5_000 };
      const reply = await service.request({ a: 1 }, options);
      expect([reply.body, reply.correlationId]).toEqual([{ a: 1 }, 'mine']);
      await service.publish('sent', { list: name('other') });
      remove();
      expect(takeLogs()).toMatchObject([{ message: expect.stringContaining("'send' failed") }]);
    }
  });

  it('knows the handler of each message where filters choose, and the whole batch', async () => {
    const { broker, name } = bench();
    const { observer, of } = recorder();
    const service = broker({ observers: [observer] });
    const at = { list: name() };
    service.subscriber(
      { ...at, title: 'even', filter: ({ body }) => Number(body) % 2 === 0 },
      () => 0,
    );
    service.subscriber({ ...at, title: 'odd' }, () => 0);
    service.subscriber({ list: name('batch'), batch: true, title: 'batch' }, () => 0);
    await service.start();
    for (const n of [1, 2]) await service.publish(n, at);
    await eventually(() => expect(of('handled')).toHaveLength(2));
    expect(of('handled').map(({ subscriber: info }) => (info as { title: string }).title)).toEqual([
      'odd',
      'even',
    ]);
    await service.publishBatch([1, 2, 3], { list: name('batch') });
    await eventually(() => expect(of('handled')).toHaveLength(5));
    const batches = of('handle').slice(2) as unknown as { messages: unknown[] }[];
    expect(batches.reduce((sum, { messages }) => sum + messages.length, 0)).toBe(3);
  });
});

describe('node:diagnostics_channel', () => {
  it('gets the same events, also without an observer', async () => {
    const events: { name: string; event: object }[] = [];
    const listen = (message: unknown): void => void events.push(message as (typeof events)[number]);
    subscribe('redstart', listen);
    onTestFinished(() => void unsubscribe('redstart', listen));
    await using service = new RedisBroker('memory://diagnostics');
    service.subscriber('a', (body) => body);
    await service.start();
    await service.publish(1, { channel: 'a', rpc: true });
    // The answer's own events may come after the call's end.
    await eventually(() =>
      expect(events.map(({ name }) => name)).toEqual(
        expect.arrayContaining(['received', 'handled', 'published', 'answered', 'called']),
      ),
    );
  });
});

describe('a mistaken observer', () => {
  it.each([
    [{ observers: [{}] }, 'must be an object with at least one of'],
    [{ observers: [null] }, 'got null'],
    [{ observers: [{ handled: 1 }] }, "'handled' must be a function, got the number 1"],
    [{ observers: {} }, "'observers' must be an array"],
  ])('is refused when it is given: %j', (options, text) => {
    expect(() => new RedisBroker('memory://', options as never)).toThrow(SetupError);
    expect(() => new RedisBroker('memory://', options as never)).toThrow(text);
  });

  it.each(Object.keys(recorder().observer))(
    'may have nothing but %s, which must be a function',
    (name) => {
      expect(() => new RedisBroker('memory://').observe({ [name]: () => {} })).not.toThrow();
      expect(() => new RedisBroker('memory://').observe({ [name]: 1 as never })).toThrow(
        `'${name}' must be a function, got the number 1`,
      );
    },
  );

  it('is refused by observe, too', () => {
    expect(() => new RedisBroker('memory://').observe({})).toThrow('observe: an observer');
  });
});

describe('a broker’s description', () => {
  const place = rpc(
    { list: 'orders' },
    {
      request: z.object({ sku: z.string() }),
      reply: z.object({ ok: z.boolean() }),
      errors: { OUT: z.object({ left: z.number() }) },
    },
  );
  const audit = event({ stream: 'audit' }, { schema: z.string() });

  class Shop {
    @subscriber(place)
    place({ sku }: { sku: string }) {
      return { ok: sku !== '' };
    }

    @publisher({ stream: 'log' }, { title: 'the log', description: 'All of it' })
    @subscriber('prices.{region}.{sku}', { description: 'Prices' })
    price() {
      return 1;
    }
  }

  it('is plain data of every subscriber, publisher and contract, complete before start', () => {
    const broker = new RedisBroker('memory://', { prefix: 'shop:', ackPolicy: 'ack' });
    broker.register(Shop);
    broker.publisher('news', { schema: z.string(), title: 'news', replyTo: { list: 'heard' } });
    broker.clientFor({ audit });
    const retry = { maxDeliveries: 3, backoff: () => 1 };
    broker.subscriber(
      {
        ...{ stream: 's', group: 'g', retry, deadLetter: { stream: 'dead', maxlen: 5 } },
        ...{ ackPolicy: 'nack-on-error', concurrency: 4, filter: () => true, schema: z.date() },
      },
      function ship() {},
    );
    const description = broker.describe();
    expect(JSON.parse(JSON.stringify(description))).toMatchSnapshot();
    const [first] = description.subscribers;
    expect(first?.live.schema).toBe(place.schema);
    expect(Object.keys(first ?? {})).not.toContain('live');
  });
});
