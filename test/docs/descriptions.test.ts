// What `describe()` says of each example, before it starts and afterwards, is written down in descriptions.json,
// and its AsyncAPI document in asyncapi/.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { asyncapi, type AsyncApiDocument } from 'redstart/asyncapi';
import { newShop } from '../../examples/shop/shop.ts';
import { expectGolden, goldenNames, rulesBroken } from '../integrations/asyncapi-rules.ts';
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
import { asyncapi } from 'redstart/asyncapi';
const { start } = RedisBroker.prototype;
RedisBroker.prototype.start = async function () {
  const before = this.describe();
  await start.call(this);
  console.error(JSON.stringify([before, this.describe(), asyncapi(this)]));
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

it('descriptions.json and asyncapi/ have every example', () => {
  expect(Object.keys(golden).toSorted()).toEqual(names.toSorted());
  expect(goldenNames()).toEqual([...names, 'everything', 'shop'].toSorted());
});

it('the AsyncAPI document of all services of the shop is what it was', async () => {
  const { brokers } = newShop({ redis: 'redis://nowhere.invalid:1', logger: false });
  const document = asyncapi(...brokers, { info: { title: 'shop', version: '0.1.0' } });
  expect(rulesBroken(document)).toEqual([]);
  await expectGolden(document, 'shop');
});

it.each(names)(
  'describe() of %s is complete before start; it and the AsyncAPI document are what they were',
  async (name) => {
    const { code, stderr } = await run(
      `${folder.path}/${dialectOf(name)}/${name}.mjs`,
      'memory://',
    );
    expect(code).toBe(0);
    const starts = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as [unknown, unknown, AsyncApiDocument]);
    expect(starts).toHaveLength(1);
    const [before, after, document] = starts[0] as [unknown, unknown, AsyncApiDocument];
    expect(after).toEqual(before);
    expect(before).toEqual(golden[name]);
    expect(rulesBroken(document)).toEqual([]);
    await expectGolden(document, name);
  },
);
