// What becomes of a call when there are more clients, more subscribers, more patterns.
import { Pair } from '../pair.mjs';
import { SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';

const LOAD = { kind: 'channel', size: SMALL, inFlight: 64 };

/** NestJS has one reply channel for all clients of a pattern: each of them gets every answer. */
export async function measureClients(run) {
  const { milliseconds, warmUp, clients } = run.plan;
  const names = ['redstart', 'coalesced', 'nestjs'];
  const pairs = await Promise.all(names.map((name) => Pair.open(run, name, ['channel'])));
  for (const pair of pairs) {
    await pair.warmUp('channel', warmUp);
    await pair.disconnect();
  }
  const rows = new Rows();
  run.say('clients');
  for (let round = 0; round < clients.rounds; round++) {
    for (const count of inTurn(clients.counts, round)) {
      for (const pair of pairs) {
        await pair.connect(count);
        // The first call of a client may have to subscribe.
        await pair.measure({ ...LOAD, milliseconds: 20 });
        const { rate, sent, redis } = await pair.measure({ ...LOAD, milliseconds });
        await pair.disconnect();
        rows.add({ clients: count, contender: pair.name }, { rate, sent, redis });
      }
    }
  }
  for (const pair of pairs) pair.end();
  return rows.all;
}

/** Subscribers that have nothing to do with the channel that is published to. */
export async function measureSubscribers(run) {
  const { milliseconds, warmUp, subscribers } = run.plan;
  const pair = await Pair.open(run, 'redstart', ['channel']);
  await pair.warmUp('channel', warmUp);
  await pair.stopServing();
  const points = ['channels', 'patterns'].flatMap((what) =>
    subscribers.counts.map((count) => ({ what, count })),
  );
  const rows = new Rows();
  run.say('subscribers');
  for (let round = 0; round < subscribers.rounds; round++) {
    for (const { what, count } of inTurn(points, round)) {
      await pair.serve({ [what]: count });
      await pair.measure({ ...LOAD, milliseconds: 20 });
      const { rate, redis } = await pair.measure({ ...LOAD, milliseconds });
      await pair.stopServing();
      rows.add({ what, count }, { rate, redis });
    }
  }
  pair.end();
  return rows.all;
}
