import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What the compiler says about one file of this folder. */
function complaints(file: string, experimentalDecorators: boolean): string[] {
  mkdirSync(`${root}build`, { recursive: true });
  const folder = mkdtempSync(`${root}build/types-`);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const compilerOptions = {
    experimentalDecorators,
    emitDecoratorMetadata: experimentalDecorators,
    noUnusedParameters: false,
  };
  const files = [`${root}test/types/${file}`];
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions,
    files,
    include: [],
    exclude: [],
  };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const run = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], {
    encoding: 'utf8',
  });
  expect(run.error).toBeUndefined();
  const lines = `${run.stdout}${run.stderr}`.split('\n').filter((line) => line.trim() !== '');
  // An error in src has tests of its own; one in the set-up must not pass for none at all.
  return lines.filter((line) => !/^(\.\.\/)*src\//.test(line) && !line.startsWith(' '));
}

it.each([
  ['legacy', true],
  ['standard', false],
] as const)(
  'the compiler refuses what cannot work (%s decorators)',
  { timeout: 60_000 },
  (_, legacy) => {
    expect(complaints('refused.ts', legacy)).toEqual([]);
  },
);

it('results and bodies are inferred from destinations and schemas', { timeout: 60_000 }, () => {
  expect(complaints('inferred.ts', true)).toEqual([]);
});

it('an option without a check does not compile', { timeout: 60_000 }, () => {
  expect(complaints('tables.ts', true)).toEqual([]);
});
