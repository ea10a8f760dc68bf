import { readFileSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisUrl } from '../support/redis.ts';
import { compile, repository, run, workFolder } from './program.ts';

/** What each example prints: whole lines, or patterns where a line holds a measured time. */
const OUTPUT: Record<string, readonly (string | RegExp)[]> = {
  '01-hello': ['greeting Ada', 'reached 1 subscriber', 'greeting Grace', 'answer: hello, Grace'],
  '02-rpc': [
    /^channel: sent 7, got \{"n":7,"square":49\} in \d+\.\d ms$/,
    /^list: sent 8, got \{"n":8,"square":64\} in \d+\.\d ms$/,
    /^stream: sent 9, got \{"n":9,"square":81\} in \d+\.\d ms$/,
  ],
  '03-schema': ['accepted: A-1 for 3998 cents', /^refused: quantity: \S/],
  '04-response-headers': [
    'body: 1999 cents',
    'header x-region: eu',
    'correlation id: order-17',
    'from the stream: quote for B-2',
  ],
  '05-stream-group': [
    'A-1: shipped at delivery 1',
    'B-2: delivery 1 fails, the entry stays pending',
    'C-3: shipped at delivery 1',
    'B-2: shipped at delivery 2',
    'till 4 opened: delivery 2',
  ],
  '06-standard-decorators': ['alarm: attic: 35 °C', 'count: 2'],
  '07-without-decorators': ['upper: QUIET', 'logs: warn: disk full', 'sum: 6'],
  '08-messagepack': ['application/msgpack: {"year":2026,"highest":200}'],
  '09-superjson': ['2 kinds, 9007199254740997 pieces'],
};

const files = readdirSync(repository('examples')).filter((file) => file.endsWith('.ts'));
const folder = workFolder();
afterAll(folder.remove);

const isStandard = (name: string): boolean => name.includes('standard');

beforeAll(async () => {
  const names = Object.keys(OUTPUT);
  for (const dialect of ['legacy', 'standard'] as const) {
    const ofIt = names.filter((name) => isStandard(name) === (dialect === 'standard'));
    const sources = ofIt.map((name) => [name, repository(`examples/${name}.ts`)] as const);
    await compile(Object.fromEntries(sources), `${folder.path}/${dialect}`, dialect);
  }
});

it('examples are numbered in reading order, and each has its output written down here', () => {
  const names = files.map((file) => file.replace('.ts', '')).sort();
  expect(names).toEqual(Object.keys(OUTPUT));
  expect(names.map((name) => Number(name.slice(0, 2)))).toEqual(names.map((_, i) => i + 1));
});

describe.each(Object.entries(OUTPUT))('examples/%s.ts', (name, expected) => {
  const source = repository(`examples/${name}.ts`);
  const program = `${folder.path}/${isStandard(name) ? 'standard' : 'legacy'}/${name}.mjs`;

  it('is a whole program of fewer than 50 lines', () => {
    const text = readFileSync(source, 'utf8');
    expect(text.trimEnd().split('\n').length).toBeLessThan(50);
    expect(text).toContain("process.env.REDIS_URL ?? 'redis://localhost:6379'");
  });

  it.each(['memory', 'redis', 'redis, again on the same server'])(
    'ends by itself and prints what it promises (%s)',
    async (backend) => {
      const { code, stdout, stderr } = await run(
        program,
        backend === 'memory' ? 'memory://' : redisUrl(),
      );
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expectLines(stdout, expected);
    },
  );
});

/** The same lines, in any order: handlers print when their message comes. */
function expectLines(stdout: string, expected: readonly (string | RegExp)[]): void {
  const lines = stdout.trimEnd().split('\n');
  const missing = expected.filter((one) => !lines.some((line) => fits(line, one)));
  const strange = lines.filter((line) => !expected.some((one) => fits(line, one)));
  expect({ missing, strange, count: lines.length }).toEqual({
    missing: [],
    strange: [],
    count: expected.length,
  });
}

function fits(line: string, expected: string | RegExp): boolean {
  return typeof expected === 'string' ? line === expected : expected.test(line);
}
