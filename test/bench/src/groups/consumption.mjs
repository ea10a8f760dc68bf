// Consumption: messages that nobody waits for, handed to a handler that does next to nothing.
import { bodyOf } from '../bodies.mjs';
import { encode } from '../envelope.mjs';
import { fill } from '../fill.mjs';
import { SMALL } from '../plan.mjs';
import { inTurn, Rows } from '../rows.mjs';

const FLOORS = ['redstart', 'coalesced', 'plain'];
const POINTS = [
  { kind: 'channel', batch: false, contenders: [...FLOORS, 'moleculer', 'nestjs', 'faststream'] },
  { kind: 'list', batch: false, contenders: [...FLOORS, 'bullmq', 'faststream'] },
  { kind: 'list', batch: true, contenders: ['redstart', 'coalesced'] },
  { kind: 'stream', batch: false, contenders: [...FLOORS, 'faststream'] },
  { kind: 'stream', batch: true, contenders: ['redstart', 'coalesced'] },
];
/** How much of the full count a contender gets, where all of it would take it tens of seconds. */
const SHARES = {
  plain: { list: 0.1, stream: 0.25 },
  bullmq: { list: 0.05 },
  nestjs: { channel: 0.4 },
  faststream: { channel: 0.02, list: 0.02, stream: 0.02 },
};

export async function measureConsumption(run) {
  const { plan, hasFastStream } = run;
  const { rounds, count } = plan.consumption;
  const rows = new Rows();
  const processes = new Map();
  for (let round = -1; round < rounds; round++) {
    const isWarmUp = round < 0;
    run.say(isWarmUp ? 'consumption, warming up' : `consumption, round ${round + 1} of ${rounds}`);
    for (const { kind, batch, contenders } of POINTS) {
      for (const contender of inTurn(contenders, round)) {
        const isPython = contender === 'faststream';
        if (isPython && (!hasFastStream || round !== 0)) continue;
        const share = (SHARES[contender]?.[kind] ?? 1) * (isWarmUp ? 0.1 : 1);
        // FastStream cannot leave off, so each of its turns has a process of its own.
        const worker =
          (!isPython && processes.get(contender)) || (await run.workers.start(contender));
        processes.set(contender, worker);
        const values = await consume(run, worker, {
          contender,
          kind,
          batch,
          count: Math.round(count * share),
        });
        if (isPython) worker.end();
        if (!isWarmUp) rows.add({ kind, batch, contender }, values);
      }
    }
  }
  for (const worker of processes.values()) worker.end();
  return rows.all;
}

/** A channel is published to while it is read; the others are full before reading begins. */
export async function consume({ server }, worker, { contender, kind, batch, count }) {
  const target = server.name(`${contender}:consume:${kind}`);
  const options = { kind, batch, target, size: SMALL, count };
  let seen = 0;
  worker.onProgress = (progress) => (seen = progress);
  if (contender === 'bullmq') {
    await worker.ask('fill', options);
    await worker.ask('subscribe', options);
  } else {
    const { frame, address } = await frameOf(worker, contender, options);
    const filling = { kind, name: address, frame, count };
    if (kind === 'channel') {
      await worker.ask('subscribe', options);
      await fill(server.url, filling, () => seen);
    } else {
      if (kind === 'stream') await server.createGroup(target);
      await fill(server.url, filling);
      await worker.ask('subscribe', options);
    }
  }
  const values = await worker.ask('consumed');
  await worker.ask('stop');
  await server.remove(target);
  return values;
}

/** FastStream reads the frames that the others write. */
async function frameOf(worker, contender, options) {
  if (contender === 'faststream') {
    const headers = { correlation_id: 'abcdefghijkl1', 'content-type': 'application/json' };
    return { frame: encode(headers, bodyOf(SMALL)), address: options.target };
  }
  const { frame, address } = await worker.ask('frame', options);
  return { frame: Buffer.from(frame, 'base64'), address };
}
