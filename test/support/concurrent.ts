// Tests that mostly wait, and so run at the same time: `it.concurrent`, with the fixture `own`.
import type { RedisBroker, BrokerOptions, RedisConnection } from 'redstart';
import type { Redis } from 'ioredis';
import { expect, it as base } from 'vitest';
import type { SpawnedRedis } from '../../scripts/find-redis.mjs';
import { newBroker } from './broker.ts';
import { FaultProxy } from './fault-proxy.ts';
import { testLog, type LogLine } from './logs.ts';
import { ownServer, rawClient, type Finished } from './redis.ts';

/**
 * What a test has for itself. Vitest cannot tell which of several concurrent tests calls
 * `onTestFinished` or has logged a line; this knows.
 */
export interface Own {
  readonly finished: Finished;
  /** A broker that logs to `takeLogs`, and is stopped when the test ends. */
  broker(connection: RedisConnection, options?: BrokerOptions): RedisBroker;
  client(url?: string): Redis;
  server(args?: readonly string[]): Promise<SpawnedRedis>;
  proxy(port: number): Promise<FaultProxy>;
  /** Everything logged since the last call. The test fails for lines that it does not take. */
  takeLogs(): LogLine[];
}

export const it = base.extend<{ own: Own }>({
  own: async ({ onTestFinished: finished }, use) => {
    const { logger, take } = testLog();
    await use({
      finished,
      broker: (connection, options) => newBroker(connection, { logger, ...options }, finished),
      client: (url) => rawClient(url, finished),
      server: (args) => ownServer(args, finished),
      proxy: (port) => FaultProxy.to(port, finished),
      takeLogs: take,
    });
    expect(take(), 'log lines that the test did not expect').toEqual([]);
  },
});
