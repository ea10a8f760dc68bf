import { Redis } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import { findBinary, spawnRedis, type SpawnedRedis } from '../../scripts/find-redis.mjs';

/** Registers what is done when a test ends; a concurrent test must give its own, see `concurrent.ts`. */
export type Finished = (cleanUp: () => void | Promise<void>) => void;

/** The Redis of this run. */
export function redisUrl(): string {
  return inject('redisUrl');
}

/** A name that no other test uses. */
export function unique(name = 'test'): string {
  return `${name}:${Math.random().toString(36).slice(2, 10)}`;
}

/** A plain ioredis client, closed when the test ends. */
export function rawClient(url = redisUrl(), finished: Finished = onTestFinished): Redis {
  const client = new Redis(url);
  finished(() => client.disconnect());
  return client;
}

/** Starts a server for this test alone, to restart, freeze or configure; stopped when the test ends. */
export async function ownServer(
  args: readonly string[] = [],
  finished: Finished = onTestFinished,
): Promise<SpawnedRedis> {
  const binary = findBinary();
  if (binary === undefined)
    throw new Error('this test needs a redis-server to start: run `npm run redis` first');
  const server = await spawnRedis(binary, args);
  finished(() => server.stop());
  return server;
}
