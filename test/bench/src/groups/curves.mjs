// How long calls take at 25, 50, 75 and 90 % of what each library can do, over plain TCP and over TLS.
import { makeCertificate } from '../certificate.mjs';
import { Watch } from '../machine.mjs';
import { findNats, startNats } from '../nats-server.mjs';
import { Pair } from '../pair.mjs';
import { KINDS, SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';
import { Server } from '../server.mjs';
import { Workers } from '../workers.mjs';

/** Shares of a library's own saturation. */
export const LOADS = [0.25, 0.5, 0.75, 0.9];
/** Calls that wait at any time where the saturation is measured. */
const IN_FLIGHT = 512;
/** What is measured of one library in one round takes a few seconds; so often it is repeated where the machine was disturbed. */
const REPEATS = 2;

const KINDS_OF = {
  redstart: KINDS,
  coalesced: KINDS,
  plain: KINDS,
  nestjs: ['channel'],
  moleculer: ['channel'],
  nats: ['channel'],
};

/** Repeats by itself what the machine disturbed: one library's part of one round. */
export async function measureCurves(run) {
  const found = findNats(run.say);
  run.found.nats = found?.version;
  const binary = found?.binary;
  const rows = new Rows();
  await measureOver(run, 'tcp', { server: run.server, workers: run.workers, binary }, rows);
  const certificate = makeCertificate();
  const server = certificate && (await Server.openSecure(certificate));
  if (server === undefined) {
    const what = certificate ? 'no redis-server with TLS' : 'no openssl';
    run.say(`curves over TLS are skipped: there is ${what} on PATH`);
  } else {
    const env = { NODE_EXTRA_CA_CERTS: certificate.cert };
    const workers = new Workers(server.secureUrl, { env });
    try {
      await measureOver(run, 'tls', { server, workers, binary, certificate, env }, rows);
    } finally {
      workers.end();
      await server.close();
    }
  }
  certificate?.remove();
  return rows.all;
}

async function measureOver(run, transport, place, rows) {
  const { plan, say } = run;
  const { rounds, warmUp } = plan.curves;
  const nats = place.binary && (await startNats(place.binary, place.certificate));
  const natsWorkers = nats && new Workers(nats.url, { env: place.env });
  try {
    const names = Object.keys(KINDS_OF).filter((name) => name !== 'nats' || nats);
    const pairs = await Promise.all(
      names.map((name) => {
        const workers = name === 'nats' ? natsWorkers : place.workers;
        return Pair.open({ server: place.server, workers }, name, KINDS_OF[name]);
      }),
    );
    const series = pairs.flatMap((pair) => KINDS_OF[pair.name].map((kind) => ({ pair, kind })));
    for (const { pair, kind } of series) await warm(pair, kind, warmUp);
    // So that a machine which is always busy does not make it last for ever.
    let left = Math.ceil(series.length * rounds * 0.2);
    let disturbed = 0;
    for (let round = 0; round < rounds; round++) {
      say(`curves over ${transport}, round ${round + 1} of ${rounds}`);
      for (const { pair, kind } of inTurn(series, round)) {
        for (let attempt = 0; ; attempt++) {
          const watch = await Watch.begin({ server: place.server, withReference: false });
          const values = await measureOne(pair, kind, plan.curves, round);
          const reasons = await watch.end();
          const again = reasons.length > 0 && attempt < REPEATS && left-- > 0;
          if (again) {
            say(`curves: ${pair.name}, ${kind} again: ${reasons.join('; ')}`);
            continue;
          }
          if (reasons.length > 0) disturbed++;
          for (const { load, ...columns } of values)
            rows.add({ transport, kind, contender: pair.name, load }, columns);
          break;
        }
      }
    }
    if (disturbed > 0)
      run.note(
        `${disturbed} of ${series.length * rounds} measurements over ${transport} were disturbed to the end`,
      );
    for (const pair of pairs) pair.end();
  } finally {
    natsWorkers?.end();
    nats?.stop();
  }
}

async function warm(pair, kind, milliseconds) {
  const point = { kind, size: SMALL };
  await pair.saturate({ ...point, inFlight: IN_FLIGHT, milliseconds });
  await pair.pace({ ...point, rate: 2_000, seed: 1, milliseconds: milliseconds / 2 });
}

/** The saturation, and at once the loads that follow from it. */
async function measureOne(pair, kind, { saturation, milliseconds }, round) {
  const point = { kind, size: SMALL };
  const closed = { ...point, inFlight: IN_FLIGHT, milliseconds: saturation };
  const { rate: most } = await pair.saturate(closed);
  const all = [{ load: 1, rate: most }];
  for (const load of LOADS) {
    const options = { ...point, rate: load * most, seed: round + 1, milliseconds };
    const { rate, p50, p99, p999, late } = await pair.pace(options);
    all.push({ load, rate, p50, p99, p999, late });
  }
  return all;
}
