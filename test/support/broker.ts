import { RedisBroker, type BrokerOptions, type Logger, type RedisConnection } from 'redstart';
import { describe, onTestFinished } from 'vitest';
import { timingsOption } from '../../src/transport/timings.ts';
import { testLogger } from './logs.ts';
import { redisUrl, unique, type Finished } from './redis.ts';
import { PATIENT } from './timings.ts';

/** The backends, on which the same tests run. */
export type Backend = 'memory' | 'redis';

/**
 * A broker, not started. Its log lines go to `takeLogs`; it is stopped when the test ends. What it logs
 * then is dropped: nobody looks at it any more, and the next test would fail for it. With a URL it has as much
 * time to connect as a busy machine needs.
 */
export function newBroker(
  connection: RedisConnection,
  options: BrokerOptions = {},
  finished: Finished = onTestFinished,
): RedisBroker {
  let isOver = false;
  const heard =
    (level: 'warn' | 'error'): Logger['warn'] =>
    (fields, message) =>
      isOver ? undefined : testLogger[level](fields, message);
  const broker = new RedisBroker(connection, {
    logger: { ...testLogger, warn: heard('warn'), error: heard('error') },
    gracefulTimeout: 10_000,
    ...(typeof connection === 'string' ? { [timingsOption]: PATIENT } : {}),
    ...options,
  });
  finished(() => {
    isOver = true;
    return broker.stop();
  });
  return broker;
}

export interface Bench {
  readonly backend: Backend;
  readonly url: string;
  /** A new broker on the backend; the brokers of one test share it. */
  broker(options?: BrokerOptions): RedisBroker;
  /** A name that only this test uses. */
  name(suffix?: string): string;
}

/** Runs the same tests on memory and on Redis; `bench()` is for use inside a test. */
export function onBothBackends(title: string, body: (bench: () => Bench) => void): void {
  describe.each(['memory', 'redis'] as const)(`${title} (%s)`, (backend) => {
    body(() => {
      const hub = unique();
      const url = backend === 'memory' ? `memory://${hub}` : redisUrl();
      return {
        backend,
        url,
        broker: (options) => newBroker(url, options),
        name: (suffix = 'x') => `${hub}:${suffix}`,
      };
    });
  });
}
