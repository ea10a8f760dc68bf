import type { TestProject } from 'vitest/node';
import { HOW_TO_GET_ONE, findRedis, spawnRedis } from '../../scripts/find-redis.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    /** The Redis that all tests of a run share. Each test uses its own names. */
    redisUrl: string;
  }
}

/** Finds or starts one Redis for the run. Without one the run fails; tests are not skipped. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const found = findRedis();
  if (found === undefined) {
    // Printed, not thrown: Vitest would add a stack and "No test files found", which hide this line.
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
