// `node test/nest/run.mjs`, a step of `npm run full`: the tests of `redstart/nestjs`, and its types, on
// each version of Nest that it is for. Each version has a folder with packages of its own, installed here.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const root = path('../..');

/** Runs a command in a folder, with its output here; the process ends where it fails. */
function run(folder, command, args) {
  const { status, error } = spawnSync(command, args, { cwd: folder, stdio: 'inherit' });
  if (status === 0) return;
  console.error(`failed: ${command} ${args.join(' ')}${error ? ` (${error.message})` : ''}`);
  process.exit(1);
}

const binary = (name) => path(`../../node_modules/${name}`);

for (const [folder, types] of [
  ['v11', 'v11'],
  ['v12', '.'],
]) {
  run(path(folder), 'npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts']);
  run(root, process.execPath, [binary('typescript/bin/tsc'), '-p', path(types), '--noEmit']);
}
run(root, process.execPath, [
  binary('vitest/vitest.mjs'),
  ...['run', '--config', path('vitest.config.ts')],
]);
