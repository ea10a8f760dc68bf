import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { eventually } from './eventually.ts';

/** The `dist` of this run, to be copied. Throws what the compiler has said where it failed. */
export async function builtPackage(): Promise<string> {
  const folder = inject('buildFolder');
  const file = join(folder, 'outcome.json');
  // It is not there, or not whole, before the build is over.
  const { code, output } = await eventually(
    () => JSON.parse(readFileSync(file, 'utf8')) as { code: number | null; output: string },
    // The machine may be busy with other things.
    240_000,
  );
  if (code !== 0) throw new Error(`the build failed:\n${output}`);
  return join(folder, 'dist');
}
