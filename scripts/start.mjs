// `npm start`: builds the package and runs the RPC example on the best Redis at hand, which may be memory.
import { spawnSync } from 'node:child_process';
import { findBinary, spawnRedis } from './find-redis.mjs';

const EXAMPLE = '02-rpc';

function run(program, args, env = process.env) {
  const { status, signal, error } = spawnSync(program, args, { stdio: 'inherit', env });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${signal ?? status}`);
}

/** Never Docker: pulling an image is not what someone who types `npm start` waits for. */
async function openRedis() {
  if (process.env.REDIS_URL) {
    console.log('start: on the Redis that REDIS_URL names');
    return { url: process.env.REDIS_URL };
  }
  const binary = findBinary();
  if (binary === undefined) {
    console.log('start: no REDIS_URL and no redis-server on PATH, so this runs on memory://');
    return { url: 'memory://' };
  }
  try {
    const server = await spawnRedis(binary);
    console.log(`start: on ${server.url}, started for this run from ${binary}`);
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
