// The plugin `redstart/fastify`: what an app gets from it, and in which order both start and stop.
import { Writable } from 'node:stream';
import fastify, { type FastifyInstance } from 'fastify';
import { ConnectionError, RedisBroker, SetupError, subscriber } from 'redstart';
import { redstart, type RedstartPluginOptions } from 'redstart/fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { newBroker } from '../support/broker.ts';
import { testLogger, takeLogs } from '../support/logs.ts';
import { unique } from '../support/redis.ts';

class Prices {
  @subscriber('prices')
  price(sku: string) {
    return { sku, cents: 1999 };
  }
}

/** An app without a logger, closed when the test ends. */
function newApp(): FastifyInstance {
  const app = fastify();
  onTestFinished(() => app.close());
  return app;
}

function options(more: RedstartPluginOptions = {}): RedstartPluginOptions {
  return { connection: `memory://${unique()}`, logger: testLogger, ...more };
}

describe('the plugin', () => {
  it('decorates the whole app, and its handlers answer when the app is ready', async () => {
    const app = newApp();
    // Registered inside a part of the app that is encapsulated, like other plugins by fastify-plugin.
    await app.register(redstart, options({ handlers: [new Prices()] }));
    await app.register(async (part) => {
      part.get<{ Params: { sku: string } }>('/prices/:sku', ({ params }) =>
        part.redstart.publish(params.sku, { channel: 'prices', rpc: true }),
      );
    });
    const { statusCode, body } = await app.inject('/prices/A-1');
    expect({ statusCode, body: JSON.parse(body) as unknown }).toEqual({
      statusCode: 200,
      body: { sku: 'A-1', cents: 1999 },
    });
    expect(app.redstart).toBeInstanceOf(RedisBroker);
    expect((await app.redstart.health()).ready).toBe(true);
  });

  it('holds several brokers under names of their own', async () => {
    const app = newApp();
    await app.register(redstart, options());
    await app.register(redstart, options({ name: 'billing', handlers: [Prices] }));
    await app.ready();
    const { billing } = app as unknown as { billing: RedisBroker };
    expect(await billing.publish('A-1', { channel: 'prices', rpc: true })).toMatchObject({
      cents: 1999,
    });
    expect(app.redstart.subscribers).toEqual([]);
  });

  it('starts and stops a broker that was made elsewhere', async () => {
    const app = newApp();
    const broker = newBroker(`memory://${unique()}`);
    await app.register(redstart, { broker, handlers: [Prices] });
    await app.ready();
    expect(app.redstart).toBe(broker);
    expect((await broker.health()).ready).toBe(true);
    await app.close();
    expect((await broker.health()).connected).toBe(false);
  });

  it('keeps an app from listening that cannot reach Redis', async () => {
    const app = newApp();
    await app.register(redstart, options({ connection: 'redis://127.0.0.1:1' }));
    await expect(app.listen({ port: 0 })).rejects.toThrow(ConnectionError);
    takeLogs();
  });

  it('says what is wrong with its options', async () => {
    const broker = newBroker('memory://');
    const wrong: [RedstartPluginOptions, RegExp][] = [
      [{ broker, concurrency: 2 }, /'concurrency' does not go with 'broker'/],
      [{ broker, connection: 'memory://' }, /'connection' does not go with 'broker'/],
      [{ handlers: new Prices() as never }, /'handlers' must be an array/],
      [{ name: '' }, /'name' must be text/],
      [{ concurency: 1 } as never, /'concurency' is not an option of a broker/],
    ];
    for (const [given, text] of wrong) {
      const error: unknown = await fastify()
        .register(redstart, given)
        .then(undefined, (reason: unknown) => reason);
      expect(error).toBeInstanceOf(SetupError);
      expect((error as Error).message).toMatch(text);
    }
    const app = newApp();
    await app.register(redstart, options());
    await expect(async () => app.register(redstart, options())).rejects.toThrow(
      "the app has 'redstart' already",
    );
  });
});

describe('at close', () => {
  it('handlers end first, then requests, and the connection closes last', async () => {
    const app = newApp();
    const happened: string[] = [];
    const [handler, request] = [deferred<void>(), deferred<void>()];
    const [handling, requesting] = [deferred<void>(), deferred<void>()];
    // Registered before the broker, so closed after it: what handlers use is still there for them.
    await app.register(async (part) => {
      part.addHook('onClose', async () => void happened.push('database closed'));
    });
    await app.register(redstart, options());
    app.redstart.subscriber({ list: 'orders' }, async () => {
      handling.resolve();
      await handler.promise;
      happened.push('handler ended');
    });
    app.get('/', async () => {
      requesting.resolve();
      await request.promise;
      await app.redstart.publish('A-2', { list: 'orders' });
      happened.push('request published');
      return 'done';
    });
    const address = await app.listen({ port: 0, host: '127.0.0.1' });
    await app.redstart.publish('A-1', { list: 'orders' });
    const answer = fetch(address);
    await Promise.all([handling.promise, requesting.promise]);

    const closing = app.close();
    await expect.poll(() => app.redstart.health()).toMatchObject({ connected: true, ready: false });
    handler.resolve();
    await expect.poll(() => happened).toEqual(['handler ended']);
    request.resolve();
    expect(await (await answer).text()).toBe('done');
    await closing;
    expect(happened).toEqual(['handler ended', 'request published', 'database closed']);
    await expect(app.redstart.publish('x', { list: 'orders' })).rejects.toThrow(
      'the broker is closed',
    );
  });

  it('an app that never got ready closes, too', async () => {
    const app = newApp();
    await app.register(redstart, options({ handlers: [Prices] }));
    await app.close();
    expect((await app.redstart.health()).connected).toBe(false);
  });
});

describe('the log', () => {
  it('is that of the app, and says where a line comes from', async () => {
    const lines: unknown[] = [];
    const stream = new Writable({
      write: (chunk: Buffer, _, done) => {
        lines.push(JSON.parse(String(chunk)));
        done();
      },
    });
    const app = fastify({ logger: { level: 'error', stream } });
    onTestFinished(() => app.close());
    await app.register(redstart, { connection: `memory://${unique()}` });
    app.redstart.subscriber({ list: 'orders' }, () => {
      throw new RangeError('sold out');
    });
    await app.ready();
    await app.redstart.publish('A-1', { list: 'orders' });
    await expect.poll(() => lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ module: 'redstart', err: { message: 'sold out' } });
  });
});
