// What a careful service switches on, against the plain path.
import { Pair } from '../pair.mjs';
import { KINDS, SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';

export async function measureFeatures(run) {
  const { plan } = run;
  const pairs = await Promise.all(['bare', 'equipped'].map((name) => Pair.open(run, name, KINDS)));
  for (const pair of pairs) for (const kind of KINDS) await pair.warmUp(kind, plan.warmUp);
  const rows = new Rows();
  run.say('features');
  for (let round = 0; round < plan.features.rounds; round++) {
    for (const kind of KINDS) {
      for (const inFlight of [64, 512]) {
        for (const pair of inTurn(pairs, round)) {
          const options = { kind, size: SMALL, inFlight, milliseconds: plan.milliseconds };
          const { rate } = await pair.measure(options);
          rows.add({ kind, inFlight, contender: pair.name }, { rate });
        }
      }
    }
  }
  for (const pair of pairs) pair.end();
  return rows.all;
}
