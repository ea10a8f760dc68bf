import { expect } from 'vitest';
import { it, type Own } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { startProgram, type Child } from './child.ts';

/** Where a subscriber that crashes reads: its entries are its own again by its name, or taken over. */
const PLACES = {
  'a group, by its consumer’s name': { stream: 'jobs', group: 'g', consumer: 'one' },
  'a group, taken over': { stream: 'jobs', group: 'g', claim: { minIdle: 300 } },
  'a reliable list': { list: 'jobs', reliable: true },
};

const KEYS = 200;
const EACH = isLong ? 100 : 2;
/** Names and items of dead consumers are free sooner by this factor. */
const SOONER = '20';

type Structure = 'group' | 'reliable list';

interface Fault {
  readonly key: string;
  readonly what: string;
}

/**
 * What is out of order in a record. In a life of one process each message begins behind the one before it; a
 * message whose end was not acknowledged when a process died comes again, and those behind it after it.
 */
function faultsIn(lines: readonly string[], isAlone: boolean): Fault[] {
  const faults: Fault[] = [];
  const done = new Map<string, number>();
  const running = new Map<string, string>();
  for (const line of lines) {
    const [what, key = '', number, pid = ''] = line.split(' ');
    const n = Number(number);
    const last = done.get(key) ?? -1;
    if (what === 'begin') {
      const other = running.get(`${pid} ${key}`);
      if (other !== undefined) faults.push({ key, what: `${n} beside ${other}` });
      if (isAlone && n > last + 1) faults.push({ key, what: `${n} after ${last}` });
      running.set(`${pid} ${key}`, String(n));
    } else {
      running.delete(`${pid} ${key}`);
      if (what === 'end') done.set(key, n);
    }
  }
  return faults;
}

/** How many messages have ended, each counted once. */
const endedIn = (lines: readonly string[]): number =>
  new Set(
    lines.filter((line) => line.startsWith('end')).map((line) => line.split(' ', 3).join(' ')),
  ).size;

async function setUp(structure: Structure, own: Own) {
  const server = await own.server();
  const client = own.client(server.url);
  const sender = own.broker(server.url);
  const [to, address] =
    structure === 'group'
      ? [{ stream: 'steps' }, { stream: 'steps', group: 'g', concurrency: 32 }]
      : [{ list: 'steps' }, { list: 'steps', reliable: true, concurrency: 32 }];
  const steps = Array.from({ length: EACH }, (_, n) =>
    Array.from({ length: KEYS }, (_, key) => ({ key: String(key), n })),
  ).flat();
  await sender.publishBatch(steps, {
    ...to,
    key: (step: { key: string }) => step.key,
  } as never);
  const start = (consumer?: string): Promise<Child> => {
    const named = structure === 'group' && consumer !== undefined ? { consumer } : {};
    const where = JSON.stringify({ ...address, ...named });
    return startProgram('ordered', [server.url, where, 'record', SOONER], own.finished);
  };
  const record = (): Promise<string[]> => client.lrange('record', 0, -1);
  const ended = async (count: number): Promise<void> => {
    await eventually(
      async () => expect(endedIn(await record())).toBeGreaterThanOrEqual(count),
      120_000,
    );
  };
  return { start, record, ended, total: KEYS * EACH };
}

it.concurrent.for(['group', 'reliable list'] as const)(
  `${KEYS} keys in 32 lanes, one message in five failing, one process at a time, stopped and killed: no key is out of order: %s`,
  { timeout: 300_000 },
  async (structure, { own }) => {
    const { start, record, ended, total } = await setUp(structure, own);
    const lives = isLong ? 12 : 2;
    for (let life = 1; life <= lives; life++) {
      const child = await start('one');
      if (life === lives) {
        await ended(total);
        break;
      }
      await ended(Math.floor((total * life) / (lives + 1)));
      if (life % 2 === 1) await child.kill();
      else {
        child.process.kill('SIGTERM');
        await child.ended();
      }
    }
    const lines = await record();
    expect(faultsIn(lines, true)).toEqual([]);
    const failed = lines.filter((line) => line.startsWith('fail')).length;
    expect(failed).toBeGreaterThan(total / 10);
    process.stderr.write(
      `an ordered ${structure}: ${total} messages, ${failed} failures, ${lives - 1} ends of its process, 0 out of order\n`,
    );
  },
);

it.concurrent('with three processes, one of them killed, never two messages of one key run at once in one', async ({
  own,
}) => {
  const { start, record, ended, total } = await setUp('group', own);
  const [first] = await Promise.all([start('a'), start('b'), start('c')]);
  await ended(Math.floor(total / 4));
  await first?.kill();
  await start('a');
  await ended(total);
  expect(faultsIn(await record(), false)).toEqual([]);
}, 180_000);

it.concurrent.for(Object.keys(PLACES) as (keyof typeof PLACES)[])(
  'a message that waited for its lane, and that no handler ever started, is not buried by a crash loop: %s',
  { timeout: 180_000 },
  async (place, { own }) => {
    const server = await own.server();
    const client = own.client(server.url);
    const sender = own.broker(server.url);
    const address = PLACES[place];
    const to = 'list' in address ? { list: address.list } : { stream: address.stream };
    // The process dies of the first one, when it holds all.
    const jobs = [{ name: 'deadly', diesWith: 3 }, { name: 'behind it' }, { name: 'the last' }];
    await sender.publishBatch(jobs, { ...to, key: () => 'a' } as never);
    const where = JSON.stringify({ ...address, concurrency: 2 });
    const begun = (): Promise<string[]> => client.lrange('record', 0, -1);
    let crashes = 0;
    const run = async (): Promise<void> => {
      const child = await startProgram(
        'crashing',
        [server.url, where, 'record', SOONER],
        own.finished,
      );
      const isDone = eventually(async () => expect(await begun()).toHaveLength(4), 120_000);
      const hasDied = child.ended().then(() => 'died');
      if ((await Promise.race([isDone, hasDied])) !== 'died') return;
      crashes++;
      isDone.catch(() => undefined);
      await run();
    };
    await run();
    // Of what waited when the process died for the first time, nobody knows whether it had begun.
    expect(await begun()).toEqual([
      ...['deadly: delivery 1', 'deadly: delivery 2'],
      ...['behind it: delivery 2', 'the last: delivery 2'],
    ]);
    expect(crashes).toBe(2);
    const dead = await sender.deadLetters({ stream: 'jobs:dead' }).list();
    expect(dead.map(({ body }) => (body as { name: string }).name)).toEqual(['deadly']);
  },
);
