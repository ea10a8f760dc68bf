// The quick part of `npm run compilers`: the built package in minified bundles of both dialects, and its size.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type BuildOptions } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repository, run, workFolder, type Dialect, type Ended } from '../docs/program.ts';
import { builtPackage } from '../support/built.ts';

const folder = workFolder();
const installed = join(folder.path, 'node_modules/redstart');

beforeAll(async () => {
  mkdirSync(installed, { recursive: true });
  cpSync(await builtPackage(), join(installed, 'dist'), { recursive: true });
  cpSync(repository('package.json'), join(installed, 'package.json'));
  // A project of its own: inside of redstart's own, 'redstart' is what was last built into its dist.
  writeFileSync(join(folder.path, 'package.json'), '{ "type": "module" }');
  cpSync(repository('test/compilers/app.ts'), join(folder.path, 'app.ts'));
}, 300_000);
afterAll(() => folder.remove());

async function bundle(name: string, options: BuildOptions): Promise<Uint8Array> {
  const { outputFiles } = await build({
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['ioredis'],
    absWorkingDir: folder.path,
    outfile: name,
    write: false,
    logLevel: 'silent',
    ...options,
  });
  return outputFiles?.[0]?.contents as Uint8Array;
}

/** Compiles test/compilers/app.ts as a user does, and runs it. */
async function ranBy(dialect: Dialect, options: BuildOptions = {}): Promise<Ended> {
  const name = join(folder.path, `${dialect}-${Object.keys(options).join('-')}.mjs`);
  const tsconfigRaw = { compilerOptions: { experimentalDecorators: dialect === 'legacy' } };
  await bundle(name, { entryPoints: ['app.ts'], tsconfigRaw, write: true, ...options });
  return run(name, '');
}

async function printedBy(dialect: Dialect, options?: BuildOptions): Promise<unknown[]> {
  const { stdout, stderr } = await ranBy(dialect, options);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as unknown[];
}

describe.each(['legacy', 'standard'] as const)('a minified bundle of the %s dialect', (dialect) => {
  it('runs; a title is what it was, and the name of a class is not', async () => {
    const [price, titled, short, title] = await printedBy(dialect);
    expect([price, titled, title]).toEqual([{ sku: 'A-1', cents: 1999 }, 2, 'Prices.titled']);
    expect(short).toMatch(/^\w{1,3}\.price$/);
  });

  it('keeps the names of classes with keepNames', async () => {
    const [, , name] = await printedBy(dialect, { keepNames: true });
    expect(name).toBe('Prices.price');
  });
});

it('without a target esbuild leaves standard decorators as they are, as the page says', async () => {
  const { stderr } = await ranBy('standard', { target: 'esnext' });
  expect(stderr).toContain('SyntaxError');
});

it('with ioredis inside, a bundle runs as CommonJS, and as an ES module it does not, as the page says', async () => {
  const contents = 'import { RedisBroker } from "redstart"; console.log(typeof RedisBroker);';
  const stdin = { contents, resolveDir: folder.path, loader: 'js' } as const;
  const whole = async (format: 'cjs' | 'esm', name: string): Promise<Ended> => {
    const file = join(folder.path, name);
    await bundle(file, { stdin, external: [], format, write: true });
    return run(file, '');
  };
  expect((await whole('cjs', 'whole.cjs')).stdout).toBe('function\n');
  expect((await whole('esm', 'whole.mjs')).stderr).toContain('Dynamic require of "events"');
});

/** Bytes of `import 'redstart'` without ioredis, minified and compressed. Raise it on purpose, not by chance. */
const LIMIT = 125_000;

it(`the core is at most ${LIMIT / 1_000} kB, minified and compressed`, async () => {
  const contents = 'export * from "redstart";';
  const stdin = { contents, resolveDir: folder.path, loader: 'js' } as const;
  const size = gzipSync(await bundle('core.mjs', { stdin })).length;
  expect(size).toBeLessThan(LIMIT);
  // A test that could not fail would measure nothing.
  expect(size).toBeGreaterThan(LIMIT / 2);
});
