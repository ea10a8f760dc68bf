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

/**
 * Sees every command. While others send, ioredis may take the first that it sees for the answer to
 * its own MONITOR, and says that its state is wrong: then it is asked again.
 */
export async function monitorOf(client: Redis): Promise<Redis> {
  for (let tries = 1; ; tries++) {
    try {
      return await client.monitor();
    } catch (error) {
      if (tries === 10) throw error;
    }
  }
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
