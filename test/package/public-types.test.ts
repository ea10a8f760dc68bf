// "Every type in a public signature is exported": walks the declarations of the built package, from the entries on.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseSync, type Node } from 'oxc-parser';
import { beforeAll, expect, it } from 'vitest';
import { builtPackage } from '../support/built.ts';

/**
 * Types without a public name: what the compiler computes for a signature that has a name itself. Nobody writes
 * them down, and what is inferred is written without them. A type of options, parameters or results is exported instead.
 */
const HELPERS: Readonly<Record<string, readonly string[]>> = {
  'options that cannot be given, each a Mistake with its text': [
    'NoBatchOptions',
    'NoChannel',
    'NoChannelOptions',
    'NoDeliveryOptions',
    'NoGroupOptions',
    'NoListOptions',
    'NoPlace',
    'NoRatedOptions',
    'NoStreamOptions',
    'NoneOfOneSide',
    'OneDestination',
  ],
  'what the given options exclude': ['Excluded', 'ExcludedBeside', 'OnceAnswered'],
  'the options that fit what was given, chosen by a conditional type with a name': [
    'AddressOptionsBeside',
    'AnyOptionsFor',
    'Call',
    'Capped',
    'ContractAddressFor',
    'Held',
    'Identified',
    'MeantAddress',
    'MeantOptions',
    'OfContract',
    'PublishedTo',
    'Remembered',
    'SchemaAt',
    'Together',
    'WithPath',
  ],
  'questions about a type': [
    'CallsOf',
    'Fits',
    'IsDestination',
    'IsUnion',
    'Many',
    'MethodOf',
    'Named',
    'PathIn',
  ],
  'short names for a function, or for what may be a promise': [
    'AnyMethod',
    'EachKeyed',
    'Handler',
    'MaybePromise',
    'Published',
  ],
};

interface Declared {
  readonly file: string;
  readonly name: string;
}

interface File {
  /** Where a name of the file is declared: here, or in another file under another name. */
  readonly imports: ReadonlyMap<string, Declared>;
  readonly exports: ReadonlyMap<string, Declared>;
  readonly all: readonly string[];
  readonly nodes: ReadonlyMap<string, readonly Node[]>;
}

let dist: string;
const files = new Map<string, File>();

type Named = { readonly name?: string; readonly value?: string };
const nameOf = (node: unknown): string => (node as Named).name ?? String((node as Named).value);

function fileAt(path: string): File {
  const known = files.get(path);
  if (known !== undefined) return known;
  const [imports, exports, nodes] = [
    new Map<string, Declared>(),
    new Map<string, Declared>(),
    new Map<string, Node[]>(),
  ];
  const all: string[] = [];
  const target = (source: string): string | undefined =>
    source.startsWith('.') ? join(dirname(path), source.replace(/\.[jt]s$/, '.d.ts')) : undefined;
  for (const statement of parseSync(path, readFileSync(path, 'utf8')).program.body) {
    if (statement.type === 'ImportDeclaration') {
      const file = target(statement.source.value);
      if (file === undefined) continue;
      for (const one of statement.specifiers)
        if (one.type === 'ImportSpecifier')
          imports.set(one.local.name, { file, name: nameOf(one.imported) });
    } else if (statement.type === 'ExportAllDeclaration') {
      const file = target(statement.source.value);
      if (file !== undefined) all.push(file);
    } else if (statement.type === 'ExportNamedDeclaration' && statement.declaration == null) {
      const file = statement.source ? target(statement.source.value) : path;
      if (file === undefined) continue;
      for (const { local, exported } of statement.specifiers)
        exports.set(nameOf(exported), { file, name: nameOf(local) });
    } else {
      const isExported = statement.type === 'ExportNamedDeclaration';
      const declaration = isExported ? statement.declaration : statement;
      const { id, declarations } = declaration as {
        id?: unknown;
        declarations?: readonly { id: unknown }[];
      };
      for (const one of declarations?.map((variable) => variable.id) ?? [id]) {
        if (one == null) continue;
        const name = nameOf(one);
        nodes.set(name, [...(nodes.get(name) ?? []), declaration as Node]);
        if (isExported) exports.set(name, { file: path, name });
      }
    }
  }
  const file = { imports, exports, all, nodes };
  files.set(path, file);
  return file;
}

/** Where a name that a file uses is declared; undefined for one of the language or of another package. */
function find(file: string, name: string): Declared | undefined {
  const { imports, exports, all, nodes } = fileAt(file);
  if (nodes.has(name)) return { file, name };
  const from = imports.get(name) ?? exports.get(name);
  if (from !== undefined && (from.file !== file || from.name !== name))
    return find(from.file, from.name);
  return all.map((one) => find(one, name)).find((one) => one !== undefined);
}

/** What an entry exports. */
function publicOf(file: string): Declared[] {
  const { exports, all } = fileAt(file);
  return [
    ...[...exports.values()].map(({ file: from, name }) => find(from, name)),
    ...all.flatMap(publicOf),
  ].filter((one) => one !== undefined);
}

const key = ({ file, name }: Declared): string => `${relative(dist, file)} ${name}`;

/** The types that a declaration names, without what is private in it and without its own parameters. */
function namesIn(node: unknown, own: ReadonlySet<string> = new Set()): string[] {
  if (Array.isArray(node)) return node.flatMap((one: unknown) => namesIn(one, own));
  if (typeof node !== 'object' || node === null) return [];
  const given = node as Readonly<Record<string, unknown>> & { readonly type?: string };
  if (given['accessibility'] === 'private') return [];
  const parameters = (given['typeParameters'] as { params?: readonly { name: unknown }[] } | null)
    ?.params;
  const inner = parameters ? new Set([...own, ...parameters.map((one) => nameOf(one.name))]) : own;
  const found: string[] = [];
  if (given.type === 'TSTypeReference') found.push(nameOf(given['typeName']));
  if (given.type === 'TSInterfaceHeritage') found.push(nameOf(given['expression']));
  if (given.type === 'ClassDeclaration' && given['superClass'] != null)
    found.push(nameOf(given['superClass']));
  const below = Object.values(given).flatMap((value) => namesIn(value, inner));
  return [...found.filter((name) => !inner.has(name)), ...below];
}

beforeAll(async () => {
  dist = await builtPackage();
}, 300_000);

it('every type in a public signature is exported, or is a helper of the list', () => {
  const { exports } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { exports: Readonly<Record<string, { types?: string }>> };
  const entries = Object.values(exports).flatMap(({ types }) => types ?? []);
  const paths = entries.map((entry) => join(dist, relative('dist', entry)));
  expect(paths.filter((path) => !existsSync(path))).toEqual([]);
  const open = new Map(paths.flatMap(publicOf).map((one) => [key(one), one]));
  expect(open.size).toBeGreaterThan(200);

  const hidden = new Map<string, Set<string>>();
  for (const { file, name } of open.values()) {
    const nodes = fileAt(file).nodes.get(name) ?? [];
    for (const used of nodes.flatMap((node) => namesIn(node))) {
      const declared = find(file, used);
      if (declared === undefined || open.has(key(declared))) continue;
      hidden.set(declared.name, (hidden.get(declared.name) ?? new Set()).add(name));
    }
  }
  const helpers = new Set(Object.values(HELPERS).flat());
  const unnamed = [...hidden].filter(([name]) => !helpers.has(name));
  expect(unnamed.map(([name, users]) => `${name}, used by ${[...users].join(', ')}`)).toEqual([]);
  // The list has no name that is not needed: it would hide a type of that name.
  expect([...helpers].filter((name) => !hidden.has(name))).toEqual([]);
});
