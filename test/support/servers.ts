// Starts a cluster, or a master and a replica with Sentinel.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis, type Cluster, type RedisOptions } from 'ioredis';
import { findBinary, freePort, spawnRedis, type SpawnedRedis } from '../../scripts/find-redis.mjs';
import { pause } from '../../src/internal/deferred.ts';
import { slotOf } from '../../src/transport/redis/cluster.ts';
import { eventually } from './eventually.ts';

const HOST = '127.0.0.1';
const SLOTS = 16_384;
/** Milliseconds for servers to find each other: a busy machine may need many times what they need by themselves. */
const PATIENCE = 60_000;

export interface Node {
  readonly host: string;
  readonly port: number;
}

export interface TestCluster {
  /** The masters, for `{ cluster }`. */
  readonly nodes: Node[];
  /** Kills the master of a name's slot; returns its port. */
  kill(name: string): Promise<number>;
  /** The master of a name's slot, as the cluster reports it. */
  masterOf(name: string): Promise<Node>;
  /** Gives the slot of a name, and the keys in it, to another master. */
  moveSlot(name: string, keys: string[]): Promise<void>;
  /** Calls `run` with a client of the node at this port. */
  on<T>(port: number, run: (client: Redis) => Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

function binary(): string {
  const found = findBinary();
  if (found === undefined) throw new Error('a redis-server is needed: run `npm run redis` first');
  return found;
}

/** Calls `run` with a new client of a node, and closes the client. */
async function using<T>(options: RedisOptions, run: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ host: HOST, lazyConnect: true, retryStrategy: null, ...options });
  client.on('error', () => {}); // the command rejects with it
  try {
    return await run(client);
  } finally {
    client.disconnect();
  }
}

/** Calls `run` with a client of the node at this port. */
const on = <T>(port: number, run: (client: Redis) => Promise<T>): Promise<T> =>
  using({ port }, run);

/** Starts three masters, and with `replicas` one replica of each. A fail-over begins after `nodeTimeout` milliseconds. */
export async function startCluster({
  replicas = false,
  nodeTimeout = 5_000,
} = {}): Promise<TestCluster> {
  const servers = await Promise.all(
    Array.from({ length: replicas ? 6 : 3 }, async () => {
      const args = ['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())];
      const timings = ['--cluster-node-timeout', String(nodeTimeout)];
      // Without the ping, CLUSTER SLOTS hides replicas for eight seconds and more.
      const replication = ['--repl-ping-replica-period', '1', '--repl-diskless-sync-delay', '0'];
      const server = await spawnRedis(binary(), [...args, ...timings, ...replication]);
      return { server, bus: args[3] as string };
    }),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map(({ server }) => server.stop()));
  };
  try {
    await joinAll(servers);
  } catch (error) {
    await stop();
    throw error;
  }
  const ports = servers.map(({ server }) => server.port);
  const masterOf = async (name: string): Promise<Node> => {
    for (const port of ports) {
      const found = await on(port, (client) => ownerOf(client, name)).catch(() => undefined);
      if (found !== undefined) return found;
    }
    throw new Error('no node of the cluster answers');
  };
  const nodes = ports.slice(0, 3).map((port) => ({ host: HOST, port }));
  return {
    nodes,
    masterOf,
    on,
    stop,
    async moveSlot(name, keys) {
      const from = await masterOf(name);
      const to = nodes.find(({ port }) => port !== from.port) as Node;
      const [source, target, slot] = [
        await info(from.port, 'MYID'),
        await info(to.port, 'MYID'),
        slotOf(name),
      ];
      const setSlot = (port: number, ...args: string[]): Promise<unknown> =>
        on(port, (client) => client.call('CLUSTER', 'SETSLOT', slot, ...args));
      await setSlot(to.port, 'IMPORTING', source);
      await setSlot(from.port, 'MIGRATING', target);
      if (keys.length > 0) {
        await on(from.port, (client) =>
          client.call('MIGRATE', to.host, to.port, '', 0, 5_000, 'KEYS', ...keys),
        );
      }
      await setSlot(to.port, 'NODE', target);
      for (const { port } of nodes) if (port !== to.port) await setSlot(port, 'NODE', target);
    },
    async kill(name) {
      const { port } = await masterOf(name);
      await servers.find(({ server }) => server.port === port)?.server.stop();
      return port;
    },
  };
}

/** The answer of a node to a CLUSTER command. */
function info(port: number, section: string): Promise<string> {
  return on(port, async (client) => String(await client.call('CLUSTER', section)));
}

/** Joins the nodes (CLUSTER ADDSLOTSRANGE, MEET, REPLICATE); resolves when each node knows all others and accepts writes. */
async function joinAll(servers: { server: SpawnedRedis; bus: string }[]): Promise<void> {
  const first = servers[0] as (typeof servers)[0];
  // All of them, before one meets another: a node that knows another refuses it.
  await Promise.all(
    servers.map(({ server }, i) =>
      on(server.port, (client) => client.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)),
    ),
  );
  await Promise.all(
    servers.map(({ server }, i) =>
      on(server.port, async (client) => {
        if (i < 3) {
          const from = Math.ceil((SLOTS * i) / 3);
          await client.call('CLUSTER', 'ADDSLOTSRANGE', from, Math.ceil((SLOTS * (i + 1)) / 3) - 1);
        }
        await client.call('CLUSTER', 'MEET', HOST, first.server.port, first.bus);
      }),
    ),
  );
  const all = servers.length;
  const knowAll = async (): Promise<boolean> => {
    const infos = await Promise.all(servers.map(({ server }) => info(server.port, 'NODES')));
    return infos.every((text) => text.match(/ connected/g)?.length === all);
  };
  await eventually(knowAll, PATIENCE);
  // Valkey makes links anew behind MEET; what is published meanwhile is lost between its nodes.
  const areLinked = async (): Promise<boolean> => {
    const links = await Promise.all(
      servers.map(({ server }) => on(server.port, (client) => client.call('CLUSTER', 'LINKS'))),
    );
    return links.every((list) => (list as unknown[]).length === 2 * (all - 1));
  };
  await eventually(areLinked, PATIENCE);
  const ids = await Promise.all(servers.map(({ server }) => info(server.port, 'MYID')));
  await Promise.all(
    servers
      .slice(3)
      .map(({ server }, i) =>
        eventually(
          () => on(server.port, (client) => client.call('CLUSTER', 'REPLICATE', ids[i] as string)),
          PATIENCE,
        ),
      ),
  );
  await eventually(async () => {
    for (const { server } of servers) {
      if (!(await info(server.port, 'INFO')).includes('cluster_state:ok')) return false;
      const slots = (await on(server.port, (client) =>
        client.call('CLUSTER', 'SLOTS'),
      )) as unknown[][];
      if (slots.some((range) => range.length !== (all > 3 ? 4 : 3))) return false;
    }
    return true;
  }, PATIENCE);
}

async function ownerOf(client: Redis, name: string): Promise<Node> {
  const slot = await client.cluster('KEYSLOT', name);
  const ranges = (await client.cluster('SLOTS')) as unknown as [number, number, [string, number]][];
  const range = ranges.find(([from, to]) => slot >= from && slot <= to);
  if (range === undefined) throw new Error(`no node has the slot of ${name}`);
  return { host: range[2][0], port: range[2][1] };
}

/**
 * Whether the last write is safe when node `victim` is killed: a replica has it (WAIT, on the
 * connection of the write), or another node holds the slot.
 */
export async function onReplica(client: Cluster, name: string, victim: number): Promise<boolean> {
  const owner = client.slots[slotOf(name)]?.[0];
  if (owner === undefined || !owner.endsWith(`:${victim}`)) return true;
  const node = client.nodes('master').find(({ options }) => options.port === victim);
  return ((await node?.wait(1, 200)) ?? 0) >= 1;
}

export interface TestSentinel {
  /** For `{ sentinels, name }`. */
  readonly sentinels: Node[];
  readonly name: string;
  /** The port of the master as Sentinel sees it. */
  master(): Promise<number>;
  /** Kills the master. */
  killMaster(): Promise<void>;
  /** Makes Sentinel swap master and replica while both run. */
  swap(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a master, a replica, and a sentinel that promotes the replica if the master fails. */
export async function startSentinel(): Promise<TestSentinel> {
  const name = 'main';
  const fast = ['--repl-ping-replica-period', '1', '--repl-diskless-sync-delay', '0'];
  const first = await spawnRedis(binary(), fast);
  const second = await spawnRedis(binary(), [...fast, '--replicaof', HOST, String(first.port)]);
  const watcher = await spawnSentinel(name, first.port);
  const stop = async (): Promise<void> => {
    await Promise.all([watcher, second, first].map((server) => server.stop()));
  };
  const ask = <T>(run: (client: Redis) => Promise<T>): Promise<T> =>
    using({ port: watcher.port }, run);
  const master = async (): Promise<number> =>
    Number(
      ((await ask((s) => s.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name))) as string[])[1],
    );
  try {
    await eventually(async () => {
      await ask((s) =>
        s.call('SENTINEL', 'DEBUG', 'info-period', 100, 'publish-period', 100, 'ask-period', 100),
      );
      const known = (await ask((s) => s.call('SENTINEL', 'REPLICAS', name))) as string[][];
      const replication = await using({ port: second.port }, (client) =>
        client.info('replication'),
      );
      return (
        known.length === 1 &&
        known[0]?.includes('slave') === true &&
        replication.includes('master_link_status:up')
      );
    }, PATIENCE);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    sentinels: [{ host: HOST, port: watcher.port }],
    name,
    master,
    stop,
    async killMaster() {
      const port = await master();
      await (first.port === port ? first : second).stop();
    },
    async swap() {
      const before = await master();
      // Again until it is done: right after the start Sentinel answers NOGOODSLAVE, and on a busy machine it may give up.
      await eventually(async () => {
        if ((await master()) !== before) return true;
        await ask((s) => s.call('SENTINEL', 'FAILOVER', name)).catch(() => undefined);
        await pause(100);
        return false;
      }, 60_000);
    },
  };
}

async function spawnSentinel(
  name: string,
  master: number,
): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'redstart-sentinel-'));
  const lines = [
    `port ${port}`,
    `bind ${HOST}`,
    `dir ${folder}`,
    `sentinel monitor ${name} ${HOST} ${master} 1`,
    // A busy machine may stop the master for a while.
    `sentinel down-after-milliseconds ${name} 2000`,
    `sentinel failover-timeout ${name} 5000`,
  ];
  writeFileSync(join(folder, 'sentinel.conf'), `${lines.join('\n')}\n`);
  const child = spawn(binary(), [join(folder, 'sentinel.conf'), '--sentinel'], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  await eventually(() => using({ port }, (client) => client.ping()));
  return {
    port,
    async stop() {
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
