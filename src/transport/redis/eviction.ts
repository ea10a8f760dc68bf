import type { Redis } from 'ioredis';
import type { Report } from '../source.ts';

/**
 * Warns where the server deletes keys when its memory is full (INFO memory): lists, streams, and what redstart
 * remembers may be among them. Never rejects: a user without the right to INFO is not warned.
 */
export async function warnOfEviction(client: Redis, report: Report): Promise<void> {
  const memory = await client.info('memory').catch(() => '');
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1];
  const limit = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1] ?? 0);
  if (limit === 0 || policy === undefined || policy === 'noeviction') return;
  report(
    `Redis may delete messages when its memory is full: set maxmemory-policy to noeviction, it is ${policy}`,
    undefined,
    'warn',
  );
}
