// What it costs a call to be looked at: by an observer, by metrics, by traces. Both processes have it.
import { Pair } from '../pair.mjs';
import { SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';

/** By their names in contenders/observed.mjs; the first is what the others are compared with. */
export const WATCHES = ['unobserved', 'observed', 'metered', 'untraced', 'unsampled', 'traced'];
const KIND = 'channel';
const IN_FLIGHT = 64;

export async function measureObservers(run) {
  const { rounds, milliseconds } = run.plan.observers;
  const pairs = await Promise.all(WATCHES.map((name) => Pair.open(run, name, [KIND])));
  for (const pair of pairs) await pair.warmUp(KIND, 2 * run.plan.warmUp);
  const rows = new Rows();
  run.say('observers');
  for (let round = 0; round < rounds; round++) {
    for (const pair of inTurn(pairs, round)) {
      const options = { kind: KIND, size: SMALL, inFlight: IN_FLIGHT, milliseconds };
      const { rate, requester, responder } = await pair.measure(options);
      rows.add({ contender: pair.name }, { rate, cpu: requester + responder });
    }
  }
  for (const pair of pairs) pair.end();
  return rows.all;
}
