import { expect } from 'vitest';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { startProgram } from './child.ts';

const LIMIT = 200;
const SECONDS = isLong ? 30 : 2;

const ALL = ['group', 'reliable list', 'plain list'] as const;

// Four processes for each: on a small machine one is enough.
it.concurrent.for(isLong ? ALL : ALL.slice(0, 1))(
  'a rate holds over four processes: %s',
  { timeout: 120_000 },
  async (structure, { own }) => {
    const server = await own.server();
    const client = own.client(server.url);
    const sender = own.broker(server.url);
    const rate = { limit: LIMIT, per: 1_000 };
    const to = structure === 'group' ? { stream: 'jobs' } : { list: 'jobs' };
    const how =
      structure === 'group' ? { group: 'g' } : { reliable: structure === 'reliable list' };
    const args = [server.url, JSON.stringify({ ...to, ...how, rate }), 'record'];
    const children = await Promise.all(
      [1, 2, 3, 4].map(() => startProgram('rated', args, own.finished)),
    );
    await Promise.all(children.map((child) => child.next()));
    const total = LIMIT * SECONDS;
    const jobs = Array.from({ length: total }, (_, n) => n);
    const [second, micros] = await client.time();
    const began = Number(second) * 1_000 + Math.floor(Number(micros) / 1_000);
    await sender.publishBatch(jobs, to as never);
    await eventually(async () => expect(await client.llen('record')).toBe(total), 60_000);
    const moments = (await client.lrange('record', 0, -1)).map(Number).sort((a, b) => a - b);
    // From when they were sent: on a busy machine the first may be written down late.
    const seconds = ((moments.at(-1) as number) - began) / 1_000;
    const measured = total / seconds;
    process.stderr.write(`a rate of ${LIMIT}/s over a ${structure}: ${measured.toFixed(1)}/s\n`);
    // 5 % of a second may come early; and a handler may write down its moment late.
    expect(total).toBeLessThanOrEqual(LIMIT * (seconds + 0.05) * 1.05 + 1);
    // How much less it is says how busy the machine is.
    expect(measured).toBeGreaterThan((isLong ? 0.95 : 0.1) * LIMIT);
  },
);
