// Messages that are sent one by one and handled, in each of the ways in which they can be sent.
import { SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';

/** BullMQ has no order of keys without its paid edition. */
const WAYS = { redstart: ['plain', 'id', 'delay', 'key'], bullmq: ['plain', 'id', 'delay'] };
const IN_FLIGHT = 64;
/** How much of the full count BullMQ gets, which is slower. */
const SHARE = 0.4;

export async function measureDeliveries(run) {
  const { rounds, count } = run.plan.deliveries;
  const rows = new Rows();
  const processes = new Map();
  for (const name of Object.keys(WAYS)) processes.set(name, await run.workers.start(name));
  for (let round = -1; round < rounds; round++) {
    const isWarmUp = round < 0;
    run.say(isWarmUp ? 'deliveries, warming up' : `deliveries, round ${round + 1} of ${rounds}`);
    for (const how of WAYS.redstart) {
      for (const contender of inTurn(Object.keys(WAYS), round)) {
        if (!WAYS[contender].includes(how)) continue;
        const share = (contender === 'bullmq' ? SHARE : 1) * (isWarmUp ? 0.1 : 1);
        const target = run.server.name(`${contender}:deliver:${how}:${round}`);
        const options = { how, target, size: SMALL, count: Math.round(count * share) };
        const values = await deliver(run.server, processes.get(contender), options);
        if (!isWarmUp) rows.add({ how, contender }, values);
      }
    }
  }
  for (const worker of processes.values()) worker.end();
  return rows.all;
}

async function deliver(server, worker, options) {
  const before = await server.counters();
  const values = await worker.ask('deliver', { ...options, inFlight: IN_FLIGHT });
  const after = await server.counters();
  await server.remove(options.target);
  return { ...values, redis: (after.cpu - before.cpu) / options.count };
}
