import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where `dist` is being built for this run, and `outcome.json` says how that ended. */
    readonly buildFolder: string;
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds the package as the sources are now, once for the run, while the first tests run. See `builtPackage`. */
export default function setup(project: TestProject): () => Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'redstart-build-'));
  project.provide('buildFolder', folder);
  const args = ['scripts/build.mjs', join(folder, 'dist')];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<void>((resolve) => {
    child.once('close', (code) => {
      writeFileSync(join(folder, 'outcome.json'), JSON.stringify({ code, output }));
      resolve();
    });
  });
  return async () => {
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
}
