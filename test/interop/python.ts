// A Python with FastStream in it: the one that REDSTART_PYTHON names, or a virtual environment made
// here once. Where neither can be had these tests are skipped, and say why.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The newest release that these tests know; `npm run full` runs them with an older one, too. */
const VERSION = process.env['REDSTART_FASTSTREAM'] ?? '0.7.8';
const PACKAGES = [`faststream[redis,otel,prometheus]==${VERSION}`, 'opentelemetry-sdk'];
/** Milliseconds for making the environment and filling it. */
const PATIENCE = 120_000;
const FOLDER = fileURLToPath(new URL(`.venv/${VERSION}`, import.meta.url));
const READY = join(FOLDER, 'ready-telemetry');
/** Held by the one that installs: test files run in several processes. */
const LOCK = join(FOLDER, 'installing');
/** Why it did not work, for the other files of the same run. */
const SKIPPED = join(FOLDER, 'skipped');

const run = promisify(execFile);

/** The interpreter; undefined where there is none, which is said once on stderr. */
export async function findPython(): Promise<string | undefined> {
  const given = process.env['REDSTART_PYTHON'];
  if (given === undefined && existsSync(READY)) return interpreter();
  mkdirSync(FOLDER, { recursive: true });
  await lock();
  try {
    if (given === undefined && existsSync(READY)) return interpreter();
    if (wasSkippedInThisRun()) return undefined;
    const found = given === undefined ? await install() : await check(given);
    if ('python' in found) return found.python;
    writeFileSync(SKIPPED, String(process.ppid));
    process.stderr.write(`interop: skipped, ${found.reason}\n`);
    return undefined;
  } finally {
    rmSync(LOCK, { force: true });
  }
}

/** The interpreter where it has these modules, too; undefined where it has not, which is said on stderr. */
export async function withModules(
  python: string | undefined,
  modules: readonly string[],
): Promise<string | undefined> {
  if (python === undefined) return undefined;
  try {
    await run(python, ['-c', `import ${modules.join(', ')}`], { timeout: PATIENCE });
    return python;
  } catch (error) {
    process.stderr.write(
      `interop: skipped, ${python} cannot import ${modules.join(', ')}: ${why(error)}\n`,
    );
    return undefined;
  }
}

/** The release of FastStream that an interpreter has, such as `[0, 7, 8]`. */
export async function versionIn(python: string): Promise<number[]> {
  const program = "import importlib.metadata as m; print(m.version('faststream'))";
  const { stdout } = await run(python, ['-c', program], { timeout: PATIENCE });
  return stdout.trim().split('.').map(Number);
}

type Found = { readonly python: string } | { readonly reason: string };

async function check(python: string): Promise<Found> {
  try {
    await run(python, ['-c', 'import faststream.redis'], { timeout: PATIENCE });
    return { python };
  } catch (error) {
    return { reason: `REDSTART_PYTHON (${python}) cannot import faststream.redis: ${why(error)}` };
  }
}

async function install(): Promise<Found> {
  const signal = AbortSignal.timeout(PATIENCE);
  const late = (): string => (signal.aborted ? `not done within ${PATIENCE / 1000} s` : '');
  try {
    const isNew =
      'import sys; sys.exit("Python 3.10 or newer" if sys.version_info < (3, 10) else 0)';
    await run('python3', ['-c', isNew], { signal });
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === 'ENOENT') return { reason: 'no python3 on PATH' };
    return { reason: `python3 on PATH is of no use: ${late() || why(error)}` };
  }
  try {
    await run('python3', ['-m', 'venv', FOLDER], { signal });
  } catch (error) {
    return { reason: `python3 cannot make a virtual environment: ${late() || why(error, 0)}` };
  }
  try {
    const quiet = ['--quiet', '--disable-pip-version-check', '--no-input'];
    const brief = ['--retries', '1', '--timeout', '10'];
    const pip = ['-m', 'pip', 'install', ...quiet, ...brief, ...PACKAGES];
    await run(interpreter(), pip, { signal });
  } catch (error) {
    return {
      reason: `pip cannot install ${PACKAGES.join(' and ')} from PyPI: ${late() || why(error)}`,
    };
  }
  writeFileSync(READY, '');
  return { python: interpreter() };
}

function interpreter(): string {
  return process.platform === 'win32'
    ? join(FOLDER, 'Scripts', 'python.exe')
    : join(FOLDER, 'bin', 'python');
}

/** Takes the lock, also from a process that is gone. */
async function lock(): Promise<void> {
  for (;;) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'EEXIST') throw error;
    }
    if (ageOf(LOCK) > 2 * PATIENCE) rmSync(LOCK, { force: true });
    else await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The workers of one run have the same parent; an old note is another run's that had its number. */
function wasSkippedInThisRun(): boolean {
  return ageOf(SKIPPED) < 2 * PATIENCE && readFileSync(SKIPPED, 'utf8') === String(process.ppid);
}

/** Milliseconds since the file was written; Infinity where there is none. */
function ageOf(file: string): number {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? Infinity : Date.now() - stats.mtimeMs;
}

/** The line that matters of what a failed command said: its last, as of a traceback, or its first. */
function why(error: unknown, which: 0 | -1 = -1): string {
  const { stderr, stdout, message } = error as Error & { stderr?: string; stdout?: string };
  const lines = `${stdout ?? ''}\n${stderr ?? ''}`.trim().split('\n');
  return lines.at(which)?.trim() || message;
}
