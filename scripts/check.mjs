// `npm run check`: all checks of the code and the package, except the tests.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'redstart-check-'));
const PATH = [resolve('node_modules/.bin'), process.env.PATH].join(delimiter);

function run(command) {
  const [program, ...args] = command.split(' ');
  const { status, stdout, error } = spawnSync(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PATH },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return { ok: status === 0, output: (stdout ?? '') + (error ? `${error.message}\n` : '') };
}

const hasStandard = existsSync('test/standard') || existsSync('examples/06-standard-decorators.ts');
const pack = `npm pack --ignore-scripts --silent --pack-destination ${folder}`;
const steps = [
  ['build', 'npm run --silent build'],
  ['types', 'tsc --noEmit'],
  ...(hasStandard ? [['types, standard decorators', 'tsc -p tsconfig.standard.json']] : []),
  ['types, examples', 'tsc -p tsconfig.examples.json --noEmit'],
  ['lint', 'oxlint --deny-warnings'],
  ['format', 'oxfmt --check'],
  ['option reference', 'node scripts/options.mjs --check'],
  ['unused code', 'knip'],
  ['pack', pack],
  ['publint', () => `publint run --strict ${tarball()}`],
  ['types as published', () => `attw --profile esm-only --no-emoji ${tarball()}`],
];

function tarball() {
  return join(folder, `redstart-${process.env.npm_package_version}.tgz`);
}

const failed = [];
for (const [name, command] of steps) {
  const start = performance.now();
  const { ok, output } = run(typeof command === 'string' ? command : command());
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  if (ok) continue;
  process.stdout.write(output);
  failed.push(name);
}
rmSync(folder, { recursive: true, force: true });
console.log(failed.length === 0 ? 'check: passed' : `check: failed in ${failed.join('; ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
