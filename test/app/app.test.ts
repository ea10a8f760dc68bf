import {
  AppError,
  BrokerClosedError,
  ConnectionError,
  createApp,
  type RedisBroker,
} from 'redstart';
import { describe, expect, it, onTestFinished } from 'vitest';
import { deferred, pause } from '../../src/internal/deferred.ts';
import { freePort } from '../../scripts/find-redis.mjs';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { unique } from '../support/redis.ts';

const memory = (): RedisBroker => newBroker(`memory://${unique()}`);

/** Signal handlers of this process. */
const handlers = (): number => process.listenerCount('SIGINT') + process.listenerCount('SIGTERM');

/** What a promise rejects with. */
const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => Promise.reject(new Error('it did not reject')),
    (error: Error) => error,
  );

onBothBackends('an app', (bench) => {
  it('runs its hooks around the time in which handlers can run', async () => {
    const { broker, name } = bench();
    const [service, client] = [broker(), broker()];
    service.subscriber(name(), () => 'here');
    const seen: string[] = [];
    const look = (hook: string) => async () => {
      const isServed = (await client.publish(1, name())) === 1;
      seen.push(`${hook}: ${isServed ? 'served' : 'not served'}`);
    };
    const app = createApp(service, {
      onShutdown: look('onShutdown'),
      beforeShutdown: look('beforeShutdown'),
      afterStartup: look('afterStartup'),
      onStartup: look('onStartup'),
    });
    await app.start();
    await app.stop();
    expect(seen).toEqual([
      'onStartup: not served',
      'afterStartup: served',
      'beforeShutdown: served',
      'onShutdown: not served',
    ]);
  });

  it('can be started again after a stop, and while it stops', async () => {
    const { broker, name } = bench();
    const [service, client] = [broker(), broker()];
    service.subscriber(name(), (n: number) => n + 1);
    const app = createApp(service);
    for (let round = 0; round < 3; round++) {
      await app.start();
      const call = { channel: name(), rpc: true, timeout: 20_000 } as const;
      expect(await client.publish(round, call)).toBe(round + 1);
      if (round === 1) void app.stop();
      else await app.stop();
    }
    expect(await client.publish(1, name())).toBe(0);
  });

  it('lets handlers of one broker finish that publish with another', async () => {
    const { broker, name } = bench();
    const [source, target] = [broker(), broker()];
    const [begun, released] = [deferred<void>(), deferred<void>()];
    source.subscriber({ list: name('in') }, async (body) => {
      begun.resolve();
      await released.promise;
      await target.publish(body, { list: name('out') });
    });
    await using taken = await broker().subscribe({ list: name('out') });
    const app = createApp([target, source]);
    await app.start();
    await source.publish('through', { list: name('in') });
    await begun.promise;
    const stopping = app.stop();
    // That the idle broker stays open for the other one can only be seen by giving it time to close.
    await pause(100);
    released.resolve();
    await stopping;
    expect((await taken.next({ timeout: 20_000 }))?.body).toBe('through');
  });
});

describe('an app that cannot be started', () => {
  it('stops the brokers that were started, runs onShutdown, and says why', async () => {
    const [name, seen] = [unique(), [] as string[]];
    const service = newBroker(`memory://${name}`);
    service.subscriber('here', () => 'here');
    const lost = newBroker(`redis://127.0.0.1:${await freePort()}`);
    const app = createApp([service, lost], {
      onStartup: () => seen.push('onStartup'),
      afterStartup: () => seen.push('afterStartup'),
      beforeShutdown: () => seen.push('beforeShutdown'),
      onShutdown: () => seen.push('onShutdown'),
    });
    const error = await rejection(app.start());
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'STARTUP', cause: expect.any(ConnectionError) });
    expect(error.message).toContain('cannot connect to Redis at 127.0.0.1');
    expect(seen).toEqual(['onStartup', 'onShutdown']);
    expect(await newBroker(`memory://${name}`).publish(1, 'here')).toBe(0);
    await app.stop();
    expect(seen).toHaveLength(2);
  });

  it('because onStartup throws, starts no broker and does not undo what was not done', async () => {
    const [service, seen] = [memory(), [] as string[]];
    service.subscriber('here', () => 'here');
    const cause = new Error('no database');
    const app = createApp(service, {
      onStartup: () => Promise.reject(cause),
      onShutdown: () => seen.push('onShutdown'),
    });
    const error = await rejection(app.start());
    expect(error).toMatchObject({ code: 'STARTUP', cause });
    expect(error.message).toBe('the app could not be started: onStartup: no database');
    expect(seen).toEqual([]);
    expect((await service.health()).subscribers[0]?.state).toBe('stopped');
  });

  it('because afterStartup throws, stops its brokers; what fails then is told, too', async () => {
    const service = memory();
    service.subscriber('here', () => 'here');
    const [first, second] = [new Error('port taken'), new Error('still in use')];
    const app = createApp(service, {
      afterStartup: () => Promise.reject(first),
      beforeShutdown: () => Promise.reject(new Error('was never entered')),
      onShutdown: () => Promise.reject(second),
    });
    const error = await rejection(app.start());
    expect(error.message).toBe(
      'the app could not be started: afterStartup: port taken; onShutdown: still in use',
    );
    expect((error.cause as AggregateError).errors).toEqual([first, second]);
    expect((await service.health()).subscribers[0]?.state).toBe('stopped');
  });

  it('can be tried again', async () => {
    let tries = 0;
    const app = createApp(memory(), {
      onStartup: () => {
        if (++tries === 1) throw new Error('not yet');
      },
    });
    await expect(app.start()).rejects.toThrow('not yet');
    await app.start();
    await app.stop();
    expect(tries).toBe(2);
  });

  it('rejects run(), and leaves no signal handler behind', async () => {
    const before = handlers();
    const app = createApp(memory(), { onStartup: () => Promise.reject(new Error('no')) });
    const running = app.run();
    expect(handlers()).toBe(before + 2);
    await expect(running).rejects.toMatchObject({ code: 'STARTUP' });
    expect(handlers()).toBe(before);
  });
});

describe('stopping an app', () => {
  it('goes through with it when hooks fail, and says which', async () => {
    const [service, seen] = [memory(), [] as string[]];
    service.subscriber('here', () => 'here');
    const cause = new Error('cannot deregister');
    const app = createApp(service, {
      beforeShutdown: () => Promise.reject(cause),
      onShutdown: () => seen.push('onShutdown'),
    });
    await app.start();
    const error = await rejection(app.stop());
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'SHUTDOWN', cause });
    expect(error.message).toBe('the app did not stop cleanly: beforeShutdown: cannot deregister');
    expect(seen).toEqual(['onShutdown']);
    expect((await service.health()).subscribers[0]?.state).toBe('stopped');
  });

  it('twice at once does it once', async () => {
    let stops = 0;
    const app = createApp(memory(), { onShutdown: () => stops++ });
    await app.start();
    await Promise.all([app.stop(), app.stop()]);
    await app.stop();
    expect(stops).toBe(1);
  });

  it('while it waits for a server cleans up, and the start says what it met', async () => {
    const lost = newBroker(`redis://127.0.0.1:${await freePort()}`);
    const seen: string[] = [];
    const app = createApp(lost, { onShutdown: () => seen.push('onShutdown') });
    const settled = rejection(app.start());
    await new Promise(setImmediate); // the hook is done, the connection is not
    await app.stop();
    expect(await settled).toMatchObject({ code: 'STARTUP', cause: { code: 'CONNECTION' } });
    expect(seen).toEqual(['onShutdown']);
  });

  it('while a hook of the start runs waits for the hook, and undoes it', async () => {
    const seen: string[] = [];
    const opened = deferred<void>();
    const app = createApp(memory(), {
      onStartup: () => opened.promise,
      afterStartup: () => seen.push('afterStartup'),
      onShutdown: () => seen.push('onShutdown'),
    });
    const settled = rejection(app.start());
    const stopping = app.stop();
    opened.resolve();
    await stopping;
    expect(await settled).toBeInstanceOf(BrokerClosedError);
    expect(seen).toEqual(['onShutdown']);
  });

  it('is what `await using` does', async () => {
    const seen: string[] = [];
    {
      await using app = createApp(memory(), { onShutdown: () => seen.push('onShutdown') });
      await app.start();
    }
    expect(seen).toEqual(['onShutdown']);
  });
});

describe('run()', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'resolves when %s has stopped the app',
    async (signal) => {
      const before = handlers();
      const seen: string[] = [];
      const app = createApp(memory(), {
        afterStartup: () => seen.push('started'),
        onShutdown: () => seen.push('stopped'),
      });
      const running = app.run();
      await eventually(() => expect(seen).toEqual(['started']));
      process.emit(signal, signal);
      await running;
      expect(seen).toEqual(['started', 'stopped']);
      expect(handlers()).toBe(before);
      expect(process.exitCode).toBeUndefined();
    },
  );

  it('listens to the signals that it is given, and to no others', async () => {
    const before = handlers();
    let isStarted = false;
    const app = createApp(memory(), { afterStartup: () => (isStarted = true) });
    const running = app.run({ signals: ['SIGUSR2'] });
    expect(handlers()).toBe(before);
    await eventually(() => isStarted);
    process.kill(process.pid, 'SIGUSR2');
    await running;
    expect(process.listenerCount('SIGUSR2')).toBe(0);
  });

  it('resolves when a handler calls exit(), with its code as the exit code of the process', async () => {
    onTestFinished(() => void (process.exitCode = undefined));
    const service = memory();
    const app = createApp(service, { afterStartup: () => service.publish(3, 'poison') });
    service.subscriber('poison', (code: number) => app.exit(code));
    await app.run();
    expect(process.exitCode).toBe(3);
  });

  it('resolves when stop() is called', async () => {
    let isStarted = false;
    const app = createApp(memory(), { afterStartup: () => (isStarted = true) });
    const running = app.run();
    await eventually(() => isStarted);
    await app.stop();
    await running;
    expect(process.exitCode).toBeUndefined();
  });

  it('resolves when it is told to stop while it starts', async () => {
    const seen: string[] = [];
    const app = createApp(memory(), {
      onStartup: () => void process.emit('SIGTERM', 'SIGTERM'),
      afterStartup: () => seen.push('afterStartup'),
      onShutdown: () => seen.push('onShutdown'),
    });
    await app.run();
    expect(seen).toEqual(['onShutdown']);
  });

  it('rejects with what went wrong in the start although it was told to stop', async () => {
    const app = createApp(memory(), {
      onStartup: () => {
        process.emit('SIGTERM', 'SIGTERM');
        throw new Error('no database');
      },
    });
    await expect(app.run()).rejects.toThrow('onStartup: no database');
  });

  it('is refused while it runs; exit() is refused where it does not', async () => {
    let isStarted = false;
    const app = createApp(memory(), { afterStartup: () => (isStarted = true) });
    expect(() => app.exit()).toThrow('after start() call stop()');
    const running = app.run();
    await expect(app.run()).rejects.toMatchObject({ code: 'SETUP' });
    expect(() => app.exit(-1)).toThrow('from 0 to 255, got -1');
    await eventually(() => isStarted);
    app.exit();
    await running;
    expect(process.exitCode).toBeUndefined();
  });
});

describe('an app refuses', () => {
  it('what is no broker', () => {
    expect(() => createApp([])).toThrow('expected a broker or several, got none');
    // @ts-expect-error: a URL is no broker
    expect(() => createApp('redis://localhost')).toThrow(
      'expected a RedisBroker or an array of them, got string',
    );
    // @ts-expect-error: null is no broker
    expect(() => createApp(null)).toThrow('got null');
    const broker = memory();
    expect(() => createApp([broker, broker])).toThrow('given twice');
  });

  it('signals that there are not, or that nobody can handle, and other options of run()', async () => {
    const before = handlers();
    const app = createApp(memory());
    // @ts-expect-error: it is called SIGTERM
    await expect(app.run({ signals: ['SIGTERM', 'TERM'] })).rejects.toThrow(
      "'TERM' is not a signal",
    );
    await expect(app.run({ signals: ['SIGKILL'] })).rejects.toThrow(
      "'SIGKILL' is not a signal that",
    );
    // @ts-expect-error: there may be several
    await expect(app.run({ signal: 'SIGTERM' })).rejects.toThrow("did you mean 'signals'?");
    expect(handlers()).toBe(before);
  });

  it('unknown hooks, and hooks that are no functions', () => {
    // @ts-expect-error: it is called onStartup
    expect(() => createApp(memory(), { onStartUp: () => 1 })).toThrow("did you mean 'onStartup'?");
    // @ts-expect-error: it must be a function
    expect(() => createApp(memory(), { onShutdown: 1 })).toThrow(
      "'onShutdown' must be a function, got number",
    );
    expect(takeLogs()).toEqual([]);
  });
});
