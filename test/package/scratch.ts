import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stage } from '../../scripts/pack.mjs';
import { builtPackage } from '../support/built.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

/** Runs a program and resolves with what it printed; rejects with all of it where it failed. */
async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const { PATH, HOME } = process.env;
  // Not the environment of this run: npm and vitest leave settings in it that a user does not have.
  const env = { PATH, HOME, NO_COLOR: '1' };
  try {
    const { stdout, stderr } = await execute(program, args, { cwd, env, timeout: 240_000 });
    return stdout + stderr;
  } catch (error) {
    const { message, stdout, stderr } = error as Error & { stdout: string; stderr: string };
    throw new Error([message, stdout, stderr].join('\n'), { cause: error });
  }
}

/** The entry of a tool that this repository installs, to be run by Node. */
function tool(path: string): string {
  return join(root, 'node_modules', path);
}

/** A project of a user's: the packed tarball installed in an empty folder, with ioredis beside it. */
export class Scratch {
  readonly folder = mkdtempSync(join(tmpdir(), 'redstart-scratch-'));
  readonly project = join(this.folder, 'project');
  /** The package.json of redstart. */
  readonly manifest = manifest;
  tarball = '';

  /** Packs what the sources are now: `dist` may be older, or in the hands of another run. */
  async pack(): Promise<void> {
    const folder = join(this.folder, 'stage');
    stage({ root, dist: await builtPackage(), folder });
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', this.folder], folder);
    this.tarball = join(this.folder, `${manifest.name}-${manifest.version}.tgz`);
  }

  /** Installs the tarball, ioredis and what else is named, with npm as users do. */
  async install(dependencies: Readonly<Record<string, string>> = {}): Promise<void> {
    const ioredis = manifest.devDependencies['ioredis'];
    this.write('package.json', {
      private: true,
      dependencies: { redstart: `file:${this.tarball}`, ioredis, ...dependencies },
    });
    const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
    await run('npm', ['install', ...flags], this.project);
  }

  write(path: string, content: string | object): void {
    const file = join(this.project, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  }

  /** Runs Node, of this run or another, in the project. */
  node(args: readonly string[], options: { binary?: string } = {}): Promise<string> {
    return run(options.binary ?? process.execPath, args, this.project);
  }

  /** A tool of this repository's own, on the project. */
  tool(path: string, args: readonly string[]): Promise<string> {
    return this.node([tool(path), ...args]);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
