// 300 subscribers of every kind in one broker: on shared connections, and on a connection each.
import { inTurn, Rows } from '../rows.mjs';

const MODES = ['shared', 'dedicated'];
/** Messages per second, and whether only a few subscribers get them. */
const SPREADS = {
  all: { rate: 300 },
  busy: { rate: 300, busy: true },
  pressed: { rate: 3_000 },
};

export async function measureConnections({ plan, server, workers, say }) {
  const { rounds, count, milliseconds } = plan.connections;
  const rows = new Rows();
  const crowds = [];
  for (const mode of MODES) {
    const worker = await workers.start('redstart');
    const before = await server.clients();
    await worker.ask('crowd', { name: server.name(`crowd:${mode}`), count, sharing: mode });
    // Without the one that sends.
    const connections = (await server.clients()) - before - 1;
    rows.add({ what: 'connections', mode }, { connections });
    crowds.push({ mode, worker });
  }
  for (const { worker } of crowds)
    await worker.ask('crowdPace', { rate: 3_000, seed: 1, milliseconds });
  say('connections');
  for (let round = 0; round < rounds; round++) {
    for (const [what, options] of Object.entries(SPREADS)) {
      for (const { mode, worker } of inTurn(crowds, round)) {
        const seed = round + 1;
        const { p50, p99, max } = await worker.ask('crowdPace', { ...options, seed, milliseconds });
        rows.add({ what, mode }, { p50, p99, max });
      }
    }
    for (const { mode, worker } of inTurn(crowds, round)) {
      const options = { rate: SPREADS.all.rate, seed: round + 1, milliseconds };
      const { p50, p99, max } = await worker.ask('crowdFull', options);
      rows.add({ what: 'full', mode }, { p50, p99, max });
    }
  }
  for (const { worker } of crowds) worker.end();
  return rows.all;
}
