import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const example = `${root}examples/06-standard-decorators.ts`;

it('the example in the standard dialect runs where the test compiler lowers its decorators', async () => {
  vi.stubEnv('REDIS_URL', 'memory://standard-example');
  const print = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    print.mockRestore();
  });
  await import(example);
  expect(print.mock.calls.flat()).toEqual(['alarm: attic: 35 °C', 'count: 2']);
});

it(
  'the compiler accepts it without experimentalDecorators, and refuses a parameter that does not fit',
  { timeout: 240_000 },
  () => {
    mkdirSync(`${root}build`, { recursive: true });
    const folder = mkdtempSync(`${root}build/standard-`);
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(
      `${folder}/wrong.ts`,
      `import { subscriber } from 'redstart';
     import { z } from 'zod';
     export class Wrong {
       @subscriber({ channel: 'x', schema: z.object({ celsius: z.number() }) })
       check(body: { celsius: string }): void {}
     }`,
    );
    writeFileSync(
      `${folder}/tsconfig.json`,
      JSON.stringify({
        extends: '../../tsconfig.json',
        compilerOptions: {
          experimentalDecorators: false,
          emitDecoratorMetadata: false,
          noUnusedParameters: false,
        },
        files: [example, 'wrong.ts'],
        include: [],
        exclude: [],
      }),
    );
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], {
      encoding: 'utf8',
    });
    const errors = stdout.split('\n').filter((line) => line.includes('error TS'));
    // Only what this test is about: src has tests of its own.
    expect(errors.filter((line) => line.includes('examples/'))).toEqual([]);
    expect(errors.filter((line) => line.includes('wrong.ts(4'))).toHaveLength(1);
  },
);
