// More on a channel than Redis keeps for one subscriber: Redis cuts the subscriber off, and the requests are repeated.
import { RpcTimeoutError, NoRespondersError, type RedisBroker } from 'redstart';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import { it, type Own } from '../support/concurrent.ts';
import { isLong } from '../support/long.ts';

/** `client-output-buffer-limit pubsub`, in bytes: 32 MB is the default of Redis. */
const LIMIT = isLong ? 32 * 2 ** 20 : 2 ** 20;
const maxBytes = 2 * LIMIT;

interface Bench {
  readonly caller: RedisBroker;
  readonly admin: Redis;
  /** Requests to `upload` that were handled. */
  runs(): number;
  /** Bytes that the server has received since the bench was made, and connections that it has accepted. */
  received(): Promise<{ bytes: number; connections: number }>;
}

async function bench(own: Own): Promise<Bench> {
  const { url } = await own.server(['--client-output-buffer-limit', `pubsub ${LIMIT} 0 0`]);
  const admin = own.client(url);
  const service = own.broker(url, { maxBytes, logger: false });
  let runs = 0;
  service.subscriber({ channel: 'upload', concurrency: 20 }, (body: string) => {
    runs++;
    return body.length;
  });
  await service.start();
  const caller = own.broker(url, { maxBytes, logger: false });
  // A responder that has answered tells its callers when it was cut off.
  expect(await caller.publish('x', { channel: 'upload', rpc: true, timeout: 60_000 })).toBe(1);
  const counters = async (): Promise<{ bytes: number; connections: number }> => {
    const info = await admin.info('stats');
    const count = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1]);
    return {
      bytes: count('total_net_input_bytes'),
      connections: count('total_connections_received'),
    };
  };
  const before = await counters();
  return {
    caller,
    admin,
    runs: () => runs - 1,
    async received() {
      const { bytes, connections } = await counters();
      return { bytes: bytes - before.bytes, connections: connections - before.connections };
    },
  };
}

it.concurrent(
  'a call larger than what Redis keeps for a subscriber is repeated after 1, 2, 4 … s and not all the time, and ends at its deadline',
  { timeout: 120_000 },
  async ({ own, skip }) => {
    const { caller, admin, runs, received } = await bench(own);
    // Valkey 9 does not count a large message that it sends without copying it.
    const isCounted = !(await admin.info('server')).includes('valkey_version');
    skip(!isCounted, 'the server does not apply its limit to one large message');
    const size = 1.25 * LIMIT;
    // So long that a busy machine sends it twice within that.
    const timeout = isLong ? 8_000 : 4_500;
    // At once when the responder is back, and then 1, 3 and 7 s later at the earliest.
    const sends = isLong ? 5 : 4;
    const call = caller.publish('y'.repeat(size), { channel: 'upload', rpc: true, timeout });
    await expect(call).rejects.toBeInstanceOf(RpcTimeoutError);
    const { bytes, connections } = await received();
    expect(bytes).toBeGreaterThan(size);
    expect(bytes).toBeLessThan((sends + 0.5) * size);
    expect(connections).toBeLessThanOrEqual(sends);
    expect(runs()).toBe(0);
    // Nothing of it is left: the responder hears what is smaller.
    await expect
      .poll(
        () => caller.publish('yy', { channel: 'upload', rpc: true, timeout: 5_000 }).catch(() => 0),
        {
          timeout: 40_000,
        },
      )
      .toBe(2);
  },
);

it.concurrent(
  'calls that are together larger than what Redis keeps for a subscriber each end by value, handled once, or find no subscriber',
  { timeout: 180_000 },
  async ({ own }) => {
    const { caller, runs, received } = await bench(own);
    const size = LIMIT / 4;
    const body = 'y'.repeat(size);
    const calls = Array.from({ length: 30 }, () =>
      caller.publish(body, { channel: 'upload', rpc: true, timeout: 120_000 }),
    );
    const ends = await Promise.allSettled(calls);
    const values = ends.filter((end) => end.status === 'fulfilled');
    for (const { value } of values) expect(value).toBe(size);
    const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    expect(errors.filter((error) => !(error instanceof NoRespondersError))).toEqual([]);
    expect(values.length).toBeGreaterThan(0);
    expect(runs()).toBe(values.length);
    expect((await received()).bytes).toBeLessThan(4 * 30 * size);
  },
);
