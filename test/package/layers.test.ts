import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Floors from the ground to src/index.ts; see docs/message-path.md for how they are counted. */
const MAX_FLOORS = 8;

/** Entries at the root of src. */
const MAX_ENTRIES = 13;

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

/** The entry at the root of src that a file belongs to: a folder, or a file. */
function entryOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path;
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

/** What each entry at the root of src imports, types included. */
function entriesImported(): Map<string, string[]> {
  const imported = new Map<string, Set<string>>();
  for (const file of files) {
    const entry = entryOf(file.path);
    const targets = imported.get(entry) ?? new Set();
    for (const target of targetsOf(file, true))
      if (entryOf(target) !== entry) targets.add(entryOf(target));
    imported.set(entry, targets);
  }
  // A door that uses no file of another entry still has its place.
  return new Map([...imported].map(([entry, targets]) => [entry, [...targets]]));
}

/** The ground is floor 1; everything else stands one floor above the highest entry that it imports. */
function floorsOf(imported: ReadonlyMap<string, readonly string[]>): Map<string, number> {
  const floors = new Map<string, number>();
  const floorOf = (entry: string): number => {
    const known = floors.get(entry);
    if (known !== undefined) return known;
    const floor = 1 + Math.max(0, ...(imported.get(entry) ?? []).map(floorOf));
    floors.set(entry, floor);
    return floor;
  };
  for (const entry of imported.keys()) floorOf(entry);
  return floors;
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
    expect(paths.size).toBeGreaterThan(100);
  });

  it('has no circle of imports between the entries at its root', () => {
    expect(findCircle(entriesImported())).toBe(undefined);
  });

  it(`has at most ${MAX_FLOORS} floors up to the door, and ${MAX_ENTRIES} entries at its root`, () => {
    expect(
      floorsOf(
        new Map([
          ['a', []],
          ['b', ['a']],
          ['c', ['a', 'b']],
        ]),
      ),
    ).toEqual(
      new Map([
        ['a', 1],
        ['b', 2],
        ['c', 3],
      ]),
    );
    const imported = entriesImported();
    expect(floorsOf(imported).get('index.ts')).toBeLessThanOrEqual(MAX_FLOORS);
    expect(imported.size).toBeLessThanOrEqual(MAX_ENTRIES);
  });

  it('lets the command line import the doors, and of the floors below only errors and helpers', () => {
    const imported = entriesImported();
    const allowed = ['index.ts', 'testing', 'integrations', 'errors.ts', 'internal'];
    expect(imported.get('cli')?.filter((entry) => !allowed.includes(entry))).toEqual([]);
    expect(imported.get('integrations') ?? []).toEqual(
      (imported.get('integrations') ?? []).filter((entry) =>
        ['index.ts', 'testing'].includes(entry),
      ),
    );
    for (const entry of [...imported.keys()].filter(
      (name) => !['cli', 'integrations'].includes(name),
    ))
      expect(
        imported.get(entry)?.filter((other) => ['cli', 'integrations'].includes(other)),
      ).toEqual([]);
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

  it('names ioredis in src/transport/redis alone', () => {
    const users = files
      .flatMap(({ path, imports }) => imports.map((one) => ({ path, ...one })))
      .filter(({ specifier }) => /^ioredis(\/|$)/.test(specifier));
    expect(users).not.toEqual([]);
    expect(users.filter(({ path }) => !path.startsWith('transport/redis/'))).toEqual([]);
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
