// `npm run compilers`: the packed package in a project of a user's, compiled by every tool of
// docs/guide/compilers.md in both decorator dialects, and run. The tools come from test/compilers, about
// 500 MB, installed under build/compilers. `npm run compilers -- swc` runs those whose names match.
// Fails where a tool does not do what the page says, also where one works that the page says does not.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const FOLDER = resolve('build/compilers');
const PATIENCE = 180_000;
const wanted = process.argv[2] ?? '';

/** What the program prints: answers, and the titles of its handlers. */
const PRICES = '[{"sku":"A-1","cents":1999},2,"Prices.price","Prices.titled"]';

function run(program, args, cwd = FOLDER, env = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    timeout: PATIENCE,
    maxBuffer: 64 * 1024 * 1024,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1', ...env },
  });
  return { ok: status === 0, text: `${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`.trim() };
}

const node = (...args) => run(process.execPath, args);
const bin = (name, ...args) => run(join(FOLDER, 'node_modules', '.bin', name), args);
/** Runs the second where the first has succeeded. */
const then = (first, second) => (first.ok ? second() : first);

const legacy = { experimentalDecorators: true, emitDecoratorMetadata: true };
const standard = { experimentalDecorators: false };
const dialects = { legacy, standard };

function install() {
  const build = run('npm', ['run', '--silent', 'build'], process.cwd());
  if (!build.ok) throw new Error(build.text);
  const pack = run(
    'npm',
    ['pack', '--ignore-scripts', '--silent', '--pack-destination', FOLDER],
    process.cwd(),
  );
  if (!pack.ok) throw new Error(pack.text);
  const tarball = join(FOLDER, pack.text.split('\n').at(-1));
  const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--no-save', '--legacy-peer-deps'];
  rmSync(join(FOLDER, 'node_modules/redstart'), { recursive: true, force: true });
  const installed = run('npm', ['install', ...flags, tarball]);
  if (!installed.ok) throw new Error(installed.text);
}

/** A tsconfig of its own for each dialect; tools that look for tsconfig.json find the one written last. */
function configure(dialect) {
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    skipLibCheck: true,
    types: ['node'],
    outDir: `out-${dialect}`,
    lib: ['es2023', 'esnext.disposable', 'esnext.decorators'],
    ...dialects[dialect],
  };
  const text = JSON.stringify({ compilerOptions, include: ['app.ts'] });
  const all = JSON.stringify({ compilerOptions, include: ['app.ts', 'tested.ts'] });
  writeFileSync(join(FOLDER, `tsconfig.${dialect}.json`), text);
  writeFileSync(join(FOLDER, 'tsconfig.json'), all);
}

const tsc = (version) => (dialect) => {
  const out = `out-tsc${version}-${dialect}`;
  const main = join('node_modules', `typescript${version}`, 'bin/tsc');
  const compiled = node(main, '-p', `tsconfig.${dialect}.json`, '--outDir', out);
  return then(compiled, () => node(`${out}/app.js`));
};

const esbuild =
  (...more) =>
  (dialect) => {
    const out = `out/esbuild-${dialect}${more.length}.mjs`;
    const flags = ['--bundle', '--platform=node', '--format=esm', '--external:ioredis'];
    const compiled = bin(
      'esbuild',
      'app.ts',
      ...flags,
      `--tsconfig=tsconfig.${dialect}.json`,
      `--outfile=${out}`,
      ...more,
    );
    return then(compiled, () => node(out));
  };

const lowered = (tool) => (dialect) => {
  const out = `out/${tool}-${dialect}.mjs`;
  return then(node('lowered.mjs', tool, dialect, out), () => node(out));
};

const deno =
  (...rights) =>
  (dialect) => {
    const compilerOptions = { experimentalDecorators: dialect === 'legacy' };
    const config = { compilerOptions, nodeModulesDir: 'manual' };
    writeFileSync(join(FOLDER, 'deno.json'), JSON.stringify(config));
    const all = ['--allow-env', '--allow-read', ...rights];
    return bin('deno', 'run', ...all, '--config', 'deno.json', 'app.ts');
  };

/** jest with one transformer: CommonJS, so the packages that are ES modules are compiled, too. */
function jest(transformer) {
  const folder = join(FOLDER, 'jest');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync(join(FOLDER, 'jest.ts'), join(folder, 'app.test.ts'));
  writeFileSync(
    join(folder, 'jest.config.cjs'),
    `module.exports = ${JSON.stringify({
      transform: { '\\.[jt]s$': transformer },
      transformIgnorePatterns: ['/node_modules/(?!redstart/)'],
    })};`,
  );
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }');
  return run(process.execPath, [join(FOLDER, 'node_modules/jest/bin/jest.js'), '--ci'], folder);
}

function swcJest(dialect) {
  const decorators =
    dialect === 'legacy'
      ? { legacyDecorator: true, decoratorMetadata: true }
      : { decoratorVersion: '2023-11' };
  const parser = { syntax: 'typescript', decorators: true };
  const jsc = { target: 'es2022', parser, transform: decorators };
  return jest(['@swc/jest', { jsc, module: { type: 'commonjs' } }]);
}

/** With the options that a new Nest 11 project has, and without the checks of types that jest's own globals need. */
function tsJest(dialect) {
  const tsconfig = {
    target: 'es2023',
    module: 'nodenext',
    isolatedModules: true,
    ...dialects[dialect],
  };
  return jest(['ts-jest', { tsconfig, diagnostics: false }]);
}

/** Vitest with the plugin of the page. */
function vitest(dialect, folder = FOLDER, program = process.execPath) {
  const plugin = dialect === 'legacy' ? '' : 'plugins: [standardDecorators],';
  writeFileSync(
    join(folder, 'vitest.config.mjs'),
    `import { transform } from 'esbuild';
const standardDecorators = {
  name: 'standard-decorators',
  enforce: 'pre',
  transform: (code, id) =>
    !id.endsWith('.ts') || id.includes('node_modules')
      ? undefined
      : transform(code, { loader: 'ts', target: 'es2022', tsconfigRaw: { compilerOptions: { experimentalDecorators: false } } }),
};
export default { ${plugin} test: { include: ['tested.ts'], root: ${JSON.stringify(folder)} } };`,
  );
  const main = join(folder, 'node_modules/vitest/vitest.mjs');
  return run(program, [main, 'run', '--config', 'vitest.config.mjs'], folder);
}

/** Vitest 5 needs Node 22: both are in a folder of their own, inside of which redstart is found as everywhere. */
function vitest5(dialect) {
  const folder = join(FOLDER, 'vitest5');
  const program = join(folder, 'node_modules/.bin/node');
  if (!existsSync(program)) {
    const flags = ['--no-audit', '--no-fund', '--prefer-offline', '--no-save'];
    const installed = run('npm', ['install', ...flags], folder);
    if (!installed.ok) return installed;
  }
  for (const file of ['tested.ts', 'tsconfig.json']) cpSync(join(FOLDER, file), join(folder, file));
  return vitest(dialect, folder, program);
}

/** Two workspaces with a copy of redstart each: one has the contracts and handlers, the other the broker. */
function twoCopies() {
  const other = join(FOLDER, 'out/shared/node_modules/redstart');
  rmSync(other, { recursive: true, force: true });
  cpSync(join(FOLDER, 'node_modules/redstart'), other, { recursive: true });
  writeFileSync(
    join(FOLDER, 'out/shared/contracts.mjs'),
    `import { RedisRouter, RpcError } from 'redstart';
export const router = new RedisRouter();
router.subscriber({ list: 'sold' }, () => { throw new RpcError('SOLD_OUT', 'sold out'); });`,
  );
  writeFileSync(
    join(FOLDER, 'out/two.mjs'),
    `import { RedisBroker, RpcError } from 'redstart';
import { router } from './shared/contracts.mjs';
const broker = new RedisBroker('memory://two', { logger: false });
broker.include(router);
await broker.start();
const error = await broker.publish(1, { list: 'sold', rpc: true, timeout: 5000 }).catch((e) => e);
console.log(JSON.stringify([error instanceof RpcError, error.code]));
await broker.stop();`,
  );
  return node('out/two.mjs');
}

function required() {
  writeFileSync(
    join(FOLDER, 'out/required.cjs'),
    `const { RedisBroker } = require('redstart');
console.log(typeof RedisBroker);`,
  );
  return node('--disable-warning=ExperimentalWarning', 'out/required.cjs');
}

const both = ['legacy', 'standard'];
/** Each line of the page: the tool, the dialects, how it is run, and what it prints. */
const MATRIX = [
  ...['5', '6', '7'].map((version) => [`tsc ${version}`, both, tsc(version), PRICES]),
  [
    'tsx',
    both,
    (dialect) => bin('tsx', '--tsconfig', `tsconfig.${dialect}.json`, 'app.ts'),
    PRICES,
  ],
  ['esbuild', both, esbuild('--target=node20'), PRICES],
  [
    'esbuild, minified, names kept',
    both,
    esbuild('--target=node20', '--minify', '--keep-names'),
    PRICES,
  ],
  // The name of a class is lost; a title stays.
  [
    'esbuild, minified',
    both,
    esbuild('--target=node20', '--minify', '--legal-comments=none', '--charset=utf8'),
    /^\[\{"sku":"A-1","cents":1999\},2,"\w+\.price","Prices\.titled"\]$/,
  ],
  ['esbuild without a target', ['standard'], esbuild(), /SyntaxError/],
  ['swc', ['legacy', '2022-03', '2023-11'], lowered('swc'), PRICES],
  ['rolldown', both, lowered('rolldown'), PRICES],
  ['vite', both, lowered('vite'), PRICES],
  ['vitest 4', both, (dialect) => vitest(dialect), /1 passed/],
  ['vitest 5', both, vitest5, /1 passed/],
  ['bun', both, () => bin('bun', 'app.ts'), PRICES],
  ['deno', both, deno('--allow-sys'), PRICES],
  ['deno without --allow-sys', both, deno(), PRICES],
  ['jest, CommonJS', both, swcJest, /1 passed/],
  ['ts-jest, CommonJS', both, tsJest, /1 passed/],
  ['require', ['none'], required, 'function'],
  ['two copies', ['none'], twoCopies, '[true,"SOLD_OUT"]'],
  [
    'type stripping of Node',
    ['none'],
    () => node('--experimental-strip-types', 'app.ts'),
    /SyntaxError|bad option|Unknown file extension/,
  ],
];

mkdirSync(join(FOLDER, 'out'), { recursive: true });
for (const file of readdirSync('test/compilers')) {
  if (file !== 'node_modules')
    cpSync(join('test/compilers', file), join(FOLDER, file), { recursive: true });
}
if (!existsSync(join(FOLDER, 'node_modules')) || process.env.REDSTART_KEEP === undefined) install();
const failed = [];
for (const [name, chosen, runs, expected] of MATRIX) {
  if (!name.includes(wanted)) continue;
  for (const dialect of chosen) {
    if (dialect in dialects) configure(dialect);
    const { text } = runs(dialect);
    const isRight =
      expected instanceof RegExp ? expected.test(text) : text.split('\n').includes(expected);
    const label = `${name}${dialect === 'none' ? '' : `, ${dialect}`}`;
    console.log(`${isRight ? 'ok    ' : 'FAILED'} ${label}`);
    if (isRight) continue;
    failed.push(label);
    console.log(text.split('\n').slice(-12).join('\n'));
  }
}
console.log(
  failed.length === 0 ? 'compilers: all is well' : `compilers: failed: ${failed.join('; ')}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
