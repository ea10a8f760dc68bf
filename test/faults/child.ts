// Runs a program of test/faults/programs in a process of its own: to be killed, or to measure its heap.
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { onTestFinished } from 'vitest';

export interface Child {
  readonly process: ChildProcess;
  /** The next thing that it sends; rejects where it ends first. */
  next(): Promise<unknown>;
  /** Resolves when it has ended, by whatever. */
  ended(): Promise<void>;
  /** Ends it without a word, as when a machine fails. */
  kill(): Promise<void>;
}

/** Compiles the program together with the sources as they are now, and starts it. */
export async function startProgram(name: string, ...args: string[]): Promise<Child> {
  const folder = mkdtempSync(join(tmpdir(), 'redstart-fault-'));
  const outfile = join(folder, 'program.cjs');
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
  const child = fork(outfile, args, {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => void (stderr += String(chunk)));
  const ended = (): Promise<void> =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) return resolve();
      child.once('exit', () => resolve());
    });
  const kill = (): Promise<void> => {
    child.kill('SIGKILL');
    return ended();
  };
  onTestFinished(async () => {
    await kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const said: unknown[] = [];
  let wake: (() => void) | undefined;
  let isOver = false;
  child.on('message', (message) => {
    said.push(message);
    wake?.();
  });
  // Not `exit`: what it sent last may still be on its way then.
  child.once('close', () => {
    isOver = true;
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
