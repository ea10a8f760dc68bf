// Finds a Redis for a run: REDIS_URL, or a server binary to start, or Docker. Installs nothing.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** The first that this machine has: `{ url }`, `{ binary }` or `{ docker: true }`; else undefined. */
export function findRedis(env = process.env) {
  if (env.REDIS_URL) return { url: env.REDIS_URL };
  const binary = findBinary(env);
  if (binary) return { binary };
  const docker = spawnSync('docker', ['info'], { stdio: 'ignore', timeout: 5_000 });
  return docker.status === 0 ? { docker: true } : undefined;
}

/** The path of a server binary: REDIS_SERVER, else redis-server or valkey-server on PATH. */
export function findBinary(env = process.env) {
  if (env.REDIS_SERVER) return env.REDIS_SERVER;
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of (env.PATH ?? '').split(delimiter)) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        continue; // not in this folder
      }
    }
  }
  return undefined;
}

/** A free port, below the range from which the system takes ports for outgoing connections. */
export async function freePort() {
  for (;;) {
    const port = 21_000 + Math.floor(Math.random() * 10_000);
    const isFree = await new Promise((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

/** Servers that were not stopped yet. Whoever forgets one, or fails before, leaves none behind. */
const running = new Set();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a server on a free port; resolves when it accepts connections, after 20 to 60 ms. */
export async function spawnRedis(binary, args = []) {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'redstart-redis-'));
  const base = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''];
  const child = spawn(binary, [...base, '--appendonly', 'no', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  await new Promise((resolve, reject) => {
    const read = (chunk) => {
      log += chunk;
      if (/Ready to accept connections/.test(log)) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${binary} ended with ${code}:\n${log}`)));
  });
  running.add(child);
  const stop = () =>
    new Promise((resolve) => {
      const done = () => {
        running.delete(child);
        rmSync(folder, { recursive: true, force: true });
        resolve();
      };
      if (child.exitCode !== null || child.signalCode !== null) return done();
      child.once('exit', done);
      child.kill('SIGKILL');
    });
  return { url: `redis://127.0.0.1:${port}`, port, pid: child.pid, folder, stop };
}

export const HOW_TO_GET_ONE =
  'no Redis was found: set REDIS_URL, or put redis-server or valkey-server on PATH (or its path in REDIS_SERVER), or start Docker; `npm run redis` does one of these for you';
