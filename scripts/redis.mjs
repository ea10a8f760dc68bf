// `npm run redis`: checks that the tests find a Redis, and installs one if they would not.
import { spawnSync } from 'node:child_process';
import { findRedis, HOW_TO_GET_ONE } from './find-redis.mjs';

const APT = ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'];

/** Package managers, and the calls that install Redis. */
const INSTALLERS = [
  { program: 'apt-get', calls: [['update', '-qq'], APT] },
  { program: 'apk', calls: [['add', '--no-cache', 'redis']] },
  { program: 'dnf', calls: [['install', '-y', 'redis']] },
  { program: 'brew', calls: [['install', 'redis']] },
];

function describe(found) {
  if (found.url) return 'the one of REDIS_URL';
  return found.binary ?? 'a Docker container';
}

function has(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;
}

function install() {
  const installer = INSTALLERS.find(({ program }) => has(program));
  if (installer === undefined) throw new Error(HOW_TO_GET_ONE);
  const needsRoot = installer.program !== 'brew' && process.getuid?.() !== 0;
  for (const call of installer.calls) {
    const program = needsRoot ? 'sudo' : installer.program;
    const args = needsRoot ? [installer.program, ...call] : call;
    console.log(`redis: running ${program} ${args.join(' ')}`);
    // RUNLEVEL=1 keeps the package from starting a service on port 6379: tests start their own servers.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const stdio = ['ignore', 'ignore', 'inherit'];
    const { status, error } = spawnSync(program, args, { stdio, env });
    if (error ?? status !== 0) throw new Error(`${program} ended with ${error?.message ?? status}`);
  }
}

try {
  let found = findRedis();
  if (found === undefined) {
    console.log('redis: none found, installing one');
    install();
    found = findRedis();
    if (found === undefined) throw new Error(HOW_TO_GET_ONE);
  }
  console.log(`redis: tests use ${describe(found)}`);
} catch (error) {
  console.error(`redis: ${error.message}`);
  process.exitCode = 1;
}
