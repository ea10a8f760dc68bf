// The program of docs/guide/order.md for several processes, as processes of their own that are killed. Its two in one
// process run with the other snippets.
import { readFileSync, writeFileSync } from 'node:fs';
import { RedisBroker } from 'redstart';
import { afterAll, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { ownServer } from '../support/redis.ts';
import { compile, repository, start, workFolder } from './program.ts';

const KEYS = Array.from({ length: 40 }, (_, k) => `customer ${k}`);
const EACH = 30;

const folder = workFolder();
afterAll(folder.remove);

/** Instead of what the page does with its lists: records when each handler begins and ends; one in ten fails. */
const SERVICE = `
const broker = new RedisBroker(process.env['REDIS_URL'] as string, { logger: false });
await broker.start();
const write = (what: string, key: string | undefined, n: number) =>
  broker.client.rpush('record', JSON.stringify({ what, key, n, pid: process.pid }));
readAlone(broker, LISTS, (list) =>
  broker.subscriber(
    { list, reliable: true, ordered: true, concurrency: 32, retry: { backoff: 200 } },
    async (n: number, { message: { key, deliveryCount } }) => {
      await write('begin', key, n);
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (n % 10 === 3 && deliveryCount === 1) {
        await write('fail', key, n);
        throw new Error('not yet');
      }
      await write('end', key, n);
    },
  ),
);
`;

interface Line {
  readonly what: 'begin' | 'fail' | 'end';
  readonly key: string;
  readonly n: number;
  readonly pid: number;
}

it.runIf(isLong)(
  'two processes share four lists, each is killed once and started again: no key is out of order',
  { timeout: 180_000 },
  async () => {
    const page = readFileSync(repository('docs/guide/order.md'), 'utf8');
    const [, program = ''] = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(
      ([, code]) => code,
    );
    const recipe = program.slice(0, program.indexOf('interface Step'));
    expect(recipe).toContain('function readAlone');
    expect(recipe).toContain('const listOf');
    writeFileSync(`${folder.path}/service.ts`, recipe + SERVICE);
    writeFileSync(`${folder.path}/lists.ts`, `${recipe}\nexport { listOf };\n`);
    const sources = { service: `${folder.path}/service.ts`, lists: `${folder.path}/lists.ts` };
    await compile(sources, folder.path, 'legacy');
    const { listOf } = (await import(`${folder.path}/lists.mjs`)) as {
      listOf: (key: string) => string;
    };

    const { url } = await ownServer();
    await using broker = new RedisBroker(url);
    await broker.connect();
    const startService = () => start(`${folder.path}/service.mjs`, url).process;
    const services = [startService(), startService()];
    const record = async (): Promise<Line[]> =>
      (await broker.client.lrange('record', 0, -1)).map((line) => JSON.parse(line) as Line);
    for (let n = 0; n < EACH; n++) {
      for (const key of KEYS) await broker.publish(n, { list: listOf(key), key });
      // About as fast as they are handled, so that a kill hits handlers.
      await eventually(async () => {
        const ends = (await record()).filter(({ what }) => what === 'end').length;
        expect(ends).toBeGreaterThan(KEYS.length * (n - 6));
      }, 60_000);
      if (n !== 10 && n !== 20) continue;
      const which = n / 10 - 1;
      services[which]?.kill('SIGKILL');
      services[which] = startService();
    }
    await eventually(async () => {
      const ends = (await record()).filter(({ what }) => what === 'end');
      expect(new Set(ends.map(({ key, n }) => `${key} ${n}`)).size).toBe(KEYS.length * EACH);
    }, 60_000);
    for (const service of services) service.kill('SIGKILL');

    const lines = await record();
    expect(new Set(lines.map(({ pid }) => pid)).size).toBeGreaterThan(2);
    expect(faultsIn(lines)).toEqual([]);
  },
);

/** Where a message begins before the one in front of it has ended, or beside another of its key in one process. */
function faultsIn(lines: readonly Line[]): string[] {
  const faults: string[] = [];
  const ended = new Map<string, number>();
  const running = new Map<string, Line>();
  for (const line of lines) {
    const { what, key, n, pid } = line;
    const last = ended.get(key) ?? -1;
    if (what !== 'begin') {
      running.delete(key);
      if (what === 'end') ended.set(key, Math.max(last, n));
      continue;
    }
    const other = running.get(key);
    if (other?.pid === pid) faults.push(`${key}: ${n} beside ${other.n}`);
    if (n > last + 1) faults.push(`${key}: ${n} after ${last}`);
    running.set(key, line);
  }
  return faults;
}
