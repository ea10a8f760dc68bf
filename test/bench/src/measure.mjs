// One run: every group in turn on one Redis, and what it ran on.
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { measureBodies, measureMemory } from './groups/alone.mjs';
import { measureCalls } from './groups/calls.mjs';
import { measureConsumption } from './groups/consumption.mjs';
import { measureDeliveries } from './groups/deliveries.mjs';
import { measureFeatures } from './groups/features.mjs';
import { measureClients, measureSubscribers } from './groups/growth.mjs';
import { measureObservers } from './groups/observers.mjs';
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
};

export async function measure({ quick, only = Object.keys(GROUPS), fastStream, say }) {
  for (const name of only) if (!(name in GROUPS)) throw new Error(`there is no group '${name}'`);
  const plan = planFor(quick);
  const server = await Server.open();
  const workers = new Workers(server.url, fastStream?.python);
  try {
    const groups = {};
    const run = { server, workers, plan, say, hasFastStream: fastStream !== undefined };
    for (const name of only) groups[name] = await GROUPS[name](run);
    return {
      date: new Date().toISOString(),
      rounds: plan.rounds,
      machine: await machine(server),
      versions: versions(fastStream),
      groups,
      verdicts: verdicts(groups),
    };
  } finally {
    workers.end();
    await server.close();
  }
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

function versions(fastStream) {
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));
  return {
    redstart: version,
    ioredis: dependencies.ioredis,
    NestJS: dependencies['@nestjs/microservices'],
    Moleculer: dependencies.moleculer,
    BullMQ: dependencies.bullmq,
    ...(fastStream && { FastStream: fastStream.version }),
  };
}
