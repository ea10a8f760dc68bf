// redstart without a network: what a call costs by the size of its body, and what a waiting call holds.
import { KINDS, SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';

/** Both sides of a call in one process, over `memory://`. */
export async function measureBodies({ plan, workers, server, say }) {
  const { rounds, sizes } = plan.bodies;
  const worker = await workers.start('redstart', 'memory://');
  const names = server.names('memory', KINDS);
  await worker.ask('serve', { names });
  await worker.ask('connect', { names });
  const load = { kind: 'channel', inFlight: 64 };
  await worker.ask('load', { ...load, size: SMALL, milliseconds: plan.warmUp });
  const rows = new Rows();
  say('bodies');
  for (let round = 0; round < rounds; round++) {
    for (const size of inTurn(sizes, round)) {
      const milliseconds = plan.milliseconds / 2;
      const { rate, cpu } = await worker.ask('load', { ...load, size, milliseconds });
      const json = await worker.ask('json', { size, milliseconds });
      rows.add({ size }, { rate, cpu, json });
    }
  }
  worker.end();
  return rows.all;
}

/** Calls to a list that nobody reads. */
export async function measureMemory({ plan, workers, server, say }) {
  const { rounds, count } = plan.memory;
  const rows = new Rows();
  say('memory');
  for (let round = 0; round < rounds; round++) {
    for (const contender of ['redstart', 'coalesced']) {
      const worker = await workers.start(contender);
      const names = server.names(`${contender}:pending`, ['list']);
      await worker.ask('connect', { names });
      // Code that is compiled on the way is not what a call holds.
      await worker.ask('pending', { kind: 'list', size: SMALL, count: 2_000 });
      const bytes = await worker.ask('pending', { kind: 'list', size: SMALL, count });
      worker.end();
      await server.remove(names.list);
      rows.add({ contender }, { bytes });
    }
  }
  return rows.all;
}
