import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';
import { defineConfig, type Plugin } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Another OpenTelemetry than that of package.json: `npm run full` gives test/otel3/node_modules. */
const otel = process.env['REDSTART_OTEL'];

const alias = {
  'redstart/testing': fileURLToPath(new URL('src/testing/index.ts', import.meta.url)),
  'redstart/asyncapi': fileURLToPath(
    new URL('src/integrations/asyncapi/index.ts', import.meta.url),
  ),
  'redstart/fastify': fileURLToPath(new URL('src/integrations/fastify/index.ts', import.meta.url)),
  'redstart/dashboard': fileURLToPath(
    new URL('src/integrations/dashboard/index.ts', import.meta.url),
  ),
  'redstart/metrics': fileURLToPath(new URL('src/integrations/metrics/index.ts', import.meta.url)),
  'redstart/nestjs': fileURLToPath(new URL('src/integrations/nestjs/index.ts', import.meta.url)),
  'redstart/otel': fileURLToPath(new URL('src/integrations/otel/index.ts', import.meta.url)),
  redstart: fileURLToPath(new URL('src/index.ts', import.meta.url)),
  ...(otel === undefined ? {} : { '@opentelemetry': `${otel}/@opentelemetry` }),
};

/** Vitest's own compiler knows the older decorator dialect alone; esbuild lowers the standard one. */
const standardDecorators: Plugin = {
  name: 'standard-decorators',
  enforce: 'pre',
  async transform(code, id) {
    if (!id.endsWith('.ts') || id.includes('node_modules')) return undefined;
    const tsconfigRaw = { compilerOptions: { experimentalDecorators: false } };
    const options = { loader: 'ts', target: 'es2022', sourcemap: true, sourcefile: id } as const;
    return transform(code, { ...options, tsconfigRaw });
  },
};

/** Workers for tests that wait more than they work: with two, the two cores of CI were busy for 57 % of the time. */
const MOSTLY_WAITING = 3;

const common = {
  globalSetup: 'test/support/global-setup.ts',
  setupFiles: 'test/support/setup.ts',
  // Generous: they end a test that hangs, also on a machine that is busy with something else.
  testTimeout: 30_000,
  hookTimeout: 120_000,
  // Concurrent tests are those that wait.
  maxConcurrency: 20,
};

const isLong = ({ moduleId }: TestSpecification): boolean =>
  /(soak|cli.run|package.types|docs.snippets)\.test/.test(moduleId);

/** What takes longest begins first: at the end, one worker would wait for it alone. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Of the fault tests, which measure times.
    maxWorkers: 2,
    projects: [
      {
        resolve: { alias },
        test: {
          ...common,
          globalSetup: [common.globalSetup, 'test/support/build.ts'],
          name: 'redstart',
          maxWorkers: MOSTLY_WAITING,
          include: ['test/**/*.test.ts', 'examples/shop/test/*.test.ts'],
          // Those of test/nest have packages of their own: see test/nest/run.mjs.
          exclude: ['**/node_modules/**', 'test/standard/**', 'test/faults/**', 'test/nest/**'],
        },
      },
      {
        resolve: { alias },
        test: {
          ...common,
          name: 'faults',
          include: ['test/faults/**/*.test.ts'],
          // They measure how soon trouble is noticed, and mostly wait: when the rest is done.
          sequence: { groupOrder: 1 },
        },
      },
      {
        resolve: { alias },
        oxc: false,
        plugins: [standardDecorators],
        test: {
          ...common,
          name: 'standard-decorators',
          maxWorkers: MOSTLY_WAITING,
          include: ['test/standard/**/*.test.ts'],
        },
      },
    ],
  },
});
