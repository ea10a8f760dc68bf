import type { TestProject } from 'vitest/node';
import { HOW_TO_GET_ONE, findRedis, spawnRedis } from '../../scripts/find-redis.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    /** The Redis that all tests of a run share: each uses names of its own in it. */
    redisUrl: string;
  }
}

/** One Redis for the run, from wherever there is one. Without one the run fails, it does not skip. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const found = findRedis();
  if (found === undefined) {
    // Thrown, the line would drown in a stack and in Vitest's own guess, "No test files found".
    process.stderr.write(`tests: ${HOW_TO_GET_ONE}\n`);
    process.exit(1);
  }
  if (found.url !== undefined) {
    project.provide('redisUrl', found.url);
    return async () => {};
  }
  if (found.binary !== undefined) {
    const server = await spawnRedis(found.binary);
    project.provide('redisUrl', server.url);
    return () => server.stop();
  }
  const { RedisContainer } = await import('@testcontainers/redis');
  const container = await new RedisContainer('redis:7').start();
  project.provide('redisUrl', container.getConnectionUrl());
  return async () => void (await container.stop());
}
