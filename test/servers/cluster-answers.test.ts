// On a cluster answers go over the sharded channel of their caller's inbox, and so to one node and not to all.
import type { BrokerOptions, Destination, RedisBroker } from 'redstart';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type SpawnedRedis } from '../../scripts/find-redis.mjs';
import { deferred } from '../../src/internal/deferred.ts';
import { STRUCTURES, everywhere } from '../faults/echo.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawFrame } from '../support/frames.ts';
import { takeLogs } from '../support/logs.ts';
import { isLong } from '../support/long.ts';
import { ownServer, rawClient, unique } from '../support/redis.ts';
import { startCluster, type TestCluster } from '../support/servers.ts';

let cluster: TestCluster;
/** A cluster of one node, which has no sharded channels. */
let older: SpawnedRedis;
beforeAll(async () => {
  [cluster, older] = await Promise.all([startCluster(), startOlder()]);
}, 240_000);
let stopOlder: (() => void | Promise<void>) | undefined;
afterAll(() => Promise.all([cluster?.stop(), stopOlder?.()]));

async function startOlder(): Promise<SpawnedRedis> {
  const less = ['SPUBLISH', 'SSUBSCRIBE'].flatMap((name) => ['--rename-command', name, '']);
  const bus = ['--cluster-port', String(await freePort()), '--cluster-announce-ip', '127.0.0.1'];
  const args = ['--cluster-enabled', 'yes', ...bus, ...less];
  // Vitest takes no `afterAll` from within `beforeAll`.
  const server = await ownServer(args, (stop) => void (stopOlder = stop));
  const client = new Redis(server.url);
  await client.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
  await eventually(async () => (await client.cluster('INFO')).includes('state:ok'));
  client.disconnect();
  return server;
}

/** A broker whose inbox no other test sees, unless it is given the same prefix. */
const broker = (inboxPrefix: string, options?: BrokerOptions, login?: object): RedisBroker =>
  newBroker(
    { cluster: cluster.nodes, redisOptions: { ...login } },
    { rpc: { inboxPrefix, timeout: 15_000 }, ...options },
  );

/** Calls `run` with a client of each node. */
const onAll = <T>(run: (client: Redis) => Promise<T>): Promise<T[]> =>
  Promise.all(cluster.nodes.map(({ port }) => cluster.on(port, run)));

/** Messages that went from node to node: of plain channels, and of sharded ones. */
async function onBus(): Promise<{ plain: number; sharded: number }> {
  const all = await onAll((client) => client.cluster('INFO'));
  const count = (what: string): number =>
    all.reduce((sum, text) => {
      const [, n = 0] = new RegExp(`cluster_stats_messages_${what}_sent:(\\d+)`).exec(text) ?? [];
      return sum + Number(n);
    }, 0);
  return { plain: count('publish'), sharded: count('publishshard') };
}

/** The channels under a prefix that somebody subscribes to, on all nodes. */
async function channels(of: 'CHANNELS' | 'SHARDCHANNELS', prefix: string): Promise<string[]> {
  const names = await onAll((client) => client.call('PUBSUB', of, `${prefix}{*`));
  return (names as string[][]).flat();
}

/** How often the nodes ran a command. */
async function ran(command: string): Promise<number> {
  const all = await onAll((client) => client.info('commandstats'));
  return all.reduce((sum, text) => {
    const [, n = 0] = new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(text) ?? [];
    return sum + Number(n);
  }, 0);
}

/** A service that echoes on every structure, and a caller. */
async function pair(prefix = `${unique('inbox')}:`, login?: object, callerLogin = login) {
  const service = broker(prefix, {}, login);
  const caller = broker(prefix, {}, callerLogin);
  const places = everywhere(service, (body) => body);
  await service.start();
  const call = (to: Destination, body: unknown): Promise<unknown> =>
    caller.publish(body, { ...to, rpc: true });
  return { prefix, service, caller, places, call };
}

describe('on three masters', () => {
  it('an answer is sent to one node, and none of it crosses the bus', async () => {
    const { prefix, places, call } = await pair();
    for (const structure of STRUCTURES) await call(places[structure], 0);
    const [inbox = ''] = await channels('SHARDCHANNELS', prefix);
    expect(inbox).toMatch(/^inbox:\w+:\{\w{22}\/\+\}$/);
    expect(await channels('CHANNELS', prefix)).toEqual([inbox]);
    const before = await onBus();
    const sent = await ran('spublish');
    for (let n = 0; n < 10; n++) {
      expect(await call(places.list, n)).toBe(n);
      expect(await call(places.stream, n)).toBe(n);
    }
    expect(await onBus()).toEqual(before);
    expect((await ran('spublish')) - sent).toBe(20);
    // A request to a plain channel goes to all nodes, its answer does not.
    for (let n = 0; n < 10; n++) expect(await call(places.channel, n)).toBe(n);
    expect((await onBus()).plain - before.plain).toBe(20);
  });

  it('answers of one tick are one SPUBLISH', async () => {
    const { prefix, caller } = await pair();
    const service = broker(prefix);
    const list = unique('together');
    const all = deferred<void>();
    let waiting = 0;
    service.subscriber({ list, concurrency: 10 }, async (body) => {
      if (++waiting === 10) all.resolve();
      await all.promise;
      return body;
    });
    await service.start();
    const before = await ran('spublish');
    const ten = Array.from({ length: 10 }, (_, n) => n);
    const answers = ten.map((n) => caller.publish(n, { list, rpc: true }));
    expect(await Promise.all(answers)).toEqual(ten);
    // The connection of the caller is tested by one, too.
    expect((await ran('spublish')) - before).toBeLessThanOrEqual(3);
  });

  it('a service that knows no sharded channels answers over the plain one', async () => {
    const { caller } = await pair();
    const list = unique('plain');
    const answered = caller.publish(1, { list, rpc: true });
    const other = new Cluster(cluster.nodes);
    try {
      const [, request] = (await other.blpopBuffer(list, 10)) as [Buffer, Buffer];
      const text = request.toString('latin1');
      const inbox = /reply_to..(.+?\})/s.exec(text)?.[1] as string;
      const id = /correlation_id..([\w-]{16})/s.exec(text)?.[1] as string;
      const headers = { correlation_id: id, 'content-type': 'application/json' };
      await other.publish(inbox, rawFrame(headers, '"plain"'));
      expect(await answered).toBe('plain');
    } finally {
      other.disconnect();
    }
  });

  it('a caller that knows no sharded channels is answered over its plain one, on whichever node', async () => {
    const { places } = await pair();
    const { list } = places.list as { list: string };
    for (const { port } of cluster.nodes) {
      // As FastStream names it, and as redstart does that has found no sharded channels.
      for (const replyTo of [unique('reply'), `redstart:inbox:{${unique()}+}`]) {
        const client = rawClient(`redis://127.0.0.1:${port}`);
        const heard = deferred<string>();
        client.on('message', (_, text) => heard.resolve(text));
        await client.subscribe(replyTo);
        const headers = { reply_to: replyTo, correlation_id: 'c', 'redstart-call': 'c' };
        const sender = new Cluster(cluster.nodes);
        await sender.rpush(list, rawFrame(headers, 'hello'));
        sender.disconnect();
        expect(await heard.promise).toContain('hello');
      }
    }
  });

  it('streams of answers, gathers, large answers, calls with an id and dedicated channels work', async () => {
    const { prefix, caller } = await pair();
    const service = broker(prefix);
    const name = unique('kinds');
    service.subscriber({ list: `${name}:items` }, async function* (count: number) {
      for (let n = 0; n < count; n++) yield n;
    });
    service.subscriber({ list: `${name}:large` }, () => 'x'.repeat(5 * 2 ** 20));
    service.subscriber({ list: `${name}:once`, reliable: true }, (body) => body);
    service.subscriber({ channel: name, sharded: true }, () => 'here');
    await service.start();
    const items: unknown[] = [];
    for await (const item of caller.requestMany(300, { list: `${name}:items` })) items.push(item);
    expect(items).toEqual(Array.from({ length: 300 }, (_, n) => n));
    const large = await caller.publish(1, { list: `${name}:large`, rpc: true });
    expect((large as string).length).toBe(5 * 2 ** 20);
    const once = { list: `${name}:once`, rpc: true, id: 'a' } as const;
    expect([await caller.publish(2, once), await caller.publish(2, once)]).toEqual([2, 2]);
    const own = { list: `${name}:once`, rpc: true, replyChannel: 'dedicated' } as const;
    expect(await caller.publish(3, own)).toBe(3);
    // Its receivers are counted, so it need not wait until its time is up.
    const gathered = await caller.gather('who?', { channel: name, sharded: true, timeout: 10_000 });
    expect(gathered.answers.map(({ body }) => body)).toEqual(['here']);
    expect(await onBus()).toMatchObject({ sharded: 0 });
  });

  it('a call that has no responder says so, and a failing handler answers with its error', async () => {
    const { prefix, caller } = await pair();
    const nobody = { channel: unique(), sharded: true } as const;
    const error = { code: 'NO_RESPONDERS' };
    await expect(caller.publish(1, { ...nobody, rpc: true })).rejects.toMatchObject(error);
    const service = broker(prefix, { logger: false });
    service.subscriber(nobody, () => {
      throw new RangeError('too far');
    });
    await service.start();
    await expect(caller.publish(1, { ...nobody, rpc: true })).rejects.toThrow('too far');
  });

  it.skipIf(!isLong)('a handler that begins when its caller is gone is aborted', async () => {
    const { prefix, caller } = await pair();
    const list = unique('gone');
    caller.publish(1, { list, rpc: true }).catch(() => undefined);
    await eventually(async () => expect(await caller.client.llen(list)).toBe(1));
    await caller.stop();
    const service = broker(prefix);
    const aborted = deferred<unknown>();
    service.subscriber({ list }, async (_, { signal }) => {
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      await aborted.promise;
    });
    await service.start();
    expect(String(await aborted.promise)).toContain('the caller is gone');
  });

  it('nothing of an inbox is left when its broker has stopped', async () => {
    const { prefix, caller, call, places } = await pair();
    await call(places.list, 1);
    expect(await channels('SHARDCHANNELS', prefix)).toHaveLength(1);
    await caller.stop();
    expect(await channels('SHARDCHANNELS', prefix)).toEqual([]);
    expect(await channels('CHANNELS', prefix)).toEqual([]);
    await caller.start();
    await expect(call(places.list, 2)).resolves.toBe(2);
  });

  it(
    'the slot of an inbox moves to another master during calls: each is answered, and over the shard again',
    { timeout: 180_000 },
    async () => {
      const { prefix, places, call } = await pair();
      await call(places.stream, 0);
      const [inbox = ''] = await channels('SHARDCHANNELS', prefix);
      const source = await cluster.masterOf(inbox);
      let isOver = false;
      let next = 0;
      const worker = async (): Promise<void> => {
        while (!isOver) {
          const n = next++;
          expect(await call(places.stream, n)).toBe(n);
        }
      };
      const working = Promise.all(Array.from({ length: 10 }, worker));
      try {
        await eventually(() => next > 50);
        await cluster.moveSlot(inbox, []);
        expect((await cluster.masterOf(inbox)).port).not.toBe(source.port);
        const moved = next;
        await eventually(() => next > moved + 50);
      } finally {
        isOver = true;
        await working;
      }
      expect(await channels('SHARDCHANNELS', prefix)).toEqual([inbox]);
      const target = await cluster.masterOf(inbox);
      const there = await cluster.on(target.port, (client) =>
        client.call('PUBSUB', 'SHARDNUMSUB', inbox),
      );
      expect(there).toEqual([inbox, 1]);
      const before = await onBus();
      for (let n = 0; n < 10; n++) expect(await call(places.stream, n)).toBe(n);
      expect(await onBus()).toEqual(before);
    },
  );
});

/** Makes a user without these rights. */
async function login(...rights: string[]): Promise<object> {
  const username = unique('user').replace(':', '-');
  await onAll((client) =>
    client.call('ACL', 'SETUSER', username, 'on', '>pw', '~*', '&*', '+@all', ...rights),
  );
  return { username, password: 'pw' };
}

describe('a user without a right', () => {
  it.each(['the service', 'the caller', 'both'])(
    'to SPUBLISH uses plain channels (%s)',
    async (who) => {
      const less = await login('-spublish');
      const [service, caller] = [
        who === 'the caller' ? {} : less,
        who === 'the service' ? {} : less,
      ];
      const { prefix, places, call } = await pair(undefined, service, caller);
      for (const structure of STRUCTURES) expect(await call(places[structure], 1)).toBe(1);
      const sharded = await channels('SHARDCHANNELS', prefix);
      expect(sharded).toHaveLength(who === 'the service' ? 1 : 0);
      expect(await channels('CHANNELS', prefix)).toHaveLength(1);
    },
  );

  it('to SSUBSCRIBE hears its answers on the plain channel, and its log says what that costs', async () => {
    const { places, call } = await pair(undefined, {}, await login('-ssubscribe'));
    for (const structure of STRUCTURES) expect(await call(places[structure], 1)).toBe(1);
    const [line, ...others] = takeLogs();
    expect(line?.message).toContain('each answer is sent twice');
    expect(String(line?.error)).toContain('NOPERM');
    expect(others).toEqual([]);
  });
});

it('a cluster whose servers have no sharded channels is used as before', async () => {
  const at = { cluster: [{ host: '127.0.0.1', port: older.port }] };
  const [service, caller] = [newBroker(at), newBroker(at)];
  const places = everywhere(service, (body) => body);
  await service.start();
  for (const structure of STRUCTURES)
    expect(await caller.publish(1, { ...places[structure], rpc: true })).toBe(1);
  const client = rawClient(older.url);
  const inboxes = (await client.pubsub('CHANNELS', 'redstart:inbox:{*')) as string[];
  expect(inboxes).toHaveLength(1);
  expect(inboxes[0]).toMatch(/\{\w{22}\+\}$/);
});

it('a single server sees nothing of all this', async () => {
  const { url } = await ownServer();
  const client = rawClient(url);
  const [service, caller] = [newBroker(url), newBroker(url)];
  const places = everywhere(service, (body) => body);
  await service.start();
  for (const structure of STRUCTURES)
    expect(await caller.publish(1, { ...places[structure], rpc: true })).toBe(1);
  const [inbox = ''] = (await client.pubsub('CHANNELS', 'redstart:inbox:{*')) as string[];
  expect(inbox).toMatch(/\{\w{22}\+\}$/);
  expect(await client.info('commandstats')).not.toMatch(/cmdstat_(spublish|ssubscribe)/);
});
