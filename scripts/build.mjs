// `npm run build [-- FOLDER]`: `src` becomes `dist`, or the given folder. TypeScript writes the types, one file for
// each source file. Rolldown writes the code in few files, because Node needs longer to find and link 300
// small modules than to read them. What several entries use is written once, in `chunks/`: there is one
// copy of each class, whichever entries a program imports.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = process.argv[2] ?? join(root, 'dist');
const { exports, bin, dependencies, peerDependencies } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
);

/** What Node loads by its name: what package.json promises, and the worker process that the command starts. */
const entries = [
  ...Object.values(exports).flatMap((entry) => entry.default ?? []),
  ...Object.values(bin),
  'dist/cli/worker.js',
].map((file) => file.replace(/^(\.\/)?dist\//, '').replace(/\.js$/, ''));

rmSync(folder, { recursive: true, force: true });
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const types = ['-p', 'tsconfig.build.json', '--outDir', folder];
const { status } = spawnSync(process.execPath, [tsc, ...types], { cwd: root, stdio: 'inherit' });
if (status !== 0) process.exit(1);

/**
 * The chunk of a module of the core: its folder in `src`, so that a stack trace says where it is. Apart stands what
 * opens connections, which contracts do not need, and what has an effect when it is loaded (`sideEffects`).
 */
const PARTS = [
  ['metadata', /^api\/metadata/],
  ['servers', /^transport\/(redis|memory|open)/],
  ['broker', /^index\.ts$/],
  ['$1', /^(errors|(?!integrations|cli)\w+(?=\/))/],
];

function part(id) {
  const file = relative(join(root, 'src'), id).replaceAll('\\', '/');
  for (const [name, pattern] of PARTS) {
    const found = pattern.exec(file);
    if (found !== null) return name.replace('$1', found[1]);
  }
  return null;
}

await build({
  cwd: root,
  input: Object.fromEntries(entries.map((name) => [name, join(root, 'src', `${name}.ts`)])),
  external: Object.keys({ ...dependencies, ...peerDependencies }).map(
    (name) => new RegExp(`^${name}(/|$)`),
  ),
  platform: 'node',
  preserveEntrySignatures: 'allow-extension',
  tsconfig: 'tsconfig.build.json',
  transform: { target: 'node20.19' },
  output: {
    dir: folder,
    format: 'esm',
    // As deep as the folders of `src`: what is found from import.meta.url is found from both.
    chunkFileNames: 'chunks/[name].js',
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [{ name: part, debugName: 'part' }],
    },
    minifyInternalExports: false,
    comments: { legal: true, annotation: true, jsdoc: false },
    sourcemap: true,
    sourcemapExcludeSources: true,
  },
});
