// Publishers as objects: in decorators, in pipelines, with templates, in batches, and in a format of their own.
import {
  InvalidMessageError,
  RedisRouter,
  SetupError,
  binaryFormat,
  publisher,
  subscriber,
  type MessageFormat,
  type Subscriber,
} from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

/** Frames of the default format, each byte turned over. */
const turned: MessageFormat = {
  encode: (parts) => Buffer.from(binaryFormat.encode(parts)).map((byte) => 255 - byte),
  decode: (bytes) => binaryFormat.decode(Buffer.from(bytes.map((byte) => 255 - byte))),
};

onBothBackends('a publisher object', (bench) => {
  it('sends results on as a decorator, with its defaults, in its format, also through another broker', async () => {
    const { broker, name } = bench();
    const [service, other] = [broker(), broker({ prefix: name('other:') })];
    const invoices = service.publisher(
      { list: name('invoices') },
      { schema: z.object({ cents: z.number() }), headers: { from: 'orders' } },
    );
    const copies = other.publisher({ list: 'copies' }, { format: turned });

    class Orders {
      @publisher(invoices)
      @publisher(copies)
      @subscriber({ list: name('orders') })
      place(cents: number) {
        return { cents };
      }
    }
    service.register(new Orders());
    const got: unknown[] = [];
    service.subscriber({ list: name('invoices') }, (body, { message }) => {
      got.push(['invoices', body, message.headers['from'], message.correlationId]);
    });
    other.subscriber({ list: 'copies', format: turned }, (body, { message }) => {
      got.push(['copies', body, message.headers['from'], message.correlationId]);
    });
    await Promise.all([service.start(), other.start()]);
    await service.publish(5, { list: name('orders'), correlationId: 'c-1' });
    await eventually(() => expect(got).toHaveLength(2));
    expect(new Set(got)).toEqual(
      new Set([
        ['invoices', { cents: 5 }, 'orders', 'c-1'],
        ['copies', { cents: 5 }, undefined, 'c-1'],
      ]),
    );
    const [described] = service.describe().subscribers;
    expect(described?.publishes.map((one) => one.name).toSorted()).toEqual(
      [name('invoices'), name('other:copies')].toSorted(),
    );
  });

  it('with batch sends each item of a returned array as a message of its own', async () => {
    const { broker, name } = bench();
    const service = broker();
    const items = service.publisher({ list: name('items') }, { schema: z.string() });

    class Split {
      @publisher(items, { batch: true })
      @publisher({ stream: name('s') }, { batch: true })
      @subscriber({ list: name('lines') })
      split(line: string) {
        return line === 'no array' ? (line as unknown as string[]) : line.split(' ');
      }
    }
    service.register(new Split());
    const got: unknown[] = [];
    service.subscriber({ list: name('items') }, (body) => void got.push(body));
    service.subscriber({ stream: name('s'), lastId: '0' }, (body) => void got.push(body));
    await service.start();
    await service.publish('', { list: name('lines') });
    await service.publish('a b c', { list: name('lines') });
    await eventually(() => expect(got).toHaveLength(8));
    expect(got.map(String).toSorted((x, y) => x.localeCompare(y))).toEqual([
      '',
      '',
      'a',
      'a',
      'b',
      'b',
      'c',
      'c',
    ]);
    await service.publish('no array', { list: name('lines') });
    const error = await eventually(() => {
      const [line] = takeLogs();
      expect(line).toBeDefined();
      return line?.error;
    });
    expect(String(error)).toMatch(/with 'batch' sends each item of an array: the handler returned/);
  });

  it('fills the template of its channel with path, and by a decorator with that of the message', async () => {
    const { broker, name } = bench();
    const service = broker();
    const got: unknown[] = [];
    const logs = service.publisher(name('logs.{level}.{app}'));

    class Copies {
      @publisher(name('copy.{level}'))
      @subscriber(name('from.{level}'))
      copy(body: unknown) {
        return body;
      }
    }
    service.register(new Copies());
    service.subscriber(name('logs.{level}.{app}'), (_, { path }) => void got.push({ ...path }));
    service.subscriber(name('copy.{level}'), (_, { path }) => void got.push({ ...path }));
    await service.start();
    expect(await logs.publish('x', { path: { level: 'error', app: 'shop' } })).toBe(1);
    expect(await logs.publishBatch(['x'], { path: { level: 'info', app: 'shop' } })).toEqual([1]);
    await service.publish('x', name('from.warn'));
    await eventually(() => expect(got).toHaveLength(3));
    expect(got).toEqual([
      { level: 'error', app: 'shop' },
      { level: 'info', app: 'shop' },
      { level: 'warn' },
    ]);
    const missing = logs.publish('x', { path: { level: 'error' } });
    await expect(missing).rejects.toThrow(SetupError);
    await expect(missing).rejects.toThrow(/is a template and needs path: { app: 'text' }/);
    const dotted = logs.publish('x', { path: { level: 'a.b', app: 'shop' } });
    await expect(dotted).rejects.toThrow(/without a dot, got the string 'a.b'/);
    const odd = service.publisher(name('plain')).publish('x', { path: { level: 'a' } });
    await expect(odd).rejects.toThrow(/has no parameter {level}/);
    const literal = service.publisher(name('a{b}'), { pattern: false });
    service.subscriber({ channel: name('a{b}'), pattern: false }, () => 'literal');
    await eventually(async () => expect((await literal.request('x')).body).toBe('literal'));
  });

  it('adds its messages to a pipeline, with its defaults, checked by its schema', async () => {
    const { broker, name } = bench();
    const service = broker({ prefix: name('p:') });
    const orders = service.publisher(
      { list: 'orders' },
      { schema: z.string(), headers: { from: 'web' } },
    );
    const got: unknown[] = [];
    service.subscriber({ list: 'orders' }, (body, { message }) => {
      got.push([body, message.headers['from']]);
    });
    const pipeline = service.pipeline().publishBy(orders, 'a').publish('b', { list: 'orders' });
    expect(await pipeline.send()).toEqual([1, 2]);
    await service.start();
    await eventually(() => expect(got).toHaveLength(2));
    expect(got).toEqual([
      ['a', 'web'],
      ['b', undefined],
    ]);
    const wrong = service.pipeline().publishBy(orders, 5 as unknown as string);
    await expect(wrong.send()).rejects.toThrow(InvalidMessageError);
    const router = new RedisRouter({ prefix: 'r.' });
    service.include(router);
    const routed = router.publisher({ list: 'x' });
    expect(() => service.pipeline().publishBy(routed, 1)).toThrow(/names begin with '.*p:r\.'/);
    const own = service.publisher({ list: 'x' }, { format: turned });
    expect(() => service.pipeline().publishBy(own, 1)).toThrow(/'codec' or a 'format' of its own/);
  });

  it('reads answers in its own format', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker()];
    service.subscriber({ list: name('calls'), format: turned }, (n: number) => n + 1);
    await service.start();
    const calls = caller.publisher({ list: name('calls') }, { format: turned });
    expect((await calls.request(1, { timeout: 10_000 })).body).toBe(2);
  });

  it('refuses other options beside it in a decorator', () => {
    const { broker, name } = bench();
    const service = broker();
    const out = service.publisher({ list: name('out') });

    class Wrong {
      @publisher(out, { headers: { a: 'b' } })
      @subscriber({ list: name('in') })
      handle(): string {
        return 'x';
      }
    }
    expect(() => service.register(new Wrong())).toThrow(/the publisher has options of its own/);
  });
});

onBothBackends('await using a subscriber', (bench) => {
  it('stops it at the end of the block', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    let one: Subscriber;
    {
      await using used = service.subscriber(name('a'), () => 'here');
      one = used;
      await used.started();
      expect(await service.publish(1, { channel: name('a'), rpc: true, timeout: 20_000 })).toBe(
        'here',
      );
    }
    expect(await service.publish(1, name('a'))).toBe(0);
    expect(service.subscribers).not.toContain(one);
  });
});
