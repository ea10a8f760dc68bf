// What a run needs before anything else is imported: redstart built, the peers installed, a Python found.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const ROOT = file('../../../');
const BENCH = file('../');

export function build() {
  npm(['run', '--silent', 'build'], ROOT);
}

/**
 * The peers are installed here and nowhere else, where they are missing or of other versions.
 * `overrides` in their package.json give Moleculer the ioredis of the others, and name the last
 * msgpackr-extract that every registry has for every platform.
 */
export function installPeers() {
  const installed = `${BENCH}node_modules/.package-lock.json`;
  const isFresh =
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(`${BENCH}package-lock.json`).mtimeMs;
  if (!isFresh) npm(['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--silent'], BENCH);
}

/** A Python that has FastStream: REDSTART_PYTHON's, or the one that the tests of test/interop made. */
export function findPython() {
  const made = `${ROOT}test/interop/.venv`;
  const releases = existsSync(made) ? readdirSync(made).toSorted().toReversed() : [];
  const pythons = releases.map((release) => `${made}/${release}/bin/python`);
  const candidates = [process.env.REDSTART_PYTHON, ...pythons];
  for (const python of candidates) {
    if (python === undefined || !existsSync(python)) continue;
    const program =
      "import importlib.metadata as m, faststream.redis; print(m.version('faststream'))";
    const { status, stdout } = spawnSync(python, ['-c', program], { encoding: 'utf8' });
    if (status === 0) return { python, version: stdout.trim() };
  }
  return undefined;
}

function npm(args, cwd) {
  const { status, error } = spawnSync('npm', args, { cwd, stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${status}`);
}
