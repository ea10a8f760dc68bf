// Runs a program of test/faults/programs in a process of its own: to be killed, or to measure its heap.
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, onTestFinished } from 'vitest';
import type { Finished } from '../support/redis.ts';

export interface Child {
  readonly process: ChildProcess;
  /** The next thing that it sends; rejects where it ends first. */
  next(): Promise<unknown>;
  /** Resolves when it has ended, by whatever, and all that it sent has arrived. */
  ended(): Promise<void>;
  /** Ends it without a word, as when a machine fails. */
  kill(): Promise<void>;
}

const folder = mkdtempSync(join(tmpdir(), 'redstart-fault-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Each program, compiled together with the sources as they are now, once for a file of tests. */
const compiled = new Map<string, Promise<string>>();

async function compile(name: string): Promise<string> {
  const outfile = join(folder, `${name}.cjs`);
  await build({
    entryPoints: [fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url))],
    alias: { redstart: fileURLToPath(new URL('../../src/index.ts', import.meta.url)) },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    outfile,
    logLevel: 'error',
  });
  return outfile;
}

/** Starts a program; it is killed when the test ends, if it has not ended by then. */
export async function startProgram(
  name: string,
  args: readonly string[],
  finished: Finished = onTestFinished,
): Promise<Child> {
  let program = compiled.get(name);
  if (program === undefined) compiled.set(name, (program = compile(name)));
  const child = fork(await program, args, {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  const said: unknown[] = [];
  let wake: (() => void) | undefined;
  child.stderr?.on('data', (chunk: Buffer) => void (stderr += String(chunk)));
  let isOver = false;
  // Not `exit`: what it sent last may still be on its way then.
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => {
      isOver = true;
      wake?.();
      resolve();
    });
  });
  const ended = (): Promise<void> => closed;
  const kill = (): Promise<void> => {
    child.kill('SIGKILL');
    return ended();
  };
  finished(kill);
  child.on('message', (message) => {
    said.push(message);
    wake?.();
  });
  const next = async (): Promise<unknown> => {
    while (said.length === 0) {
      if (isOver) throw new Error(`${name} ended with ${child.exitCode}:\n${stderr}`);
      await new Promise<void>((resolve) => void (wake = resolve));
    }
    return said.shift();
  };
  return { process: child, next, ended, kill };
}
