import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/**
 * The layers of src, lowest first: folders and files. Everything imports only from rows above its
 * own, types included. A file belongs to the longest entry that begins its path.
 */
const LAYERS = [
  ['errors.ts'],
  ['internal/'],
  ['message/', 'transport/'],
  ['transport/open.ts', 'transport/redis/', 'api/contract.ts'],
  [
    ...['api/command.ts', 'message/encoder.ts', 'publish/lazy-stream.ts', 'api/publishing.ts'],
    ...['publish/together.ts', 'consume/subscription.ts', 'consume/batch-source.ts'],
  ],
  [
    ...['api/context.ts', 'api/error-handlers.ts', 'api/middleware.ts', 'api/state.ts'],
    ...['consume/', 'rpc/deadline.ts'],
  ],
  ['rpc/'],
  ['api/delivery.ts'],
  ['api/options.ts', 'consume/consumer.ts'],
  ['consume/dead-letters.ts', 'api/check.ts', 'publish/pipeline.ts'],
  ['api/', 'rpc/session.ts', 'publish/check.ts', 'publish/contracts.ts'],
  ['publish/sender.ts'],
  ['publish/publisher.ts'],
  ['broker/subscriber.ts'],
  ['broker/router.ts', 'consume/running-subscriber.ts'],
  ['broker/plan.ts'],
  ['broker/build.ts'],
  ['broker/runner.ts'],
  ['broker/health.ts'],
  ['broker/broker.ts'],
  ['broker/app.ts', 'testing/'],
  ['index.ts'],
  ['cli/'],
];

const MAX_LINES = 400;

const src = fileURLToPath(new URL('../../src', import.meta.url));

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

interface SourceFile {
  /** Relative to src, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

/** Static imports, re-exports, side-effect imports, dynamic imports and types by `import('…')`. */
function importsOf(text: string): Import[] {
  const code = text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  const from = /\b(import|export)\s+(type\s+)?(?:[\w*$\s,{}]+?\s+from\s+)?'([^']+)'/g;
  for (const [, , type, specifier = ''] of code.matchAll(from)) {
    found.push({ specifier, typeOnly: type !== undefined });
  }
  for (const [, specifier = ''] of code.matchAll(/\b(?:import|require)\(\s*'([^']+)'/g)) {
    found.push({ specifier, typeOnly: false });
  }
  return found;
}

const files: SourceFile[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8');
    return { path: path.replaceAll('\\', '/'), text, imports: importsOf(text) };
  });

/** The entry of LAYERS that a file belongs to. */
function layerOf(path: string): string {
  const entries = LAYERS.flat().filter((entry) => path.startsWith(entry));
  return entries.toSorted((a, b) => b.length - a.length)[0] ?? path;
}

function rankOf(layer: string): number {
  return LAYERS.findIndex((row) => row.includes(layer));
}

/** The files of src that a file imports. */
function targetsOf(file: SourceFile, withTypes: boolean): string[] {
  return file.imports
    .filter(({ specifier, typeOnly }) => specifier.startsWith('.') && (withTypes || !typeOnly))
    .map(({ specifier }) => posix.join(posix.dirname(file.path), specifier));
}

/** The first way round that comes back to where it began, if there is one. */
function findCircle(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of edges.get(file) ?? []) {
      const circle = visit(next, [...way, file]);
      if (circle !== undefined) return circle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) {
    const circle = visit(file, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

describe('the source tree', () => {
  it('is read as it is written: every import is seen', () => {
    expect(
      importsOf(`
        import 'a';
        import type { B } from 'b';
        import c, { type D } from 'c';
        import {
          E,
        } from 'e';
        export { F } from 'f';
        export * as g from 'g';
        // import 'comment';
        /* import 'block'; */
        const h = await import('h');
        const i = 'from nowhere';
      `).map(({ specifier, typeOnly }) => (typeOnly ? `type ${specifier}` : specifier)),
    ).toEqual(['a', 'type b', 'c', 'e', 'f', 'g', 'h']);
    const paths = new Set(files.map(({ path }) => path));
    const missing = files.flatMap((file) =>
      targetsOf(file, true)
        .filter((target) => !paths.has(target))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(missing).toEqual([]);
    expect(paths.size).toBeGreaterThan(40);
  });

  it('has a place in the table of layers for every file', () => {
    const layers = new Set(files.map(({ path }) => layerOf(path)));
    expect([...layers].filter((layer) => rankOf(layer) === -1)).toEqual([]);
    expect(LAYERS.flat().filter((layer) => !layers.has(layer))).toEqual([]);
  });

  it('imports only from lower layers, types included', () => {
    const wrong = files.flatMap((file) => {
      const layer = layerOf(file.path);
      return targetsOf(file, true)
        .filter((target) => rankOf(layerOf(target)) > rankOf(layer))
        .map((target) => `${file.path} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it('has no circle of imports between files', () => {
    expect(
      findCircle(
        new Map([
          ['a', ['b']],
          ['b', ['c']],
          ['c', ['b']],
        ]),
      ),
    ).toEqual(['b', 'c', 'b']);
    expect(findCircle(new Map(files.map((file) => [file.path, targetsOf(file, true)])))).toBe(
      undefined,
    );
  });

  it('names ioredis in src/transport/redis alone, but for a type of the broker', () => {
    const users = files
      .flatMap(({ path, imports }) => imports.map((one) => ({ path, ...one })))
      .filter(({ specifier }) => /^ioredis(\/|$)/.test(specifier))
      .filter(
        ({ path, typeOnly }) =>
          !path.startsWith('transport/redis/') && !(path === 'broker/broker.ts' && typeOnly),
      );
    expect(users).toEqual([]);
  });

  it('imports nothing that the package does not declare', () => {
    const manifest = JSON.parse(readFileSync(join(dirname(src), 'package.json'), 'utf8')) as {
      dependencies: object;
      peerDependencies: object;
    };
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
    const foreign = files
      .flatMap(({ imports }) => imports.map(({ specifier }) => specifier))
      .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'));
    expect(foreign).not.toEqual([]);
    expect(foreign.filter((specifier) => !declared.includes(specifier))).toEqual([]);
  });

  it(`has no file of more than ${MAX_LINES} lines`, () => {
    const long = files
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });
});
