// A nats-server for a run: NATS_SERVER, the one on PATH, or one that Go builds once into build/tools.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../scripts/find-redis.mjs';

const VERSION = 'v2.15.3';
const TOOLS = fileURLToPath(new URL('../../../build/tools', import.meta.url));

/** `{ binary, version }`; without it, why there is none is said. */
export function findNats(say) {
  const built = `${TOOLS}/nats-server`;
  const candidates = [process.env.NATS_SERVER, 'nats-server', built];
  for (const binary of candidates) {
    const version = binary && versionOf(binary);
    if (version) return { binary, version };
  }
  say(`building nats-server ${VERSION} with Go, once: a minute or two`);
  const args = ['install', `github.com/nats-io/nats-server/v2@${VERSION}`];
  const env = { ...process.env, GOBIN: TOOLS };
  const { error, status, stderr } = spawnSync('go', args, { env, encoding: 'utf8' });
  if (status === 0 && existsSync(built)) return { binary: built, version: versionOf(built) };
  const last = stderr?.trim().split('\n').at(-1);
  const why = error?.code === 'ENOENT' ? 'there is no Go' : (error?.message ?? last);
  say(`NATS is skipped: nats-server is not on PATH and cannot be built: ${why}`);
  return undefined;
}

function versionOf(binary) {
  const { status, stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.match(/\d+\.\d+\.\d+/)?.[0] : undefined;
}

/** Starts one on a free port, over TLS where it is given a certificate; `{ url, stop }`. */
export async function startNats(binary, certificate) {
  const port = await freePort();
  const secure = certificate
    ? ['--tls', '--tlscert', certificate.cert, '--tlskey', certificate.key]
    : [];
  const child = spawn(binary, ['-a', '127.0.0.1', '-p', String(port), ...secure], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  await new Promise((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      log += chunk;
      if (log.includes('Server is ready')) resolve();
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`nats-server ended with ${code}:\n${log}`)));
  });
  return {
    url: `${certificate ? 'tls' : 'nats'}://127.0.0.1:${port}`,
    stop: () => void child.kill('SIGKILL'),
  };
}
