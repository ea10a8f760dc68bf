// A client that the caller made, also with another copy of ioredis or with options of its own.
import { Cluster, Redis } from 'ioredis';
import * as five from 'ioredis5';
import * as oldest from 'ioredis5-oldest';
import { RedisBroker, SetupError, type RedisConnection } from 'redstart';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { repository, workFolder } from '../docs/program.ts';
import { STRUCTURES, everywhere } from '../faults/echo.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, redisUrl, unique } from '../support/redis.ts';
import { startCluster, type TestCluster } from '../support/servers.ts';

/** Another copy of ioredis, as pnpm and monorepos make them. */
const folder = workFolder();
let other: { Redis: typeof Redis; Cluster: typeof Cluster };
let cluster: TestCluster;

beforeAll(async () => {
  const modules = join(folder.path, 'node_modules');
  mkdirSync(modules, { recursive: true });
  for (const name of readdirSync(repository('node_modules'))) {
    if (name === 'ioredis')
      cpSync(repository(`node_modules/${name}`), join(modules, name), { recursive: true });
    else symlinkSync(repository(`node_modules/${name}`), join(modules, name));
  }
  other = createRequire(join(folder.path, 'x.js'))('ioredis') as typeof other;
  cluster = await startCluster();
}, 240_000);
afterAll(() => cluster?.stop());

const ALL = [...STRUCTURES.map((structure) => [structure]), 1];

/** Calls over every structure, publishes, and stops. */
async function callEverything(connection: RedisConnection): Promise<unknown[]> {
  const [service, caller] = [newBroker(connection), newBroker(connection)];
  const places = everywhere(service, (body) => [body]);
  await service.start();
  const answers: unknown[] = [];
  for (const structure of STRUCTURES) {
    const call = { ...places[structure], rpc: true, timeout: 40_000 } as const;
    answers.push(await caller.publish(structure, call));
  }
  answers.push(await caller.publish(1, { list: unique() }));
  await Promise.all([service.stop(), caller.stop()]);
  return answers;
}

type Copy = typeof other;

describe.each([
  ['a client of another copy of ioredis', () => other],
  ['a client of the newest ioredis 5', () => five as unknown as Copy],
  ['a client of the oldest ioredis that is supported', () => oldest as unknown as Copy],
])('%s', (_, copy) => {
  it('works, and stays open when the broker stops', async () => {
    const client = new (copy().Redis)(redisUrl());
    onTestFinished(() => client.disconnect());
    expect(await callEverything(client)).toEqual(ALL);
    expect(await client.ping()).toBe('PONG');
  });

  it('of a cluster works', async () => {
    const client = new (copy().Cluster)(cluster.nodes);
    onTestFinished(() => client.disconnect());
    expect(await callEverything(client)).toEqual(ALL);
    expect(await client.ping()).toBe('PONG');
  });

  it('that gives numbers as texts works, and its time limit for commands is kept', async () => {
    const client = new (copy().Redis)(redisUrl(), { stringNumbers: true, commandTimeout: 20_000 });
    onTestFinished(() => client.disconnect());
    expect(await callEverything(client)).toEqual(ALL);
  });

  it('with a keyPrefix is refused', () => {
    const client = new (copy().Redis)(redisUrl(), { keyPrefix: 'x:', lazyConnect: true });
    expect(() => new RedisBroker(client)).toThrow(/'prefix'/);
  });
});

describe('a client', () => {
  it('of another copy is not one of this copy', () => {
    expect(other.Redis).not.toBe(Redis);
    expect(five.Redis).not.toBe(oldest.Redis);
  });

  it('of another library is refused by name', () => {
    class RedisClient {
      connect(): void {}
      sendCommand(): void {}
    }
    const make = (): unknown => new RedisBroker(new RedisClient() as unknown as Redis);
    expect(make).toThrow(SetupError);
    expect(make).toThrow(/must be one of ioredis, got an object of class RedisClient/);
  });
});

describe("a caller's client that is set to give other replies", () => {
  it.each([{ stringNumbers: true }, { replyMapping: 'resp3' as const }])(
    '%o works',
    async (set) => {
      const client = new Redis(redisUrl(), set as object);
      onTestFinished(() => client.disconnect());
      const broker = newBroker(client);
      const stream = unique();
      const counts: unknown[] = [];
      const retry = { maxDeliveries: 3, backoff: 5 };
      broker.subscriber({ stream, group: 'g', retry, deadLetter: { list: unique() } }, (_, ctx) => {
        counts.push(ctx.message.deliveryCount);
        throw new Error('no');
      });
      await broker.start();
      expect(await broker.publish(1, unique())).toBe(0);
      const nobody = broker.publish(1, { channel: unique(), rpc: true, timeout: 20_000 });
      await expect(nobody).rejects.toMatchObject({ code: 'NO_RESPONDERS' });
      await broker.publish(1, { stream });
      await eventually(() => expect(counts).toEqual([1, 2, 3]));
      expect(await callEverything(client)).toEqual(ALL);
      // The way out is the client as the caller made it.
      expect(broker.client).toBe(client);
      expect(takeLogs().length).toBeGreaterThanOrEqual(3);
    },
  );

  it('of a cluster works, too', async () => {
    const client = new Cluster(cluster.nodes, { redisOptions: { stringNumbers: true } });
    onTestFinished(() => client.disconnect());
    expect(await callEverything(client)).toEqual(ALL);
  });

  it.each([
    ['keyPrefix', { keyPrefix: 'x:' }, /'prefix'/],
    ['stringNumbers', { stringNumbers: true }, /'stringNumbers'/],
    ['replyMapping', { replyMapping: 'resp3' as const }, /'replyMapping'/],
  ])('as an option of the broker, %s is refused', (_, options, says) => {
    expect(() => new RedisBroker(options)).toThrow(SetupError);
    expect(() => new RedisBroker(options)).toThrow(says);
    expect(() => new RedisBroker({ cluster: [7000], redisOptions: options })).toThrow(says);
  });

  it('keyPrefix of a client is refused', () => {
    const client = new Redis(redisUrl(), { keyPrefix: 'x:', lazyConnect: true });
    expect(() => new RedisBroker(client)).toThrow(/'prefix'/);
  });
});

const EVENTS = ['close', 'ready', 'error', 'end', 'connect', 'node error', 'refresh', '+node'];

function counts(client: Redis | Cluster): number[] {
  return EVENTS.map((event) => client.listenerCount(event));
}

describe("a caller's client", () => {
  it('has no more listeners after the broker has stopped, however often, and Node does not warn', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error): void => void warnings.push(warning.message);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const client = new Redis(redisUrl());
    onTestFinished(() => client.disconnect());
    await client.ping();
    const [before, max] = [counts(client), client.getMaxListeners()];
    const brokers = Array.from({ length: 15 }, () => newBroker(client));
    for (const broker of brokers) {
      broker.subscriber({ list: unique() }, () => undefined);
      broker.subscriber({ stream: unique(), group: 'g' }, () => undefined);
    }
    for (let round = 0; round < 2; round++) {
      await Promise.all(brokers.map((broker) => broker.start()));
      await Promise.all(brokers.map((broker) => broker.stop()));
    }
    expect(counts(client)).toEqual(before);
    expect(client.getMaxListeners()).toBe(max);
    expect(warnings).toEqual([]);
  });

  it('of a cluster has no more listeners after the broker has stopped', async () => {
    const client = new Cluster(cluster.nodes);
    onTestFinished(() => client.disconnect());
    await client.ping();
    const before = counts(client);
    const broker = newBroker(client);
    for (let round = 0; round < 3; round++) {
      await broker.start();
      await broker.stop();
    }
    expect(counts(client)).toEqual(before);
  });

  it('that cannot connect has no more listeners, either', async () => {
    const client = new Redis('redis://127.0.0.1:1', { lazyConnect: true, retryStrategy: null });
    const before = counts(client);
    const broker = newBroker(client);
    await expect(broker.start()).rejects.toMatchObject({ code: 'CONNECTION' });
    expect(counts(client)).toEqual(before);
  });
});

describe('a database that the server refuses', () => {
  it('fails the connection by name, and nothing is sent to database 0', async () => {
    const { port, stop } = await ownServer(['--databases', '4']);
    onTestFinished(() => stop());
    const rejections: unknown[] = [];
    const rejected = (reason: unknown): void => void rejections.push(reason);
    process.on('unhandledRejection', rejected);
    onTestFinished(() => void process.off('unhandledRejection', rejected));
    const own = new Redis(port, '127.0.0.1', { db: 9, lazyConnect: true });
    onTestFinished(() => own.disconnect());
    const given: RedisConnection[] = [
      `redis://127.0.0.1:${port}/9`,
      { host: '127.0.0.1', port, db: 9 },
      { host: '127.0.0.1', port, db: 9, protocol: 2 },
      own,
    ];
    for (const connection of given) {
      const broker = newBroker(connection);
      const sent = broker.publish('x', { list: 'jobs' });
      await expect(sent).rejects.toMatchObject({
        code: 'CONNECTION',
        message: expect.stringMatching(/database 9 is refused: .*out of range/) as string,
      });
      broker.subscriber({ list: 'jobs' }, () => undefined);
      await expect(broker.start()).rejects.toMatchObject({ code: 'CONNECTION' });
      await broker.stop();
    }
    const zero = new Redis(port, '127.0.0.1');
    onTestFinished(() => zero.disconnect());
    expect(await zero.llen('jobs')).toBe(0);
    expect(rejections).toEqual([]);
  });

  it('a database that it has is used, by every connection', async () => {
    const { port, stop } = await ownServer(['--databases', '4']);
    onTestFinished(() => stop());
    expect(await callEverything(`redis://127.0.0.1:${port}/3`)).toEqual(ALL);
    expect(await callEverything(`redis://127.0.0.1:${port}?db=2`)).toEqual(ALL);
  });
});

type Three = [Redis, Redis, Redis];

it("a caller's client that is closed, a monitor, or within MULTI is named as the reason at once", async () => {
  // A server where nothing else happens: ioredis takes a command that follows the answer to MONITOR at once for an answer.
  const { url } = await ownServer();
  const [closed, quitting, within] = [1, 2, 3].map(() => new Redis(url)) as Three;
  await Promise.all([closed, quitting, within].map((client) => client.ping()));
  const ended = new Promise((resolve) => void closed.once('end', resolve));
  await Promise.all([closed.quit(), ended]);
  await within.call('MULTI');
  const watching = new Redis(url);
  await watching.ping();
  const monitor = await watching.monitor();
  watching.disconnect();
  for (const [client, reason] of [
    [closed, 'is closed'],
    [monitor, 'is in monitor mode'],
    [within, 'is within MULTI'],
    [quitting, 'is closed'],
  ] as const) {
    // It has answered, and has not ended yet.
    if (client === quitting) await client.quit();
    const starting = new RedisBroker(client, { logger: false }).connect();
    await expect(starting).rejects.toThrow(`the client that you gave ${reason}`);
    client.disconnect();
  }
});
