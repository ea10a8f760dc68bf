// Compiles app.ts by the API of one tool: `node lowered.mjs <tool> <dialect> <outfile>`.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, basename } from 'node:path';

const [tool, dialect, outfile] = process.argv.slice(2);
const isLegacy = dialect === 'legacy';

const tools = {
  async swc() {
    const { transformSync } = await import('@swc/core');
    const decorators = isLegacy
      ? { legacyDecorator: true, decoratorMetadata: true }
      : { decoratorVersion: dialect };
    const { code } = transformSync(readFileSync('app.ts', 'utf8'), {
      jsc: {
        target: 'es2022',
        parser: { syntax: 'typescript', decorators: true },
        transform: decorators,
      },
      module: { type: 'es6' },
    });
    writeFileSync(outfile, code);
  },
  async rolldown() {
    const { rolldown } = await import('rolldown');
    const bundle = await rolldown({
      input: 'app.ts',
      platform: 'node',
      external: ['ioredis'],
      transform: { decorator: { legacy: isLegacy } },
      plugins: isLegacy ? [] : [await standardDecorators()],
    });
    await bundle.write({ file: outfile, format: 'esm' });
  },
  async vite() {
    const { build } = await import('vite');
    await build({
      configFile: false,
      logLevel: 'error',
      plugins: isLegacy ? [] : [await standardDecorators()],
      build: {
        ssr: 'app.ts',
        target: 'node20',
        outDir: dirname(outfile),
        emptyOutDir: false,
        rollupOptions: { output: { entryFileNames: basename(outfile) } },
      },
    });
  },
};

/** The plugin of docs/guide/compilers.md: esbuild lowers the standard dialect. */
async function standardDecorators() {
  const { transform } = await import('esbuild');
  return {
    name: 'standard-decorators',
    enforce: 'pre',
    async transform(code, id) {
      if (!/\.tsx?$/.test(id) || id.includes('node_modules')) return undefined;
      const tsconfigRaw = { compilerOptions: { experimentalDecorators: false } };
      return transform(code, { loader: 'ts', target: 'es2022', sourcemap: true, tsconfigRaw });
    },
  };
}

await tools[tool]();
