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
/** The share of all measurements that may be repeated. */
const ALLOWANCE = 0.2;

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
  try {
    await measureSecure(run, { binary, certificate }, rows);
  } finally {
    certificate?.remove();
  }
  return rows.all;
}

async function measureSecure(run, { binary, certificate }, rows) {
  const server = certificate && (await Server.openSecure(certificate));
  if (server === undefined) {
    const what = certificate ? 'no redis-server with TLS' : 'no openssl';
    run.say(`curves over TLS are skipped: there is ${what} on PATH`);
    return;
  }
  const env = { NODE_EXTRA_CA_CERTS: certificate.cert };
  const workers = new Workers(server.secureUrl, { env });
  try {
    await measureOver(run, 'tls', { server, workers, binary, certificate, env }, rows);
  } finally {
    workers.end();
    await server.close();
  }
}

async function measureOver(run, transport, place, rows) {
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
    await measureSeries(run, { transport, place, series }, rows);
    for (const pair of pairs) pair.end();
  } finally {
    natsWorkers?.end();
    nats?.stop();
  }
}

/** In rounds, so that every library is measured at several times. */
async function measureSeries(run, { transport, place, series }, rows) {
  const { rounds, warmUp } = run.plan.curves;
  for (const { pair, kind } of series) await warm(pair, kind, warmUp);
  const count = series.length * rounds;
  // So that a machine which is always busy does not make it last for ever.
  let left = Math.ceil(count * ALLOWANCE);
  let disturbed = 0;
  for (let round = 0; round < rounds; round++) {
    run.say(`curves over ${transport}, round ${round + 1} of ${rounds}`);
    for (const { pair, kind } of inTurn(series, round)) {
      let measured = await measureWatched(run, place, { pair, kind, round });
      for (let i = 0; i < REPEATS && measured.reasons.length > 0 && left > 0; i++, left--) {
        run.say(`curves: ${pair.name}, ${kind} again: ${measured.reasons.join('; ')}`);
        measured = await measureWatched(run, place, { pair, kind, round });
      }
      if (measured.reasons.length > 0) disturbed++;
      for (const { load, ...columns } of measured.values)
        rows.add({ transport, kind, contender: pair.name, load }, columns);
    }
  }
  if (disturbed > 0)
    run.note(`${disturbed} of ${count} measurements over ${transport} were disturbed to the end`);
}

async function measureWatched({ plan }, { server }, { pair, kind, round }) {
  const watch = await Watch.begin({ server, withReference: false });
  const failures = [];
  const values = await measureOne(pair, kind, plan.curves, round).catch((error) => {
    failures.push(error.message); // calls that nobody answered: the series has no figures for this round
    return [];
  });
  return { values, reasons: [...failures, ...(await watch.end())] };
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
