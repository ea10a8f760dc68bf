// `npm run bench:cluster`: what a call costs on the bus of a cluster of three masters, with answers over
// plain channels and over sharded ones. Needs Linux (`ss`), a redis-server, and the built package.
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { findBinary, freePort, spawnRedis } from '../../scripts/find-redis.mjs';
import { Redis, RedisBroker } from './src/redstart.mjs';

const CALLS = 3_000;
const IN_FLIGHT = [1, 64];
const BODY = 'x'.repeat(64);
const SLOTS = 16_384;
/** Milliseconds in which the bus is watched without calls: the nodes also tell each other how they are. */
const IDLE = 3_000;

const nodes = await Promise.all(
  [0, 1, 2].map(async () => {
    const bus = await freePort();
    const args = ['--cluster-enabled', 'yes', '--cluster-port', String(bus)];
    const server = await spawnRedis(findBinary(), args);
    return { ...server, bus, client: new Redis(server.url) };
  }),
);

/** Bytes that the nodes have sent each other. */
function busBytes() {
  const ports = nodes.flatMap(({ bus }) => [`sport = :${bus}`, `dport = :${bus}`]).join(' or ');
  const text = execFileSync('ss', ['-tinH', 'state', 'established', `( ${ports} )`], {
    encoding: 'utf8',
  });
  const sent = [...text.matchAll(/bytes_sent:(\d+)/g)];
  return sent.reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}

/** A sum over the nodes of what a section of INFO says. */
async function sumOf(read) {
  const all = await Promise.all(nodes.map(({ client }) => read(client)));
  return all.reduce((sum, value) => sum + value, 0);
}

const published = () =>
  sumOf(async (client) => {
    const text = String(await client.cluster('INFO'));
    return Number(/messages_publish_sent:(\d+)/.exec(text)?.[1] ?? 0);
  });

/** Seconds of CPU that the nodes have used. */
const cpu = () =>
  sumOf(async (client) => {
    const text = await client.info('cpu');
    const [user, system] = ['user', 'sys'].map((of) =>
      Number(new RegExp(`used_cpu_${of}:([\\d.]+)`).exec(text)?.[1]),
    );
    return user + system;
  });

async function isReady({ client }) {
  const text = String(await client.cluster('INFO'));
  return /state:ok/.test(text) && /known_nodes:3/.test(text);
}

async function join() {
  for (const [n, { client }] of nodes.entries()) {
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', n + 1);
    const [from, to] = [n, n + 1].map((at) => Math.ceil((SLOTS * at) / 3));
    await client.call('CLUSTER', 'ADDSLOTSRANGE', from, to - 1);
    await client.call('CLUSTER', 'MEET', '127.0.0.1', nodes[0].port, nodes[0].bus);
    await client.call('ACL', 'SETUSER', 'plain', 'on', 'nopass', '~*', '&*', '+@all', '-spublish');
  }
  while (!(await Promise.all(nodes.map(isReady))).every(Boolean)) await pause(50);
}

/** What calls cost in one way. `username`: `plain` has no right to SPUBLISH, so its answers are plain. */
async function measure(username, kind, inFlight, idle) {
  const cluster = nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  const options = { cluster, redisOptions: { username, password: 'any' } };
  const [service, caller] = [0, 1].map(() => new RedisBroker(options, { logger: false }));
  const name = `bench:${username}:${kind}:${inFlight}`;
  const to = { [kind]: name };
  const from = kind === 'stream' ? { ...to, group: 'g' } : to;
  service.subscriber({ ...from, concurrency: inFlight }, (body) => body);
  await service.start();
  const call = async (count) => {
    for (let n = 0; n < count; n++) await caller.publish(BODY, { ...to, rpc: true });
  };
  const workers = (count) =>
    Promise.all(Array.from({ length: inFlight }, () => call(Math.ceil(count / inFlight))));
  await workers(300);
  const before = { bytes: busBytes(), messages: await published(), cpu: await cpu() };
  const began = performance.now();
  await workers(CALLS);
  const milliseconds = performance.now() - began;
  const calls = Math.ceil(CALLS / inFlight) * inFlight;
  const result = {
    'request over': kind,
    'in flight': inFlight,
    answer: username === 'plain' ? 'plain' : 'sharded',
    'bus bytes / call': Math.round((busBytes() - before.bytes - idle * milliseconds) / calls) || 0,
    'bus messages / call': +(((await published()) - before.messages) / calls).toFixed(2),
    'CPU of the nodes / call, µs': Math.round((((await cpu()) - before.cpu) / calls) * 1e6),
  };
  await caller.stop();
  await service.stop();
  return result;
}

try {
  await join();
  const before = busBytes();
  await pause(IDLE);
  const idle = (busBytes() - before) / IDLE;
  const info = await nodes[0].client.info('server');
  // Valkey names a version of Redis, too.
  const [version] = /valkey_version:[\d.]+/.exec(info) ?? /redis_version:[\d.]+/.exec(info) ?? [];
  console.log(
    `${version}, three masters; without calls ${Math.round(idle * 1_000)} bytes/s on the bus, which are subtracted`,
  );
  const rows = [];
  for (const kind of ['list', 'stream', 'channel'])
    for (const inFlight of IN_FLIGHT)
      for (const username of ['plain', 'default'])
        rows.push(await measure(username, kind, inFlight, idle));
  console.table(rows);
} finally {
  for (const { client } of nodes) client.disconnect();
  await Promise.all(nodes.map(({ stop }) => stop()));
}
