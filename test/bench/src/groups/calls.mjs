// Calls: redstart, the floors and the peers over each structure that they have.
import { Pair } from '../pair.mjs';
import { KINDS, LARGE, SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';

const BY_KIND = {
  channel: ['redstart', 'coalesced', 'plain', 'moleculer', 'nestjs', 'faststream'],
  list: ['redstart', 'coalesced', 'plain', 'faststream'],
  stream: ['redstart', 'coalesced', 'plain', 'faststream'],
};
const IN_FLIGHT = { [SMALL]: [1, 64, 512], [LARGE]: [1, 64, 512] };

export async function measureCalls(run) {
  const { plan, hasFastStream } = run;
  const names = BY_KIND.channel.filter((name) => name !== 'faststream' || hasFastStream);
  const kindsOf = (name) => KINDS.filter((kind) => BY_KIND[kind].includes(name));
  const pairs = await Promise.all(names.map((name) => Pair.open(run, name, kindsOf(name))));
  for (const pair of pairs)
    for (const kind of kindsOf(pair.name)) await pair.warmUp(kind, plan.warmUp);

  const rows = new Rows();
  for (let round = 0; round < plan.rounds; round++) {
    run.say(`calls, round ${round + 1} of ${plan.rounds}`);
    for (const { kind, size, inFlight } of points(plan)) {
      for (const pair of inTurn(pairs, round)) {
        if (!takesPart(pair.name, kind, size, round)) continue;
        const options = { kind, size, inFlight, milliseconds: plan.milliseconds };
        const { sent: _, ...values } = await pair.measure(options);
        rows.add({ kind, size, inFlight, contender: pair.name }, values);
      }
    }
  }
  for (const pair of pairs) pair.end();
  return rows.all;
}

function points(plan) {
  return plan.sizes.flatMap((size) =>
    KINDS.flatMap((kind) => IN_FLIGHT[size].map((inFlight) => ({ kind, size, inFlight }))),
  );
}

/** FastStream is so much slower that three rounds of small bodies say all. */
function takesPart(name, kind, size, round) {
  if (!BY_KIND[kind].includes(name)) return false;
  return name !== 'faststream' || (size === SMALL && round < 3);
}
