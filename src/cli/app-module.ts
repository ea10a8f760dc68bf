import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { App, RedisBroker } from '../index.ts';
import { UsageError } from './failure.ts';

/** `dist/app.js` or `dist/app.js:exportName`, as given to `redstart run` and its like. */
export interface ModuleTarget {
  /** The command, for errors. */
  readonly command: string;
  readonly file: string;
  readonly path: string;
  readonly exportName: string;
}

/** Parses a target. Throws `UsageError` if there is no such file. */
export function moduleTarget(text: string, command: string): ModuleTarget {
  const [, file = text, exportName = 'default'] = /^(.+):([\w$]+)$/.exec(text) ?? [];
  const path = resolve(file);
  if (existsSync(path)) return { command, file, path, exportName };
  const hint = /\.[cm]?js$/.test(file) ? '; has it been compiled?' : '';
  throw new UsageError(`${command}: there is no file ${path}${hint}`);
}

/** Imports a module and returns the app that it exports; of an exported broker it makes an app. */
export async function loadApp({ command, file, path, exportName }: ModuleTarget): Promise<App> {
  if (/\.[cm]?tsx?$/.test(path)) await compileTypeScript(file, command);
  const { createApp } = await import('../index.ts');
  const exported = exportsOf(await import(pathToFileURL(path).href));
  const value = exported[exportName];
  if (isApp(value)) {
    if (!value.hasRun) return value;
    throw new UsageError(
      `${command}: ${file} calls run() on its app: leave that to 'redstart run', or start it by 'node ${file}'`,
    );
  }
  if (isBroker(value)) return createApp(value);
  const usable = Object.keys(exported).filter((name) => {
    return isApp(exported[name]) || isBroker(exported[name]);
  });
  const wanted = exportName === 'default' ? 'default export' : `export named '${exportName}'`;
  const found =
    value === undefined
      ? `${file} has no ${wanted}`
      : `the ${wanted} of ${file} is neither an App nor a RedisBroker`;
  const hint =
    usable.length === 0
      ? 'export what createApp() returned, or a RedisBroker'
      : `did you mean ${usable.map((name) => (name === 'default' ? file : `${file}:${name}`)).join(' or ')}?`;
  throw new UsageError(`${command}: ${found}; ${hint}`);
}

/** The exports of a module. A compiled CommonJS module has them in its default export. */
function exportsOf(namespace: unknown): Readonly<Record<string, unknown>> {
  const exported = namespace as Record<string, unknown>;
  const inner = exported['default'] as Record<string, unknown> | undefined;
  return inner?.['__esModule'] === true ? inner : exported;
}

/** Imports the project's tsx, which from then on compiles TypeScript on import. Node.js itself does not support decorators. */
async function compileTypeScript(file: string, command: string): Promise<void> {
  const project = createRequire(join(process.cwd(), 'package.json'));
  let tsx: string;
  try {
    tsx = project.resolve('tsx');
  } catch (error) {
    throw new UsageError(
      `${command}: ${file} is TypeScript, and tsx is not installed in ${process.cwd()}: npm install --save-dev tsx, or run the compiled JavaScript`,
      { cause: error },
    );
  }
  await import(pathToFileURL(tsx).href);
}

// Not `instanceof`: the module may import another copy of this package.

function isApp(value: unknown): value is App {
  return hasMethods(value, ['run', 'start', 'stop', 'exit']);
}

function isBroker(value: unknown): value is RedisBroker {
  return hasMethods(value, ['start', 'stop', 'register', 'publish']);
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
}
