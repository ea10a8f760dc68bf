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

/** Workers: a test waits longer than it works. With two, the two cores of CI were busy for 57 % of the time. */
const maxWorkers = 4;

/**
 * Test files with a process of their own: they measure heap, CPU or times, set what is global, or need modules that no other test
 * has used. All others share their processes, which saves half a second of CPU for each file.
 */
const APART = [
  'test/faults/**',
  'test/package/**',
  'test/calls/{hostile,hostile-cost,strangers}.test.ts',
  'test/cli/{commands,run}.test.ts',
  'test/docs/{descriptions,snippets}.test.ts',
  'test/integrations/{otel,page}.test.ts',
  'test/internal/{deadlines,timers-and-signals}.test.ts',
  'test/interop/telemetry.test.ts',
  'test/rpc/parent.test.ts',
];

/** What takes longest begins first: at the end, one worker would wait for it alone. */
const LONGEST = [
  'faults/soak',
  'package/types',
  'docs/snippets',
  'faults/settling',
  'cli/run',
  'cli/commands',
  'package/tarball',
  'contract/redis',
  'servers/cluster',
  'docs/examples',
  'lifecycle/orders',
  'cli/terminal',
  'contract/memory',
  'lifecycle/idle',
];

const common = {
  globalSetup: 'test/support/global-setup.ts',
  setupFiles: 'test/support/setup.ts',
  // Generous: they end a test that hangs, also on a machine that is busy with something else.
  testTimeout: 120_000,
  hookTimeout: 240_000,
  // Of `expect.poll`, as long as `eventually` waits.
  expect: { poll: { timeout: 40_000 } },
  // Concurrent tests are those that wait.
  maxConcurrency: 20,
};

/** Each project's files in a row: a process goes on with the next file only where that is of the same project. Many short ones come last. */
const PROJECTS = ['apart', 'standard-decorators', 'together'];

function rank({ moduleId, project }: TestSpecification): number {
  const place = LONGEST.findIndex((name) => moduleId.endsWith(`test/${name}.test.ts`));
  return PROJECTS.indexOf(project.name) * 100 + (place === -1 ? LONGEST.length : place);
}

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    // Once for the run. The Redis is each project's own.
    globalSetup: 'test/support/build.ts',
    sequence: { sequencer: LongestFirst },
    maxWorkers,
    projects: [
      {
        resolve: { alias },
        test: {
          ...common,
          name: 'apart',
          include: APART.map((files) => (files.endsWith('.ts') ? files : `${files}/*.test.ts`)),
        },
      },
      {
        resolve: { alias },
        test: {
          ...common,
          name: 'together',
          isolate: false,
          include: ['test/**/*.test.ts', 'examples/shop/test/*.test.ts'],
          // Those of test/nest have packages of their own: see test/nest/run.mjs.
          exclude: ['**/node_modules/**', 'test/standard/**', 'test/nest/**', ...APART],
        },
      },
      {
        resolve: { alias },
        oxc: false,
        plugins: [standardDecorators],
        test: {
          ...common,
          name: 'standard-decorators',
          include: ['test/standard/**/*.test.ts'],
        },
      },
    ],
  },
});
