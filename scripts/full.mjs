// `npm run full`: everything that takes too long for CI. The tests with their long counts and the long
// soak, then those that depend on the server once more on every other server that is found: the
// redis-server and valkey-server on PATH, and the paths that REDIS_SERVERS lists, as PATH does; and once
// more with each release of ioredis 5 that is installed under a name of its own, and an older FastStream. Then redstart/otel with
// OpenTelemetry 1.10 and SDK 3 on Node 22 (test/otel3), redstart/nestjs on Nest 11.1 and 12 (test/nest), and
// Prometheus' own word on the page of metrics and the alerts (`promtool`, of Debian's package prometheus).
// Tools of others are installed in test/foreign first; where that fails, their tests say that they are skipped.
// The output of each step goes to build/full; of a step that failed, its end is printed. The figures go to the table in
// docs/guide/versions.md. `npm run full -- nestjs` runs the steps whose name contains a text, and keeps the rows of the others.
import { spawn, spawnSync } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs';
import { cpus } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findBinary } from './find-redis.mjs';

const LOGS = 'build/full';
/** The figures of the last run of each step. */
const ROWS = join(LOGS, 'rows.json');
const PAGE = join('docs', 'guide', 'versions.md');
const COLUMNS = ['step', 'passed', 'skipped', 'failed', 'minutes', 'on'];

/** Has the processes of a run load another release of ioredis. */
const HOOK = pathToFileURL(resolve('scripts/ioredis5.mjs')).href;

/** Tests whose outcome does not depend on the server. */
const WITHOUT_SERVER = [
  'browser',
  'cli',
  'docs',
  'foreign',
  'internal',
  'message',
  'package',
  'standard',
  'types',
];

/** Other releases of ioredis, by the names that package.json gives them. */
const IOREDIS = ['ioredis5', 'ioredis5-oldest'];

/** Releases of FastStream beside the newest, which the first step has. */
const FASTSTREAM = ['0.6.7'];

function releaseOf(name) {
  return JSON.parse(readFileSync(join('node_modules', name, 'package.json'), 'utf8')).version;
}

/** Each server once, by its real path, the one of `npm test` first. */
function servers() {
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => ['redis-server', 'valkey-server'].map((name) => join(folder, name)));
  const listed = (process.env.REDIS_SERVERS ?? '').split(delimiter);
  const all = [findBinary(), ...listed, ...onPath].filter((path) => path && existsSync(path));
  return [...new Map(all.map((path) => [realpathSync(path), path])).values()];
}

/** Such as `Redis 7.0.15`. */
function nameOf(server) {
  const { stdout } = spawnSync(server, ['--version'], { encoding: 'utf8' });
  const [, name, version] = /^(\w+).*?v=(\S+)/.exec(stdout ?? '') ?? [];
  return name === undefined ? server : `${name} ${version}`;
}

/** Runs Vitest, or a script, with its output in a file, and resolves with whether it passed. */
function test(log, { script, args = [], env, node = process.execPath }) {
  return new Promise((done) => {
    const vitest = join('node_modules', 'vitest', 'vitest.mjs');
    const child = spawn(node, script === undefined ? [vitest, 'run', ...args] : [script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', ...env },
    });
    const file = createWriteStream(log);
    child.stdout.pipe(file, { end: false });
    child.stderr.pipe(file, { end: false });
    child.once('close', (code) => file.end(() => done(code === 0)));
  });
}

/** The tests of redstart/otel with the packages of test/otel3, which are installed first. */
function otel3() {
  const name = 'redstart/otel with OpenTelemetry 1.10 and SDK 3 on Node 22';
  const modules = resolve('test', 'otel3', 'node_modules');
  const node = join(modules, '.bin', 'node');
  if (!existsSync(node)) {
    const options = { cwd: 'test/otel3', encoding: 'utf8', shell: process.platform === 'win32' };
    const { status, stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], options);
    if (status !== 0) return { name, skipped: `npm ci in test/otel3 failed: ${stderr?.trim()}` };
    if (!existsSync(node)) return { name, skipped: `npm has not installed ${node}` };
  }
  const args = ['test/integrations/otel.test.ts', 'test/interop/telemetry.test.ts'];
  return { name, args, env: { REDSTART_OTEL: modules, ...own }, node };
}

/** `promtool check metrics` and `promtool check rules`. */
function promtool() {
  const name = 'the page of metrics and the alerts, checked by promtool';
  const tool = process.env.PROMTOOL ?? 'promtool';
  if (spawnSync(tool, ['--version']).status !== 0)
    return { name, skipped: `there is no ${tool}: apt-get install prometheus, or set PROMTOOL` };
  return { name, args: ['test/integrations/page.test.ts', '-t', 'promtool'], env: own };
}

mkdirSync(LOGS, { recursive: true });
const install = ['ci', '--prefix', 'test/foreign', '--no-audit', '--no-fund'];
if (spawnSync('npm', install, { stdio: 'ignore' }).status !== 0)
  console.log('       test/foreign could not be installed: its tests are skipped');
const [first, ...others] = servers();
const excluded = WITHOUT_SERVER.flatMap((folder) => ['--exclude', `test/${folder}/**`]);
const own = first === undefined ? {} : { REDIS_SERVER: first };
const steps = [
  {
    name: `all tests, long counts and long soak, ${first ? nameOf(first) : 'REDIS_URL or Docker'}`,
    args: [],
    env: { REDSTART_LONG: '1', ...own },
  },
  ...others.map((server) => ({
    name: `tests on ${nameOf(server)} (${server})`,
    args: excluded,
    env: { REDIS_SERVER: server, REDIS_URL: '' },
  })),
  ...FASTSTREAM.map((version) => ({
    name: `tests with FastStream ${version}`,
    args: ['test/interop'],
    env: { REDSTART_FASTSTREAM: version, ...own },
  })),
  ...IOREDIS.map((name) => ({
    name: `tests with ioredis ${releaseOf(name)}`,
    args: excluded,
    env: { NODE_OPTIONS: `--import ${HOOK}`, REDSTART_IOREDIS: name, ...own },
  })),
  otel3(),
  { name: 'redstart/nestjs on Nest 11.1 and 12', script: 'test/nest/run.mjs', env: own },
  promtool(),
];

/** The sums of Vitest's lines `Tests  1 failed | 2 passed | 3 skipped (6)` in the output of a step. */
function countsIn(output) {
  const counts = { passed: 0, skipped: 0, failed: 0 };
  for (const [line] of output.matchAll(/^ +Tests +.*$/gm))
    for (const what of Object.keys(counts))
      counts[what] += Number(new RegExp(`(\\d+) ${what}`).exec(line)?.[1] ?? 0);
  return counts;
}

/** Writes the table of docs/guide/versions.md anew: each step with the figures of its last run. */
function note(rows) {
  writeFileSync(ROWS, JSON.stringify(rows));
  const [begin, end] = ['<!-- full -->', '<!-- /full -->'];
  const before = readFileSync(PAGE, 'utf8');
  const lines = rows.map((row) => `| ${COLUMNS.map((column) => row[column] ?? '').join(' | ')} |`);
  const head = [`| ${COLUMNS.join(' | ')} |`, `| ${COLUMNS.map(() => '---').join(' | ')} |`];
  const text = [
    begin,
    '',
    `Node ${process.versions.node}, ${cpus().length} cores:`,
    '',
    ...head,
    ...lines,
    '',
    end,
  ];
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  writeFileSync(PAGE, before.slice(0, from) + text.join('\n') + before.slice(to + end.length));
  spawnSync(process.execPath, [join('node_modules', 'oxfmt', 'bin', 'oxfmt'), PAGE]);
}

const [only] = process.argv.slice(2);
const known = existsSync(ROWS) ? JSON.parse(readFileSync(ROWS, 'utf8')) : [];
const rows = [];
const failed = [];
for (const [index, step] of steps.entries()) {
  const { name, skipped } = step;
  const last = known.find((row) => row.step === name);
  if (only !== undefined && !name.includes(only)) {
    if (last !== undefined) rows.push(last);
    continue;
  }
  if (skipped !== undefined) {
    console.log(`SKIPPED ${name}: ${skipped}`);
    rows.push({ step: name, passed: 'not run' });
    continue;
  }
  const log = join(LOGS, `${index + 1}.log`);
  const began = performance.now();
  const passed = await test(log, step);
  const minutes = ((performance.now() - began) / 60_000).toFixed(1);
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name} (${minutes} min, ${log})`);
  const output = readFileSync(log, 'utf8');
  rows.push({
    step: name,
    ...countsIn(output),
    minutes,
    on: new Date().toISOString().slice(0, 10),
  });
  if (passed) continue;
  failed.push(name);
  console.log(output.split('\n').slice(-60).join('\n'));
}
note(rows);
if (others.length === 0) console.log('       no other server was found: see REDIS_SERVERS');
console.log(failed.length === 0 ? 'full: all is well' : `full: failed in ${failed.join('; ')}`);
process.exitCode = failed.length === 0 ? 0 : 1;
