import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { App } from '../index.ts';
import type {
  AsyncApiDocument,
  AsyncApiInfo,
  AsyncApiVersion,
} from '../integrations/asyncapi/index.ts';
import { messageOf } from '../errors.ts';
import { visibleLines } from '../internal/visible.ts';
import { loadApp, moduleTarget, type ModuleTarget } from './app-module.ts';
import { command } from './command.ts';
import { differences } from './differences.ts';
import { EXIT, UsageError } from './failure.ts';
import { logLine } from './output.ts';
import { leaveSoon } from './service.ts';

/** The differences that are told; there may be more. */
const MAX_TOLD = 20;

export const asyncapi = command({
  name: 'asyncapi',
  operands: ['<file[:export]>'],
  summary: "print an app's AsyncAPI document",
  text: `The file is as for 'redstart run'. It is imported and not started: nothing is connected, and
handlers that are registered by its hooks are not seen. Title and version are those of the
nearest package.json. With --check the exit code is 1 if the file differs.

  redstart asyncapi dist/app.js -o asyncapi.json
  redstart asyncapi dist/app.js --check asyncapi.json`,
  options: {
    output: { type: 'string', short: 'o', value: 'file', text: 'write it there' },
    check: { type: 'string', value: 'file', text: 'compare it with what is written there' },
    spec: { type: 'string', value: 'version', text: 'of AsyncAPI: 3.1.0 (default) or 3.0.0' },
  },
  async run([file = ''], { output, check, spec }) {
    if (output !== undefined && check !== undefined)
      throw new UsageError('asyncapi: give --output or --check, not both');
    const target = moduleTarget(file, 'asyncapi');
    const written = check === undefined ? undefined : documentIn(check);
    try {
      const document = await documentOf(await loadApp(target), target, spec);
      if (check !== undefined) return compare(document, written, check, file);
      const text = `${JSON.stringify(document, null, 2)}\n`;
      // In JSON an escape means the same as what it stands for.
      if (output === undefined) process.stdout.write(visibleLines(text));
      else writeFileSync(output, text);
      return EXIT.ok;
    } finally {
      leaveSoon();
    }
  },
});

/** The document of all brokers of an app, named as its package. */
async function documentOf(
  { brokers }: App,
  target: ModuleTarget,
  spec: string | undefined,
): Promise<AsyncApiDocument> {
  const { asyncapi: make } = await import('../integrations/asyncapi/index.ts');
  const info = infoOf(target);
  const [first, ...others] = brokers as [App['brokers'][number], ...App['brokers'][number][]];
  return make(first, ...others, {
    ...(info !== undefined && { info }),
    ...(spec !== undefined && { version: spec as AsyncApiVersion }), // it is checked there
  });
}

/** Title, version and description of the package that a module is in; undefined where there is none. */
export function infoOf({ path }: ModuleTarget): AsyncApiInfo | undefined {
  let folder = dirname(path);
  for (let above = dirname(folder); ; above = dirname(above)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) {
      const { name, version, description } = JSON.parse(readFileSync(manifest, 'utf8')) as Partial<
        Record<string, unknown>
      >;
      if (typeof name === 'string' && name !== '') {
        return {
          title: name,
          version: typeof version === 'string' && version !== '' ? version : '0.0.0',
          ...(typeof description === 'string' && { description }),
        };
      }
    }
    if (above === folder) return undefined;
    folder = above;
  }
}

function documentIn(file: string): unknown {
  const path = resolve(file);
  if (!existsSync(path)) throw new UsageError(`asyncapi: there is no file ${path}`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch (error) {
    throw new UsageError(`asyncapi: ${file} is not JSON (${messageOf(error)})`, { cause: error });
  }
}

function compare(document: unknown, written: unknown, check: string, file: string): number {
  const found = differences(written, document);
  if (found.length === 0) return EXIT.ok;
  logLine(`${check} is not the document of ${file} any more:`);
  for (const line of found.slice(0, MAX_TOLD)) logLine(`  ${line}`);
  if (found.length > MAX_TOLD) logLine(`  and ${found.length - MAX_TOLD} more`);
  logLine(`to write it anew: redstart asyncapi ${file} -o ${check}`);
  return EXIT.failed;
}
