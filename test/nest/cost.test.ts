// What Nest may cost, with the built package as a user's project has it. Runs on each version of Nest: see run.mjs.
import { execFile } from 'node:child_process';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { builtPackage } from '../support/built.ts';

it('a plain handler costs at most 5 % more than without Nest', async () => {
  const folder = process.env['REDSTART_NEST'] as string;
  const installed = join(folder, 'node_modules', 'redstart');
  rmSync(installed, { recursive: true, force: true });
  cpSync(await builtPackage(), join(installed, 'dist'), { recursive: true });
  cpSync('package.json', join(installed, 'package.json'));
  // As text, so that its imports are those of the folder.
  const code = readFileSync(join(import.meta.dirname, 'bench.mjs'), 'utf8');
  const args = ['--input-type=module', '--eval', code];
  const run = promisify(execFile)(process.execPath, args, { cwd: folder });
  const { code: status = 0, stdout } = (await run.catch(
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      stdout: error.stdout + error.stderr,
    }),
  )) as { code?: number; stdout: string };
  process.stdout.write(stdout);
  expect({ status, stdout }).toMatchObject({ status: 0 });
}, 300_000);
