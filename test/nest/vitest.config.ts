// The tests of `redstart/nestjs` on each version of Nest that it is for: see run.mjs.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Who imports `find` gets the file `replacement`. */
interface Alias {
  readonly find: string | RegExp;
  readonly replacement: string;
}

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

const redstart: Alias[] = [
  { find: 'redstart/nestjs', replacement: path('../../src/integrations/nestjs/index.ts') },
  { find: 'redstart/testing', replacement: path('../../src/testing/index.ts') },
  { find: /^redstart$/, replacement: path('../../src/index.ts') },
];

/** Everything that a version's folder declares is taken from there, whoever imports it. */
function ofVersion(folder: string): Alias[] {
  const manifest = path(`./${folder}/package.json`);
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as { dependencies: object };
  const { resolve } = createRequire(manifest);
  return Object.keys(dependencies).map((name) => ({
    find: new RegExp(`^${name}$`),
    replacement: resolve(name),
  }));
}

export default defineConfig({
  test: {
    projects: ['v11', 'v12'].map((folder) => ({
      root: path('../..'),
      resolve: { alias: [...ofVersion(folder), ...redstart] },
      test: {
        name: `nest ${folder}`,
        include: ['test/nest/*.test.ts', 'test/integrations/nestjs*.test.ts'],
        globalSetup: ['test/support/global-setup.ts', 'test/support/build.ts'],
        env: { REDSTART_NEST: path(`./${folder}`) },
        setupFiles: 'test/support/setup.ts',
        testTimeout: 30_000,
      },
    })),
  },
});
