// The package as it is built: few files, one copy of the core, and an import that is not slow.
import { execFile } from 'node:child_process';
import { cpSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import * as sources from 'redstart';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { repository, workFolder } from '../docs/program.ts';
import { builtPackage } from '../support/built.ts';
import { isLong } from '../support/long.ts';

const execute = promisify(execFile);
const folder = workFolder();
const dist = join(folder.path, 'dist');
const file = (name: string): string => pathToFileURL(join(dist, name)).href;

beforeAll(async () => cpSync(await builtPackage(), dist, { recursive: true }), 300_000);
afterAll(() => folder.remove());

async function printedBy(program: string): Promise<string> {
  const args = ['--input-type=module', '--eval', program];
  const { stdout } = await execute(process.execPath, args, { cwd: folder.path });
  return stdout.trim();
}

it('exports what the source exports, and each class and function under its name', async () => {
  const printed = await printedBy(`
    const built = Object.entries(await import(${JSON.stringify(file('index.js'))}));
    console.log(JSON.stringify(built.map(([name, value]) => [name, value.name ?? name])));`);
  const names = Object.keys(sources).sort();
  expect(JSON.parse(printed)).toEqual(names.map((name) => [name, name]));
});

it('has one copy of each source file, whichever entries a program imports', () => {
  const seen = new Map<string, string>();
  const twice: string[] = [];
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.js.map')) continue;
    const map = JSON.parse(readFileSync(join(dist, name), 'utf8')) as { sources: string[] };
    for (const source of map.sources) {
      const path = source.replace(/^.*\/src\//, '');
      if (seen.has(path)) twice.push(`${path}: ${seen.get(path)} and ${name}`);
      seen.set(path, name);
    }
  }
  expect(twice).toEqual([]);
  expect(seen.size).toBeGreaterThan(200);
});

it('imports no package but those that package.json promises', () => {
  const { dependencies, peerDependencies } = JSON.parse(
    readFileSync(repository('package.json'), 'utf8'),
  ) as Record<string, object>;
  const allowed = Object.keys({ ...dependencies, ...peerDependencies });
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' });
  const imports = files
    .filter((name) => name.endsWith('.js'))
    .map((name) => readFileSync(join(dist, name), 'utf8'))
    .flatMap((code) => [...code.matchAll(/^(?:import|export) (?:[^'"]*? from )?"([^"]*)";$/gm)])
    .map(([, from]) => from as string);
  const packages = imports.filter((from) => !/^(\.|node:)/.test(from));
  expect(packages).toContain('ioredis');
  expect(packages.filter((name) => !allowed.includes(name))).toEqual([]);
});

it('the position of an error in its stack is that of the source, with --enable-source-maps', async () => {
  const program = `
    process.setSourceMapsEnabled(true);
    const { RedisBroker } = await import(${JSON.stringify(file('index.js'))});
    try { new RedisBroker('memory://x').subscriber('x', 5) } catch (error) { console.log(error.stack) }`;
  expect(await printedBy(program)).toMatch(/src\/broker\/router\.ts:\d+:\d+/);
});

it('a program that only imports contracts has nothing of connections when it is bundled', async () => {
  cpSync(repository('package.json'), join(folder.path, 'package.json'));
  const { outputFiles } = await build({
    stdin: { contents: `export { event, rpc } from './dist/index.js'`, resolveDir: folder.path },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    write: false,
  });
  const text = outputFiles[0]?.text as string;
  expect(text).toContain('reflect-metadata');
  expect(text).not.toMatch(/['"]ioredis['"]/);
  expect(text.length).toBeLessThan(60_000);
});

/** A file of the package and those that it imports at once. */
function withImports(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  const code = readFileSync(join(dist, name), 'utf8');
  for (const [, from] of code.matchAll(/^(?:import|export) (?:[^'"]*? from )?"(\.[^"]*)";$/gm))
    withImports(join(dirname(name), from as string), seen);
  return seen;
}

it('a program that imports redstart reads few files', () => {
  const files = [...withImports('index.js')];
  expect(files.length).toBeGreaterThan(5);
  expect(files.length).toBeLessThanOrEqual(12);
  const bytes = files.reduce((sum, name) => sum + statSync(join(dist, name)).size, 0);
  // Raise it on purpose: 100 kB take 4 ms.
  expect(bytes).toBeLessThan(700_000);
});

it('can be compiled to CommonJS by ts-jest, which leaves `import.meta` as it is', () => {
  const entries = [
    'index',
    'testing/index',
    'integrations/nestjs/index',
    'integrations/otel/index',
  ];
  const files = new Set(entries.flatMap((entry) => [...withImports(`${entry}.js`)]));
  // The command line has it: a test that could not fail would say nothing.
  const having = [...files, 'cli/main.js'].filter((name) =>
    /\bimport\.meta\b/.test(readFileSync(join(dist, name), 'utf8')),
  );
  expect(having).toEqual(['cli/main.js']);
});

/** Milliseconds of CPU, of all threads, that an import takes in a process of its own. */
async function costOf(module: string): Promise<number> {
  return Number(
    await printedBy(`
      const before = process.cpuUsage();
      await import(${JSON.stringify(module)});
      const { user, system } = process.cpuUsage(before);
      console.log((user + system) / 1_000);`),
  );
}

/** How often each import is measured at most, and how often at least. */
const RUNS = { most: 60, least: 15 };

// With `npm run full`, since it depends on what else the machine does.
it.runIf(isLong)(
  'its import takes at most 1.5 times what the import of ioredis alone takes',
  async () => {
    const least = { redstart: Infinity, ioredis: Infinity };
    const ratio = (): number => least.redstart / least.ioredis;
    // What else the machine does only adds to a run: of each, the shortest counts. In turn, since its clock rate varies.
    for (let run = 1; run <= RUNS.most && (run <= RUNS.least || ratio() > 1.5); run++) {
      least.ioredis = Math.min(least.ioredis, await costOf('ioredis'));
      least.redstart = Math.min(least.redstart, await costOf(file('index.js')));
    }
    expect(ratio()).toBeLessThanOrEqual(1.5);
    // A test that could not fail would measure nothing: ioredis is in both.
    expect(ratio()).toBeGreaterThan(1);
  },
  180_000,
);
