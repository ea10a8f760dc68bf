import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const FILES = ['refused.ts', 'inferred.ts', 'tables.ts'];
const compiled = new Map<boolean, string[]>();

/** What the compiler says about one file of this folder, and about the sources. */
function complaints(file: string, experimentalDecorators: boolean): string[] {
  let all = compiled.get(experimentalDecorators);
  if (all === undefined) {
    // The standard dialect makes a difference only where decorators are refused.
    all = compile(experimentalDecorators ? FILES : ['refused.ts'], experimentalDecorators);
    compiled.set(experimentalDecorators, all);
  }
  const others = FILES.filter((name) => name !== file);
  return all.filter((line) => !others.some((name) => line.includes(`test/types/${name}`)));
}

function compile(files: readonly string[], experimentalDecorators: boolean): string[] {
  mkdirSync(`${root}build`, { recursive: true });
  const folder = mkdtempSync(`${root}build/types-`);
  try {
    const compilerOptions = {
      experimentalDecorators,
      emitDecoratorMetadata: experimentalDecorators,
      noUnusedParameters: false,
    };
    const config = {
      extends: '../../tsconfig.json',
      compilerOptions,
      files: files.map((file) => `${root}test/types/${file}`),
      include: [],
      exclude: [],
    };
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    const run = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], {
      encoding: 'utf8',
    });
    expect(run.error).toBeUndefined();
    return `${run.stdout}${run.stderr}`.split('\n').filter((line) => /^\S/.test(line));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

it.each([
  ['legacy', true],
  ['standard', false],
] as const)(
  'the compiler refuses what cannot work (%s decorators)',
  { timeout: 240_000 },
  (_, legacy) => {
    expect(complaints('refused.ts', legacy)).toEqual([]);
  },
);

it('results and bodies are inferred from destinations and schemas', { timeout: 240_000 }, () => {
  expect(complaints('inferred.ts', true)).toEqual([]);
});

it('an option without a check does not compile', { timeout: 240_000 }, () => {
  expect(complaints('tables.ts', true)).toEqual([]);
});
