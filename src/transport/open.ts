import { SetupError } from '../errors.ts';
import type { InboxOptions } from './inboxes.ts';
import { MemoryTransport } from './memory/memory-transport.ts';
import type { SharingOptions } from './sharing.ts';
import type { Report } from './source.ts';
import type { TimedOptions } from './timed.ts';
import type { Transport } from './transport.ts';
import { TIMINGS, type Timings } from './timings.ts';
import type { RedisConnection } from './redis/connections.ts';
import { unknownScheme } from './redis/given.ts';
import { RedisTransport } from './redis/redis-transport.ts';

/** Makes the transport for a connection that a user gives. Opens no socket. Throws `SetupError` for a URL of another scheme. */
export function openTransport(
  connection: RedisConnection,
  report: Report,
  timings: Timings = TIMINGS,
  options: TimedOptions & SharingOptions & InboxOptions = {},
): Transport {
  if (typeof connection === 'string') {
    if (connection.startsWith('memory://')) {
      return new MemoryTransport(connection, { timings, report, ...options });
    }
    if (!/^rediss?:\/\//i.test(connection)) throw unknownScheme(connection);
  } else if (typeof connection !== 'object' || connection === null) {
    throw new SetupError(
      `RedisBroker: expected a URL, ioredis options, { cluster: nodes } or an ioredis client, got ${typeof connection}`,
    );
  }
  return new RedisTransport(connection, report, timings, options);
}
