import { RedisBroker, type BrokerOptions, type RedisConnection } from 'redstart';
import { describe, onTestFinished } from 'vitest';
import { testLogger } from './logs.ts';
import { redisUrl, unique } from './redis.ts';

/** Where a broker's messages travel: both are held to the same promises. */
export type Backend = 'memory' | 'redis';

/** A broker that logs to `takeLogs`, and is stopped when the test ends. Not started. */
export function newBroker(connection: RedisConnection, options: BrokerOptions = {}): RedisBroker {
  const broker = new RedisBroker(connection, {
    logger: testLogger,
    gracefulTimeout: 2_000,
    ...options,
  });
  onTestFinished(() => broker.stop());
  return broker;
}

export interface Bench {
  readonly backend: Backend;
  readonly url: string;
  /** A new broker on the backend; brokers of one test hear each other. */
  broker(options?: BrokerOptions): RedisBroker;
  /** A name of this test's own. */
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
