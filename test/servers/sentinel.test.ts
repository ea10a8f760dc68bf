import type { Redis } from 'ioredis';
import {
  ConnectionError,
  type BrokerOptions,
  type RedisBroker,
  type RedisConnection,
} from 'redstart';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { pause } from '../../src/internal/deferred.ts';
import { STRUCTURES, everywhere } from '../faults/echo.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { unique } from '../support/redis.ts';
import { startSentinel, type TestSentinel } from '../support/servers.ts';

async function sentinelSet(): Promise<{ set: TestSentinel; connection: RedisConnection }> {
  const set = await startSentinel();
  onTestFinished(() => set.stop());
  return { set, connection: { sentinels: set.sentinels, name: set.name } };
}

describe('behind Sentinel', () => {
  it('calls, batches, patterns and groups work as on one server', async () => {
    const { connection } = await sentinelSet();
    const [service, caller] = [newBroker(connection), newBroker(connection)];
    const places = everywhere(service, (body) => [body]);
    const name = unique();
    const batches: unknown[] = [];
    const levels: unknown[] = [];
    service.subscriber({ stream: `${name}:b`, group: 'g', batch: true }, (bodies: unknown[]) => {
      batches.push(...bodies);
    });
    service.subscriber(`${name}.{level}`, (_, { path }) => void levels.push(path['level']));
    await service.start();
    for (const structure of STRUCTURES) {
      const call = { ...places[structure], rpc: true, timeout: 10_000 } as const;
      expect(await caller.publish(structure, call)).toEqual([structure]);
    }
    await caller.publishBatch([1, 2, 3], { stream: `${name}:b` });
    await caller.publish('', `${name}.info`);
    await eventually(() => expect([batches, levels]).toEqual([[1, 2, 3], ['info']]));
    // The one master has all subscribers, so they can be counted.
    const nobody = caller.publish(1, { channel: unique(), rpc: true, timeout: 10_000 });
    await expect(nobody).rejects.toMatchObject({ code: 'NO_RESPONDERS' });
  });

  it('a master killed under load: nothing that a replica had is lost, and all subscriptions are back', async () => {
    const { set, connection } = await sentinelSet();
    const load = await underLoad(connection);
    const before = await set.master();
    await set.killMaster();
    await load.goesOn(false);
    expect(await set.master()).not.toBe(before);
    await load.check();
  }, 200_000);

  it.each(isLong ? (['dedicated', 'shared'] as const) : (['dedicated'] as const))(
    'master and replica swapped under load: writers, readers and subscriptions follow the master, with %s connections',
    async (connections) => {
      const { set, connection } = await sentinelSet();
      const load = await underLoad(connection, { connections });
      const before = await set.master();
      await set.swap();
      expect(await set.master()).not.toBe(before);
      await load.goesOn(true);
      await load.check();
    },
    200_000,
  );

  it('the error of a start names the group, the sentinels and the cause', async () => {
    const port = await freePort();
    const connection = { sentinels: [{ host: '127.0.0.1', port }], name: 'main' };
    const error = await newBroker(connection)
      .start()
      .catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(ConnectionError);
    const { message } = error as Error;
    expect(message).toContain("'main'");
    expect(message).toContain(`127.0.0.1:${port}`);
    expect(message).toMatch(/ECONNREFUSED|unreachable/);
  });

  it('a name that the sentinels do not know fails the start and is named', async () => {
    const { set } = await sentinelSet();
    const connection = { sentinels: set.sentinels, name: 'nobody' };
    const error = await newBroker(connection)
      .start()
      .catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(ConnectionError);
    expect((error as Error).message).toContain("'nobody'");
  });
});

interface Load {
  /** Resolves when writes have been accepted again for a while, by a master with or without a replica; ends the load. */
  goesOn(hasReplica: boolean): Promise<void>;
  /** Nothing that was accepted is missing, and everybody listens again. */
  check(): Promise<void>;
}

/** Producers and a service with subscribers of every kind; resolves when messages flow. */
async function underLoad(connection: RedisConnection, options: BrokerOptions = {}): Promise<Load> {
  const name = unique();
  const service = newBroker(connection, { logger: false, ...options });
  const handled = new Set<number>();
  const heard = new Set<unknown>();
  service.subscriber({ stream: `${name}:s`, group: 'g', concurrency: 20 }, (n: number) => {
    handled.add(n);
  });
  service.subscriber({ list: `${name}:l` }, (body) => body);
  service.subscriber(`${name}:c`, (body) => void heard.add(body));
  service.subscriber(`${name}.{n}`, (body) => void heard.add(body));
  await service.start();

  const producer = newBroker(connection, { logger: false });
  await producer.connect();
  const safe: number[] = [];
  let next = 0;
  let isOver = false;
  let mustWait = true;
  const produce = async (): Promise<void> => {
    while (!isOver) {
      const n = next++;
      if (await accepted(producer, n, `${name}:s`, mustWait)) safe.push(n);
      else await pause(1);
    }
  };
  // Also where the test fails before: what is refused at once would be sent again for ever, and nothing else would run.
  onTestFinished(() => void (isOver = true));
  const producing = Array.from({ length: 4 }, produce);
  await eventually(() => safe.length > 200, 60_000);

  return {
    async goesOn(hasReplica) {
      mustWait = hasReplica;
      const before = safe.length;
      await eventually(() => safe.length > before + 300, 60_000);
      isOver = true;
      await Promise.all(producing);
    },
    async check() {
      await eventually(() => expect(safe.filter((n) => !handled.has(n))).toEqual([]));
      for (const to of [`${name}:c`, `${name}.1`]) {
        await eventually(async () => {
          await producer.publish(to, to);
          return heard.has(to);
        });
      }
      const call = { list: `${name}:l`, rpc: true, timeout: 15_000 } as const;
      expect(await producer.publish('again', call)).toBe('again');
    },
  };
}

/** Sends; true where the write outlives its master: a replica has it, or none is needed any more. */
async function accepted(
  broker: RedisBroker,
  n: number,
  stream: string,
  waits: boolean,
): Promise<boolean> {
  const { client } = broker;
  try {
    await broker.publish(n, { stream });
    return !waits || (await (client as Redis).wait(1, 200)) >= 1;
  } catch {
    return false;
  }
}
