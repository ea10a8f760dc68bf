// What `describe()` says of each example, before it starts and afterwards, is written down in descriptions.json.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compile, repository, run, workFolder, type Dialect } from './program.ts';

const golden = JSON.parse(
  readFileSync(repository('test/docs/descriptions.json'), 'utf8'),
) as Record<string, unknown>;
const names = readdirSync(repository('examples'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replace('.ts', ''));

/** Runs an example, and prints what its broker says of itself before and after its start. */
const program = (name: string): string => `
import { RedisBroker } from 'redstart';
const { start } = RedisBroker.prototype;
RedisBroker.prototype.start = async function () {
  const before = this.describe();
  await start.call(this);
  console.error(JSON.stringify([before, this.describe()]));
};
await import(${JSON.stringify(repository(`examples/${name}.ts`))});
`;

const folder = workFolder();
afterAll(folder.remove);

const dialectOf = (name: string): Dialect => (name.includes('standard') ? 'standard' : 'legacy');

beforeAll(async () => {
  mkdirSync(`${folder.path}/sources`);
  for (const name of names) writeFileSync(`${folder.path}/sources/${name}.ts`, program(name));
  for (const dialect of ['legacy', 'standard'] as const) {
    const ofIt = names.filter((name) => dialectOf(name) === dialect);
    const sources = ofIt.map((name) => [name, `${folder.path}/sources/${name}.ts`] as const);
    await compile(Object.fromEntries(sources), `${folder.path}/${dialect}`, dialect);
  }
});

it('descriptions.json has every example', () => {
  expect(Object.keys(golden).toSorted()).toEqual(names.toSorted());
});

it.each(names)('describe() of %s is complete before start, and is what it was', async (name) => {
  const { code, stderr } = await run(`${folder.path}/${dialectOf(name)}/${name}.mjs`, 'memory://');
  expect(code).toBe(0);
  const starts = stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as [unknown, unknown]);
  expect(starts).toHaveLength(1);
  const [before, after] = starts[0] as [unknown, unknown];
  expect(after).toEqual(before);
  expect(before).toEqual(golden[name]);
});
