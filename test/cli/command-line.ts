// The command line: as it is built, in processes of its own, and as a function.
import { spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { repository, workFolder, type Ended } from '../docs/program.ts';
import { main } from '../../src/cli/command-line.ts';
import { builtPackage } from '../support/built.ts';
import { eventually } from '../support/eventually.ts';
import { redisUrl } from '../support/redis.ts';

export interface Options {
  /** REDIS_URL of the process. Default: that of the run. */
  readonly url?: string;
  /** Default: the folder of the test's files. */
  readonly cwd?: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it and its workers have written so far. */
  readonly said: { stdout: string; stderr: string };
  /** Resolves when `text` has been written `times` times, on either of the two. */
  hears(text: string, times?: number): Promise<void>;
}

/** What help and mistakes print: neither needs a Redis. */
export async function inProcess(args: readonly string[]): Promise<Ended> {
  const said = { stdout: '', stderr: '' };
  const code = await main(args, {
    stdout: { write: (text) => (said.stdout += text) },
    stderr: { write: (text) => (said.stderr += text) },
  });
  return { code, ...said };
}

/** A package as it is installed, built from what the sources are now; `import 'redstart'` in its folder finds it. */
export class CommandLine {
  readonly #folder = workFolder();
  readonly path = this.#folder.path;

  static async install(): Promise<CommandLine> {
    const built = await builtPackage();
    const command = new CommandLine();
    cpSync(repository('package.json'), join(command.path, 'package.json'));
    cpSync(built, join(command.path, 'dist'), { recursive: true });
    return command;
  }

  private constructor() {}

  /** Writes a file beside the package. */
  write(name: string, text: string): string {
    const path = join(this.path, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** Runs a command to its end. */
  run(args: readonly string[], options?: Options): Promise<Ended> {
    return this.start(args, options).ended;
  }

  /** Starts a command in a process group of its own, which is gone when the test ends. */
  start(args: readonly string[], { url, cwd, env, input = '' }: Options = {}): Started {
    const child = spawn(process.execPath, [join(this.path, 'dist/cli/main.js'), ...args], {
      cwd: cwd ?? this.path,
      // A user starts it without npm, which this run may have been started by.
      env: { ...process.env, npm_command: undefined, REDIS_URL: url ?? redisUrl(), ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const said = { stdout: '', stderr: '' };
    child.stdin.on('error', () => undefined).end(input); // most commands do not read it
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
    const ended = new Promise<Ended>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, ...said }));
    });
    onTestFinished(() => {
      try {
        process.kill(-(child.pid as number), 'SIGKILL');
      } catch {
        // it has ended, with all its workers
      }
    });
    const hears = async (text: string, times = 1): Promise<void> => {
      await eventually(() => {
        const found = `${said.stdout}${said.stderr}`.split(text).length - 1;
        if (found < times)
          throw new Error(`'${text}' ${found} times in:\n${said.stdout}${said.stderr}`);
        // A busy machine starts processes slowly.
      }, 40_000);
    };
    return { process: child, ended, said, hears };
  }

  remove(): void {
    this.#folder.remove();
  }
}
