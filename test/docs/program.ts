// Compiles a program as a user would write it and runs it in a process of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = new URL('../../', import.meta.url);
export const repository = (path: string): string => fileURLToPath(new URL(path, root));

/** How a program's decorators are compiled: TypeScript's older dialect, or the standard's. */
export type Dialect = 'legacy' | 'standard';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder inside the repository, so that programs in it find its node_modules. */
export function workFolder(): { path: string; remove: () => void } {
  mkdirSync(repository('build'), { recursive: true });
  const path = mkdtempSync(repository('build/programs-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Compiles programs together, each with the library in it or beside it: `<outdir>/<name>.mjs`, by name. */
export async function compile(
  sources: Readonly<Record<string, string>>,
  outdir: string,
  dialect: Dialect,
): Promise<void> {
  await build({
    entryPoints: Object.entries(sources).map(([out, source]) => ({ in: source, out })),
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    alias: {
      'redstart/testing': repository('src/testing/index.ts'),
      'redstart/asyncapi': repository('src/integrations/asyncapi/index.ts'),
      'redstart/fastify': repository('src/integrations/fastify/index.ts'),
      'redstart/dashboard': repository('src/integrations/dashboard/index.ts'),
      'redstart/metrics': repository('src/integrations/metrics/index.ts'),
      'redstart/nestjs': repository('src/integrations/nestjs/index.ts'),
      'redstart/otel': repository('src/integrations/otel/index.ts'),
      redstart: repository('src/index.ts'),
    },
    external: [
      'ioredis',
      'reflect-metadata',
      'zod',
      '@opentelemetry/*',
      '@nestjs/*',
      'rxjs',
      'express',
      'fastify',
      'hono',
    ],
    tsconfigRaw: { compilerOptions: { experimentalDecorators: dialect === 'legacy' } },
    logLevel: 'silent',
  });
}

/** Starts a compiled program; `ended` resolves when the process has. It is killed when it takes too long. */
export function start(
  program: string,
  url: string,
): { process: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, REDIS_URL: url },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 110_000,
    killSignal: 'SIGKILL',
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { process: child, ended };
}

/** Runs a compiled program to its end. */
export function run(program: string, url: string): Promise<Ended> {
  return start(program, url).ended;
}
