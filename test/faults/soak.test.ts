// Nothing that a producer saw accepted is lost, whatever happens to consumers, connections and servers.
// A minute here; `npm run soak` takes about 3 minutes, and adds a cluster and Sentinel.
import { spawnRedis, findBinary, type SpawnedRedis } from '../../scripts/find-redis.mjs';
import type { Cluster, Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { isLong } from '../support/long.ts';
import { rawClient } from '../support/redis.ts';
import { onReplica, startCluster, startSentinel } from '../support/servers.ts';
import { Soak, freezeConsumer, killConsumer, type Fault } from './soak.ts';

it(
  'a soak on one server: kills, freezes, cuts and restarts lose nothing that was accepted',
  { timeout: 400_000 },
  async () => {
    const server = await durableServer();
    const proxy = await FaultProxy.to(server.port);
    const client = rawClient(server.url);
    const soak = new Soak({
      client,
      connection: proxy.url,
      lists: ['jobs'],
      streams: ['events'],
      consumers: 4,
    });
    const cut: Fault = {
      name: 'all connections cut',
      strike: async () => (proxy.cut(), Date.now()),
    };
    const restart: Fault = { name: 'server killed and restarted', strike: () => server.restart() };
    const freeze = freezeConsumer(isLong ? 12_000 : 3_000);
    await soak.run([killConsumer, cut, restart, freeze], {
      ms: isLong ? 90_000 : 48_000,
      every: isLong ? 2_000 : 1_000,
      patience: 120_000,
    });
    process.stdout.write(soak.report('one server, AOF on (appendfsync always)'));
    await soak.verify();
    expect(soak.sent).toBeGreaterThan(500);
    // No processing list is left; who is gone is forgotten a minute later.
    const known = ['events', 'jobs:dead', 'events:dead', 'redstart:list:{jobs}:consumers'];
    await eventually(async () => {
      const left = await client.keys('*');
      expect(left.filter((key) => !known.includes(key))).toEqual([]);
    });
  },
);

it.runIf(isLong)(
  'a soak on a cluster: a master and consumers killed, and nothing that a replica had is lost',
  { timeout: 400_000 },
  async () => {
    const cluster = await startCluster({ replicas: true, nodeTimeout: 1_000 });
    onTestFinished(() => cluster.stop());
    const lists = ['jobs:a', 'jobs:b', 'jobs:c'];
    const streams = ['events:a', 'events:b', 'events:c'];
    const victim = (await cluster.masterOf('jobs:a')).port;
    const soak = new Soak({
      ...{ connection: { cluster: cluster.nodes }, lists, streams, consumers: 4 },
      client: newBroker({ cluster: cluster.nodes }).client,
      isSafe: (broker, name) => onReplica(broker.client as Cluster, name, victim),
    });
    let isKilled = false;
    const killMaster: Fault = {
      name: 'master killed, replica takes over',
      async strike() {
        if (isKilled) return undefined;
        isKilled = true;
        await cluster.kill('jobs:a');
        const killed = Date.now();
        await eventually(async () => (await cluster.masterOf('jobs:a')).port !== victim);
        return killed;
      },
    };
    await soak.run([killConsumer, killMaster, killConsumer], {
      ...{ ms: 30_000, every: 4_000, patience: 120_000 },
    });
    process.stdout.write(soak.report('a cluster of three masters with replicas, WAIT 1'));
    await soak.verify();
    expect(soak.sent).toBeGreaterThan(2_000);
  },
);

it.runIf(isLong)(
  'a soak behind Sentinel: a fail-over and consumers killed, and nothing that a replica had is lost',
  { timeout: 400_000 },
  async () => {
    const set = await startSentinel();
    onTestFinished(() => set.stop());
    const connection = { sentinels: set.sentinels, name: set.name };
    let isKilled = false;
    const soak = new Soak({
      ...{ connection, lists: ['jobs'], streams: ['events'], consumers: 4 },
      client: newBroker(connection).client,
      // The one that is left has nobody to confirm.
      isSafe: async (broker) => isKilled || (await (broker.client as Redis).wait(1, 500)) >= 1,
    });
    const failOver: Fault = {
      name: 'master killed, Sentinel fails over',
      async strike() {
        if (isKilled) return undefined;
        const before = await set.master();
        await set.killMaster();
        const killed = Date.now();
        await eventually(async () => (await set.master()) !== before);
        // What was under way on the old one has failed by now.
        await pause(1_000);
        isKilled = true;
        return killed;
      },
    };
    await soak.run([killConsumer, failOver, killConsumer], {
      ...{ ms: 20_000, every: 4_000, patience: 120_000 },
    });
    process.stdout.write(soak.report('a master with its replica behind Sentinel, WAIT 1'));
    await soak.verify();
    expect(soak.sent).toBeGreaterThan(1_000);
  },
);

/** A server that keeps what it has said yes to, and can be killed and started again. */
async function durableServer(): Promise<SpawnedRedis & { restart(): Promise<number> }> {
  const binary = findBinary();
  if (binary === undefined) throw new Error('a redis-server is needed: run `npm run redis` first');
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always'];
  const first = await spawnRedis(binary, durable);
  const place = ['--port', String(first.port), '--dir', first.folder];
  let current = first;
  // The folder is the first one's: it goes last.
  onTestFinished(async () => {
    await current.stop();
    await first.stop();
  });
  return {
    ...first,
    async restart() {
      process.kill(current.pid, 'SIGKILL');
      const killed = Date.now();
      await pause(200);
      // Its port is free once the system has taken down the one that was killed.
      current = await eventually(() => spawnRedis(binary, [...place, ...durable]));
      return killed;
    },
  };
}
