// `npm start`: builds the package and runs the RPC example on REDIS_URL, on a local redis-server, or in memory.
// `npm run shop` does the same with the shop's tour.
import { spawnSync } from 'node:child_process';
import { findBinary, spawnRedis } from './find-redis.mjs';

const EXAMPLE = process.argv[2] ?? '02-rpc';

function run(program, args, env = process.env) {
  const { status, signal, error } = spawnSync(program, args, { stdio: 'inherit', env });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${signal ?? status}`);
}

/** Does not use Docker: pulling an image would take too long. */
async function openRedis() {
  if (process.env.REDIS_URL) {
    console.log('start: using the Redis of REDIS_URL');
    return { url: process.env.REDIS_URL };
  }
  const binary = findBinary();
  if (binary === undefined) {
    console.log('start: no REDIS_URL and no redis-server on PATH, so this runs on memory://');
    return { url: 'memory://' };
  }
  try {
    const server = await spawnRedis(binary);
    console.log(`start: using ${server.url}, started from ${binary} for this run`);
    return server;
  } catch (error) {
    const [reason] = error.message.split(/:?\n/);
    console.log(`start: ${binary} does not start (${reason}), so this runs on memory://`);
    return { url: 'memory://' };
  }
}

try {
  const tsc = 'node_modules/typescript/bin/tsc';
  console.log('start: building');
  run('npm', ['run', '--silent', 'build']);
  run(process.execPath, [tsc, '-p', 'tsconfig.examples.json']);
  const redis = await openRedis();
  try {
    console.log(`start: running examples/${EXAMPLE}.ts\n`);
    const env = { ...process.env, REDIS_URL: redis.url };
    run(process.execPath, ['--enable-source-maps', `build/examples/${EXAMPLE}.js`], env);
  } finally {
    await redis.stop?.();
  }
} catch (error) {
  console.error(`start: ${error.message}`);
  process.exitCode = 1;
}
