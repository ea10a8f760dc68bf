// One run: every group in turn on one Redis, and what it ran on.
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { measureBodies, measureMemory } from './groups/alone.mjs';
import { measureCalls } from './groups/calls.mjs';
import { measureConnections } from './groups/connections.mjs';
import { measureConsumption } from './groups/consumption.mjs';
import { measureCurves } from './groups/curves.mjs';
import { measureDeliveries } from './groups/deliveries.mjs';
import { measureFeatures } from './groups/features.mjs';
import { measureClients, measureSubscribers } from './groups/growth.mjs';
import { measureObservers } from './groups/observers.mjs';
import { measureProfile } from './groups/profile.mjs';
import { measureUntilDecided } from './judgement.mjs';
import { Watch } from './machine.mjs';
import { planFor } from './plan.mjs';
import { version } from './redstart.mjs';
import { Server } from './server.mjs';
import { verdicts } from './targets.mjs';
import { Workers } from './workers.mjs';

const GROUPS = {
  calls: measureCalls,
  consumption: measureConsumption,
  deliveries: measureDeliveries,
  features: measureFeatures,
  observers: measureObservers,
  clients: measureClients,
  subscribers: measureSubscribers,
  bodies: measureBodies,
  memory: measureMemory,
  connections: measureConnections,
  curves: measureCurves,
  profile: measureProfile,
};
/** Those that repeat what was disturbed by themselves, part by part; a glance leaves them out. */
const LONG = ['curves'];

export async function measure({ quick, only, fastStream, say }) {
  const all = Object.keys(GROUPS);
  const names = only ?? all.filter((name) => !quick || !LONG.includes(name));
  for (const name of names) if (!(name in GROUPS)) throw new Error(`there is no group '${name}'`);
  const plan = planFor(quick);
  const server = await Server.open();
  const workers = new Workers(server.url, { python: fastStream?.python });
  try {
    const groups = {};
    const run = { server, workers, plan, say, hasFastStream: fastStream !== undefined, found: {} };
    const results = { verdicts: [], attempts: {} };
    for (const name of names) {
      const attempt = () => attemptAt(name, run);
      const verdictsOf = (rows) => verdicts({ [name]: rows });
      const repeats = !quick && !LONG.includes(name);
      const decided = await measureUntilDecided({ name, attempt, verdictsOf, say, repeats });
      groups[name] = decided.rows;
      results.verdicts.push(...decided.verdicts);
      results.attempts[name] = decided.attempts;
    }
    return {
      date: new Date().toISOString(),
      rounds: plan.rounds,
      machine: await machine(server),
      versions: versions(fastStream, run.found),
      groups,
      ...results,
    };
  } finally {
    workers.end();
    await server.close();
  }
}

/** A group once, and what disturbed it: all of it, or parts that it has repeated in vain. */
async function attemptAt(name, run) {
  const notes = [];
  const watch = await Watch.begin({ server: run.server });
  const rows = await GROUPS[name]({ ...run, note: (reason) => notes.push(reason) });
  const disturbed = await watch.end();
  return { rows, disturbed: LONG.includes(name) ? notes : disturbed };
}

async function machine(server) {
  return {
    cpu: cpus()[0].model.replace(/\((R|TM)\)| CPU/g, ''),
    cores: cpus().length,
    memory: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()}`,
    node: process.versions.node,
    redis: await server.version(),
  };
}

function versions(fastStream, found) {
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));
  return {
    redstart: version,
    ioredis: dependencies.ioredis,
    NestJS: dependencies['@nestjs/microservices'],
    Moleculer: dependencies.moleculer,
    BullMQ: dependencies.bullmq,
    ...(found.nats && {
      'nats.js': dependencies['@nats-io/transport-node'],
      'nats-server': found.nats,
    }),
    ...(fastStream && { FastStream: fastStream.version }),
  };
}
