// Hooks that do not end: each has its time, and the log says which one is waited for.
import { AppError, SetupError, createApp, type RedisBroker } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { newBroker } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';
import { unique } from '../support/redis.ts';

const never = (): Promise<never> => new Promise(() => undefined);

const fail = (): Promise<never> =>
  new Promise((_, reject) => setTimeout(() => reject(new Error('too late')), 40));

const memory = (): RedisBroker => newBroker(`memory://${unique()}`);

const problem = (app: Promise<unknown>): Promise<AppError> =>
  app.then(
    () => Promise.reject(new Error('it did not reject')),
    (error: AppError) => error,
  );

it('a hook of the stop that does not end is named after 2 s and not waited for after 5 s; the rest is done', async () => {
  const broker = memory();
  await using test = await testBroker(broker);
  const done: string[] = [];
  const app = createApp(broker, {
    beforeShutdown: never,
    onShutdown: () => done.push('onShutdown'),
  });
  await app.start();
  const stopped = problem(app.stop());
  await test.advance(2_000);
  expect(takeLogs()).toMatchObject([
    { level: 'warn', message: 'app: waiting for beforeShutdown, which has run for 2000 ms' },
  ]);
  expect(done).toEqual([]);
  await test.advance(3_000);
  const error = await stopped;
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({ code: 'SHUTDOWN' });
  expect(error.message).toContain('beforeShutdown: not done within 5000 ms');
  expect(done).toEqual(['onShutdown']);
});

it('a hook of the start that does not end fails the start after 60 s, and what was done is undone', async () => {
  const broker = memory();
  await using test = await testBroker(broker);
  const done: string[] = [];
  const app = createApp(broker, { afterStartup: never, onShutdown: () => done.push('undone') });
  const started = problem(app.start());
  await test.advance(59_000);
  expect(takeLogs()).toMatchObject([{ message: expect.stringMatching('afterStartup') as string }]);
  expect(done).toEqual([]);
  await test.advance(1_000);
  const error = await started;
  expect(error).toMatchObject({ code: 'STARTUP' });
  expect(error.message).toContain('afterStartup: not done within 60000 ms');
  expect(done).toEqual(['undone']);
});

it('startTimeout and stopTimeout set the limits; what fails later is logged', async () => {
  const app = createApp(memory(), { onStartup: fail, startTimeout: 5 });
  expect((await problem(app.start())).message).toContain('onStartup: not done within 5 ms');
  const other = createApp(memory(), { onShutdown: fail, stopTimeout: 5 });
  await other.start();
  expect((await problem(other.stop())).message).toContain('onShutdown: not done within 5 ms');
  await expect
    .poll(() => takeLogs().map(({ message }) => message))
    .toEqual(expect.arrayContaining(['app: onShutdown failed after its time limit']));
});

it('null is no limit', async () => {
  const broker = memory();
  await using test = await testBroker(broker);
  const slow = deferred<void>();
  const app = createApp(broker, { beforeShutdown: () => slow.promise, stopTimeout: null });
  await app.start();
  let isStopped = false;
  const stopped = app.stop().then(() => (isStopped = true));
  await test.advance(600_000);
  expect(isStopped).toBe(false);
  slow.resolve();
  await stopped;
});

it.each([{ startTimeout: -1 }, { stopTimeout: '5' }, { hookTimeout: 5 }])(
  '%o is refused',
  (options) => {
    expect(() => createApp(memory(), options as object)).toThrow(SetupError);
  },
);
