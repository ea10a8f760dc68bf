import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { removeGone, silentKey } from '../../src/transport/redis/group-admin.ts';
import { consumerRows } from '../../src/transport/redis/replies.ts';
import { redisTrimming } from '../../src/transport/redis/trim.ts';
import { RedisTransport } from '../../src/transport/redis/redis-transport.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';
import { missedSooner } from '../support/timings.ts';
import type { Delivery } from '../../src/transport/source.ts';
import { benchOf, frame, reliableList, stream, take, type Backend } from './harness.ts';
import { readingContract, transportContract } from './transport.contract.ts';

function start(connections?: 'shared'): Backend & { readonly client: Redis } {
  const client = new Redis(redisUrl());
  const names: string[] = [];
  return {
    client,
    make: (timings) =>
      new RedisTransport(
        redisUrl(),
        (problem, error) => {
          throw new Error(problem, { cause: error });
        },
        timings,
        { connections },
      ),
    name() {
      const name = unique();
      names.push(name);
      return name;
    },
    async pending(name, group) {
      const rows = (await client.xpending(name, group, '-', '+', 10_000)) as [
        id: string,
        consumer: string,
        idle: number,
        count: number,
      ][];
      return rows.map(([id, consumer, , count]) => ({ id, consumer, count }));
    },
    addForeign: async (name, fields) => (await client.xadd(name, '*', ...fields)) as string,
    async deleteOldest(name, count) {
      await client.xtrim(name, 'MAXLEN', (await client.xlen(name)) - count);
    },
    async close() {
      if (names.length > 0) await client.del(...names);
      client.disconnect();
    },
  };
}

transportContract('Redis', () => start());
(isLong ? transportContract : readingContract)('Redis, with shared connections', () =>
  start('shared'),
);

it('a consumer that was given no name is removed when it closes owning nothing, and stays otherwise', async () => {
  const backend = start();
  const { name: newName, open, connect } = benchOf(() => backend);
  const name = newName();
  const sender = await connect();
  const consumers = async (): Promise<unknown[]> =>
    (await backend.client.xinfo('CONSUMERS', name, 'g')) as unknown[];

  await sender.send({ kind: 'stream', name }, frame('a'));
  const source = await open(stream(name, { group: 'g' }));
  const [delivery] = await take(source, 1);
  expect(await consumers()).toHaveLength(1);
  await source.ack(delivery as never);
  await source.close([]);
  expect(await consumers()).toHaveLength(0);

  await sender.send({ kind: 'stream', name }, frame('b'));
  const owner = await open(stream(name, { group: 'g' }));
  await take(owner, 1);
  await owner.close([]);
  expect(await consumers()).toHaveLength(1);
});

it('a frame in a stream entry stands in the field that FastStream uses', async () => {
  const backend = start();
  const { name: newName, open, connect } = benchOf(() => backend);
  const name = newName();
  const sender = await connect();
  await sender.send({ kind: 'stream', name }, frame('ours'));
  const entries = await backend.client.xrange(name, '-', '+');
  expect(entries.map(([, fields]) => fields)).toEqual([['__data__', 'ours']]);
  await backend.client.xadd(name, '*', 'other', 'x', '__data__', 'theirs');
  const source = await open(stream(name, { lastId: '0' }));
  const found = await take(source, 2);
  expect(found.map((delivery) => String(delivery.frame))).toEqual(['ours', 'theirs']);
});

it('consumers with made-up names that are gone and own nothing are removed, and nobody else', async () => {
  const client = rawClient();
  const key = unique('gone');
  await client.xgroup('CREATE', key, 'g', '0', 'MKSTREAM');
  await client.xadd(key, '*', 'a', '1');
  await client.xreadgroup('GROUP', 'g', 'host-12-owning', 'COUNT', 1, 'STREAMS', key, '>');
  await client.xgroup('CREATECONSUMER', key, 'g', 'host-12-abc_-9');
  await client.xgroup('CREATECONSUMER', key, 'g', 'named by its user');
  const names = async (): Promise<unknown[]> =>
    ((await client.xinfo('CONSUMERS', key, 'g')) as unknown[][]).map((row) => row[1]);

  await removeGone(client, key, 'g', 60_000);
  expect((await names()).length).toBe(3);
  await removeGone(client, key, 'g', 0);
  expect(new Set(await names())).toEqual(new Set(['host-12-owning', 'named by its user']));
  await client.del(key);
});

it('a listener that was closed is not told of reconnects any more', async () => {
  const server = await ownServer();
  const transport = new RedisTransport(server.url, () => undefined);
  onTestFinished(() => transport.close());
  await transport.connect();
  const told: string[] = [];
  const closed = await transport.listen(
    'closed',
    () => undefined,
    () => told.push('closed'),
  );
  await transport.listen(
    'open',
    () => undefined,
    () => told.push('open'),
  );
  await closed.close();
  await rawClient(server.url).call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await eventually(() => expect(told).toContain('open'));
  expect(told).toEqual(['open']);
});

it('a group that is called like a field of XINFO is told apart from it', async () => {
  const { name: newName, connect, open } = benchOf(() => start());
  const name = newName();
  const transport = await connect();
  await transport.sendBatch({ kind: 'stream', name }, [frame('a'), frame('b')]);
  const source = await open(stream(name, { group: 'pending' }));
  await take(source, 1);
  expect(await transport.groupState({ name, group: 'pending', maxlen: undefined })).toEqual({
    pending: 1,
    lag: 1,
    consumers: 1,
  });
});

it('a group without consumers is silent since it was noticed, and not if it has moved meanwhile', async () => {
  const { name: newName, connect } = benchOf(start);
  const [name, client] = [newName(), rawClient()];
  const transport = await connect();
  const ids = await transport.sendBatch({ kind: 'stream', name }, [frame('a'), frame('b')]);
  await client.xgroup('CREATE', name, 'audit', '0');
  await client.xgroup('CREATE', name, 'work', '$');
  const ignored = async (noteLife?: number): Promise<unknown> => {
    const reader = { name, group: 'work', maxlen: 1, trimPast: 1 };
    return (await redisTrimming(client, reader, noteLife))?.ignored;
  };
  // Who only looks notes nothing.
  expect([await ignored(), await ignored()]).toEqual([[], []]);
  expect(await ignored(60_000)).toEqual([]);
  await eventually(async () => expect(await ignored()).toEqual(['audit']));
  expect(await client.pttl(silentKey(name))).toBeGreaterThan(1_000);
  await transport.seekGroup(name, 'audit', (ids as string[])[0] as string);
  expect(await ignored(60_000)).toEqual([]);
  // One of this name that is made anew is noticed anew.
  await transport.removeGroup(name, 'audit');
  expect(await client.exists(silentKey(name))).toBe(0);
});

it('a consumer that holds nothing and does not read, since it is paused, gives signs of life', async () => {
  const { name: newName, connect, openOn } = benchOf(start);
  const [name, client] = [newName(), rawClient()];
  const transport = await connect(missedSooner(30));
  await openOn(transport, stream(name, { group: 'g', consumer: 'c', minIdle: 150 }));
  const idle = async (): Promise<number> =>
    consumerRows(await client.xinfo('CONSUMERS', name, 'g'))[0]?.idle as number;
  await eventually(async () => expect(await idle()).toBeGreaterThan(300));
  await eventually(async () => expect(await idle()).toBeLessThan(300));
});

/** ioredis publishes its commands for tracing since 5.11. */
const canTrace = existsSync(
  join(dirname(createRequire(import.meta.url).resolve('ioredis')), 'tracing.js'),
);

it.runIf(canTrace)('what is sent can be traced, as all that ioredis sends', async () => {
  const { name: newName, connect } = benchOf(() => start());
  const name = newName();
  const sender = await connect();
  const seen: unknown[] = [];
  const trace = (message: unknown): void => {
    const { command, args } = message as { command: string; args: string[] };
    if (args[0] === name) seen.push([command, args[0]]);
  };
  subscribe('tracing:ioredis:command:start', trace);
  try {
    expect(await sender.send({ kind: 'list', name }, frame('x'))).toBe(1);
    expect(await sender.send({ kind: 'channel', name }, frame('x'))).toBe(0);
  } finally {
    unsubscribe('tracing:ioredis:command:start', trace);
  }
  expect(seen).toEqual([
    ['rpush', name],
    ['publish', name],
  ]);
  expect(await sender.send({ kind: 'list', name }, frame('y'))).toBe(2);
});

it('a time limit for commands that a user’s own client has ends what is sent, and nothing else', async () => {
  const server = await ownServer();
  const client = new Redis(server.url, { commandTimeout: 2_000 });
  onTestFinished(() => client.disconnect());
  const transport = new RedisTransport(client, () => undefined);
  onTestFinished(() => transport.close());
  await transport.connect();
  const to = { kind: 'list', name: 'x' } as const;
  expect(await transport.send(to, frame('in time'))).toBe(1);
  const admin = rawClient(server.url);
  await admin.call('CLIENT', 'PAUSE', 600_000, 'WRITE');
  await expect(transport.send(to, frame('too late'))).rejects.toThrow('Command timed out');
  await admin.call('CLIENT', 'UNPAUSE');
  await eventually(async () => expect(await transport.send(to, frame('again'))).toBeGreaterThan(1));
});

it('an acknowledgement of a list’s item that is sent again, since its answer was lost, takes no equal item', async () => {
  const client = rawClient();
  const transport = new RedisTransport(redisUrl(), () => undefined);
  onTestFinished(() => transport.close());
  await transport.connect();
  const name = unique();
  await client.rpush(name, 'x', 'x', 'x');
  const reported: string[] = [];
  const source = await transport.open(reliableList(name), (problem) => reported.push(problem));
  const [one, two, three] = (await take(source, 3)) as [Delivery, Delivery, Delivery];
  const own = transport.client as Redis;
  const { hdel } = own;
  let sent = 0;
  // Redis does it, and nobody hears of that the first time.
  own.hdel = (async (...args: Parameters<typeof hdel>) => {
    await hdel.apply(own, args);
    if (++sent === 1) throw new Error('the connection was lost');
  }) as unknown as typeof hdel;
  await source.ack(one);
  expect([sent, reported.length]).toEqual([2, 1]);
  const [held = ''] = await client.keys(`redstart:list:{${name}}:held:*`);
  expect(await client.hlen(held)).toBe(2);
  await Promise.all([source.ack(two), source.ack(three)]);
  await source.close([]);
});
