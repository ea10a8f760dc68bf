// Where the time goes: redstart and its floor with V8's profiler on, in the cases whose limits are the hardest.
import { Pair } from '../pair.mjs';
import { KINDS, SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';
import { consume } from './consumption.mjs';

const CONTENDERS = ['redstart', 'coalesced'];
const IN_FLIGHT = 512;

export async function measureProfile(run) {
  const { rounds, milliseconds, count } = run.plan.profile;
  const rows = new Rows();
  const pairs = await Promise.all(CONTENDERS.map((name) => Pair.open(run, name, KINDS)));
  for (const pair of pairs) for (const kind of KINDS) await pair.warmUp(kind, 2 * run.plan.warmUp);
  run.say('profile, calls');
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) {
      for (const pair of inTurn(pairs, round)) {
        const options = { kind, size: SMALL, inFlight: IN_FLIGHT, milliseconds };
        const { measured, shares } = await pair.profile(options);
        for (const side of ['requester', 'responder'])
          rows.add({ kind, side, contender: pair.name }, costs(measured[side], shares[side]));
      }
    }
  }
  for (const pair of pairs) pair.end();
  run.say('profile, consumption');
  const workers = new Map();
  for (const name of CONTENDERS) workers.set(name, await run.workers.start(name));
  for (let round = -1; round < rounds; round++) {
    for (const kind of KINDS) {
      for (const contender of inTurn(CONTENDERS, round)) {
        const worker = workers.get(contender);
        const options = { contender, kind, batch: false, count };
        await worker.ask('profile');
        const { cpu } = await consume(run, worker, options);
        const shares = await worker.ask('profiled');
        if (round >= 0) rows.add({ kind, side: 'consumer', contender }, costs(cpu, shares));
      }
    }
  }
  for (const worker of workers.values()) worker.end();
  return rows.all;
}

/** Microseconds of CPU of a message, by part. */
function costs(cpu, shares) {
  const parts = Object.entries(shares).map(([part, share]) => [part, share * cpu]);
  return { cpu, ...Object.fromEntries(parts) };
}
