// `npm run bench:guard`: has the hot path lost more than a quarter? Calls over each structure, against
// the coalesced floor. Needs nothing but the root's own dependencies and the built package.
import { Pair } from './src/pair.mjs';
import { KINDS, SMALL } from './src/plan.mjs';
import { find, inTurn, Rows } from './src/rows.mjs';
import { Server } from './src/server.mjs';
import { ratio } from './src/statistics.mjs';
import { Workers } from './src/workers.mjs';

/** redstart is at 1.0 and more, also on a busy machine; a quarter less, three times in a row, is no noise. */
const LIMIT = 0.75;
const ATTEMPTS = 3;
const ROUNDS = 4;
/** Milliseconds of one measurement. */
const MILLISECONDS = 120;
const WARM_UP = 250;

async function attempt(pairs, best) {
  const rows = new Rows();
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of KINDS) {
      if (best[kind] >= LIMIT) continue;
      for (const pair of inTurn(pairs, round)) {
        const options = { kind, size: SMALL, inFlight: 64, milliseconds: MILLISECONDS };
        const { rate } = await pair.measure(options);
        rows.add({ kind, contender: pair.name }, { rate });
      }
    }
  }
  for (const kind of KINDS) {
    const [own, floor] = pairs.map(({ name }) => find(rows.all, { kind, contender: name }));
    if (own === undefined) continue;
    best[kind] = Math.max(best[kind], ratio(own.rate, floor.rate));
  }
}

const server = await Server.open();
const workers = new Workers(server.url);
try {
  const run = { server, workers };
  const pairs = await Promise.all(
    ['redstart', 'coalesced'].map((name) => Pair.open(run, name, KINDS)),
  );
  for (const pair of pairs) for (const kind of KINDS) await pair.warmUp(kind, WARM_UP);
  const best = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
  const isSlow = () => KINDS.some((kind) => best[kind] < LIMIT);
  for (let i = 0; i < ATTEMPTS && (i === 0 || isSlow()); i++) await attempt(pairs, best);
  const told = KINDS.map((kind) => `${kind} ${best[kind].toFixed(2)}`).join(', ');
  console.log(`guard: calls/s, 64 in flight, of ioredis by hand: ${told} (at least ${LIMIT})`);
  if (isSlow()) process.exitCode = 1;
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  workers.end();
  await server.close();
}
