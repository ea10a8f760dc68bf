import { Redis } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import { findBinary, spawnRedis, type SpawnedRedis } from '../../scripts/find-redis.mjs';

/** The Redis of this run. */
export function redisUrl(): string {
  return inject('redisUrl');
}

/** A name that no other test uses. */
export function unique(name = 'test'): string {
  return `${name}:${Math.random().toString(36).slice(2, 10)}`;
}

/** A plain client beside the broker, closed when the test ends. */
export function rawClient(url = redisUrl()): Redis {
  const client = new Redis(url);
  onTestFinished(() => client.disconnect());
  return client;
}

/** A server of the test's own, to restart, freeze or configure; stopped when the test ends. */
export async function ownServer(args: readonly string[] = []): Promise<SpawnedRedis> {
  const binary = findBinary();
  if (binary === undefined)
    throw new Error('this test freezes or restarts a server of its own: run `npm run redis` first');
  const server = await spawnRedis(binary, args);
  onTestFinished(() => server.stop());
  return server;
}
