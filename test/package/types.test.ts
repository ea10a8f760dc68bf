import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLong } from '../support/long.ts';
import { PROGRAM as PAIRS } from './pairs.ts';
import { Scratch } from './scratch.ts';

/** Exact: a compiler that changes on its own would fail a change that has nothing to do with it. */
const COMPILERS = isLong ? ['5.9.3', '6.0.3', '7.0.2'] : ['5.9.3', '7.0.2'];

/** A user's program: right uses that must compile, and wrong ones that must not. */
const PROGRAM = `
import { RedisBroker, RedisResponse, RedisRouter, Response, subscriber } from 'redstart';
import type { BrokerOptions, Message, MessageContext, Middleware } from 'redstart';
import { z } from 'zod';

const Order = z.object({ sku: z.string(), quantity: z.number() });

class Orders {
  @subscriber('prices')
  price(sku: string, ctx: MessageContext): object {
    ctx.logger.info({ id: ctx.message.correlationId }, 'asked');
    return { sku, cents: 1999 };
  }

  @subscriber({ list: 'orders', schema: Order })
  async place(order: z.infer<typeof Order>): Promise<Response> {
    return new Response({ accepted: order.quantity > 0 }, { headers: { 'x-region': 'eu' } });
  }

  @subscriber({ stream: 'shipments', group: 'warehouse', maxRecords: 100 })
  async ship(_body: unknown): Promise<RedisResponse> {
    return new RedisResponse('shipped', { maxlen: 1_000 });
  }

  // @ts-expect-error: the schema gives an order, the method wants a number
  @subscriber({ list: 'orders', schema: Order })
  wrong(_order: number): void {}

  // @ts-expect-error: a channel has no group
  @subscriber({ channel: 'audit', group: 'auditors' })
  audit(_entry: unknown): void {}
}

export async function main(options: BrokerOptions): Promise<void> {
  await using broker = new RedisBroker('memory://', options);
  const time: Middleware = (_message, next) => next();
  broker.use(time);
  broker.include(new RedisRouter());
  broker.register(new Orders());
  await broker.start();
  const receivers: number = await broker.publish('A-1', { channel: 'prices' });
  const id: string = await broker.publish({}, { stream: 'shipments', maxlen: 10 });
  const reply: Message = await broker.request('A-1', { channel: 'prices', timeout: 3_000 });
  const answer: unknown = await broker.publish('A-1', { channel: 'prices', rpc: true });
  // @ts-expect-error: one destination
  await broker.publish('A-1', { channel: 'prices', list: 'orders' });
  // @ts-expect-error: a reply channel is of a call
  await broker.publish('A-1', { channel: 'prices', replyChannel: 'dedicated' });
  void [receivers, id, reply.body, answer];
}
`;

/** Mistakes, and what the first line of each error says. */
const MISTAKES = readFileSync(new URL('mistakes.txt', import.meta.url), 'utf8');

/** Exports the inferred type of everything: its declaration cannot be written if a type in a public signature has no public name. */
const EVERYTHING = `
import * as redstart from 'redstart';
import * as testing from 'redstart/testing';
import { z } from 'zod';

export const broker = new redstart.RedisBroker('memory://types');
export const router = new redstart.RedisRouter();
export const { publish, request, requestMany, gather, publishBatch, pipeline } = broker;
export const { connect, start, stop, ping, health, stats, subscribers, client } = broker;
export const { register, include, use, onError, observe, override, deadLetters, subscribe } = broker;
export const { subscriber, publisher, clientFor, describe } = broker;
export const orders = z.object({ sku: z.string() });
export const place = redstart.rpc(
  { list: 'orders', reliable: true, retry: { maxDeliveries: 3 } },
  { request: orders, reply: orders, errors: { GONE: orders } },
);
export const shipped = redstart.event({ stream: 'shipped', group: 'g' }, { schema: orders });
export const [placing, shipping] = [redstart.subscriber(place), redstart.subscriber(shipped)];
export const decorator = redstart.subscriber({ channel: 'logs.{level}', schema: orders });
export const forwarding = redstart.publisher(shipped);
export const handling = broker.subscriber({ list: 'a', schema: orders }, (body) => body);
export const [sender, caller] = [broker.publisher('a', { schema: orders }), broker.publisher(place)];
export const sends = [sender.publish, sender.request, sender.publishBatch, caller.publish] as const;
export const collected = broker.pipeline();
export const { publish: collect, send } = collected;
export const consumer = broker.subscribe(place);
export const box = broker.deadLetters({ list: 'dead' });
export const { list, redrive, remove, count } = box;
export const clients = broker.clientFor({ place, shipped });
export const app = redstart.createApp(broker);
export const failing = redstart.onError(redstart.RpcError, (error, ctx) => [error, ctx]);
export const context = testing.testContext('body');
export const tested = testing.testBroker(broker);
export const nack = (ctx: redstart.MessageContext) => ctx.nack;
export const hooks = (options: redstart.AppOptions) => ({ ...options });
export const command = (given: redstart.PublishCommand) => ({ ...given });
export const { createApp, defaultCodec, binaryFormat, fromType, Response, RedisResponse } = redstart;
`;

/** The names that an entry of the package exports: first values, then types. */
function exportsOf(entry: string): [values: string[], types: string[]] {
  const declared = readFileSync(
    join(scratch.project, `node_modules/redstart/dist/${entry}`),
    'utf8',
  );
  const values: string[] = [];
  const types: string[] = [];
  for (const [, type, names = ''] of declared.matchAll(/export (type )?\{([^}]*)\}/g)) {
    for (const name of names.split(',').map((one) => one.trim())) {
      const own = name.replace('type ', '').replace(/^.* as /, '');
      if (own === '') continue;
      (type === undefined && own === name.replace(/^.* as /, '') ? values : types).push(own);
    }
  }
  return [values, types];
}

/** The first line of each error in a file that says what is wrong, by the line of the file. */
function firstLines(output: string, file: string): Map<number, string> {
  const lines = new Map<number, string>();
  let current = 0;
  for (const line of output.split('\n')) {
    const [, path = '', number, text = line] =
      /^(\S+)\((\d+),\d+\): error TS\d+: (.*)/.exec(line) ?? [];
    if (number !== undefined) current = path.endsWith(file) ? Number(number) : 0;
    if (/Unable to resolve signature|No overload matches|gave the following error/.test(text))
      continue;
    if (current > 0 && !lines.has(current)) lines.set(current, text.trim());
  }
  return lines;
}

/** Where the first line about a mistake does not have the text of the comment above it, and lines that have no such comment. */
function misnamed(program: string, file: string, output: string): object[] {
  const found = firstLines(output, file);
  const wanted = new Map<number, string>();
  for (const [i, line] of program.split('\n').entries()) {
    const text = /^ +\/\/ (.*)/.exec(line)?.[1];
    if (text !== undefined) wanted.set(i + 2, text);
  }
  expect(wanted.size).toBeGreaterThan(25);
  return [...new Set([...wanted.keys(), ...found.keys()])]
    .map((line) => ({ line, wanted: wanted.get(line), found: found.get(line) }))
    .filter((one) => one.wanted === undefined || one.found?.includes(one.wanted) !== true);
}

const scratch = new Scratch();

beforeAll(async () => {
  await scratch.pack();
  const compilers = COMPILERS.map((version) => [`ts-${version}`, `npm:typescript@${version}`]);
  await scratch.install({
    ...(Object.fromEntries(compilers) as Record<string, string>),
    '@types/node': '^20.19.0',
    zod: '^4.0.0',
  });
  for (const [folder, type] of Object.entries({ esm: 'module', cjs: 'commonjs' })) {
    scratch.write(`${folder}/package.json`, { type });
    scratch.write(`${folder}/program.ts`, PROGRAM);
  }
  scratch.write('mistakes/package.json', { type: 'module' });
  scratch.write('mistakes/mistakes.ts', MISTAKES);
  scratch.write('mistakes/pairs.ts', PAIRS);
  const [values, types] = exportsOf('index.d.ts');
  const [testValues, testTypes] = exportsOf('testing/index.d.ts');
  expect(
    Math.min(values.length, types.length, testValues.length, testTypes.length),
  ).toBeGreaterThan(1);
  scratch.write('everything/package.json', { type: 'module' });
  scratch.write(
    'everything/everything.ts',
    `${EVERYTHING}
export { ${values.map((name) => `${name} as value${name}`).join(', ')} } from 'redstart';
export type { ${types.join(', ')} } from 'redstart';
export type { MessageState } from 'redstart';
export { ${testValues.map((name) => `${name} as value${name}`).join(', ')} } from 'redstart/testing';
export type { ${testTypes.map((name) => `${name} as Testing${name}`).join(', ')} } from 'redstart/testing';
`,
  );
}, 180_000);

afterAll(() => scratch.remove());

interface Compilation {
  readonly folder: string;
  readonly options: {
    readonly experimentalDecorators: boolean;
    readonly [option: string]: unknown;
  };
}

const mistakes = (experimentalDecorators: boolean): Compilation => ({
  folder: 'mistakes',
  options: { experimentalDecorators, skipLibCheck: true, noEmit: true },
});

const everything = (version: string): Compilation => ({
  folder: 'everything',
  options: {
    experimentalDecorators: true,
    skipLibCheck: true,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: 'everything',
    outDir: `out-${version}`,
  },
});

const program = (
  folder: string,
  moduleResolution: string,
  experimentalDecorators: boolean,
): Compilation => ({
  folder,
  options: {
    module: moduleResolution === 'bundler' ? 'preserve' : moduleResolution,
    moduleResolution,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    experimentalDecorators,
    emitDecoratorMetadata: experimentalDecorators,
  },
});

const PROGRAMS: readonly [title: string, compilation: Compilation][] = [
  ['with experimentalDecorators', program('esm', 'nodenext', true)],
  ['with standard decorators', program('esm', 'nodenext', false)],
  ['in a CommonJS program that requires it', program('cjs', 'nodenext', true)],
  ['for a bundler', program('esm', 'bundler', false)],
];

/**
 * Does what `tsc -p` does with each configuration, in one process: a compiler that is written in JavaScript needs most of its time to
 * become fast. argv: the compiler, then configurations. Prints their outputs as JSON.
 */
const TSC = `
const [compiler, ...configs] = process.argv.slice(2);
const ts = require(compiler);
const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic(problem) { throw new Error(problem.messageText); } };
const outputs = configs.map((config) => {
  const { fileNames, options, errors } = ts.getParsedCommandLineOfConfigFile(config, {}, host);
  const program = ts.createProgram({ rootNames: fileNames, options, configFileParsingDiagnostics: errors });
  const found = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
  return ts.formatDiagnostics(ts.sortAndDeduplicateDiagnostics(found), {
    getCurrentDirectory: ts.sys.getCurrentDirectory,
    getCanonicalFileName: (name) => name,
    getNewLine: () => '\\n',
  });
});
console.log(JSON.stringify({ version: ts.version, outputs }));
`;

/** What a compiler says about each; it is asked once for all of them. */
async function compileAll(
  version: string,
  all: readonly Compilation[],
): Promise<Map<Compilation, string>> {
  const configs = all.map(({ folder, options }, i) => {
    const config = `tsconfig-${version}-${i}.json`;
    scratch.write(config, {
      compilerOptions: {
        target: 'ES2022',
        lib: ['ES2023', 'ESNext.Disposable'],
        module: 'nodenext',
        moduleResolution: 'nodenext',
        types: ['node'],
        strict: true,
        skipLibCheck: false,
        ...options,
      },
      include: [folder],
    });
    return config;
  });
  const compiler = `ts-${version}`;
  const outputs: string[] = [];
  if (version.startsWith('7.')) {
    const tsc = join('node_modules', compiler, 'bin', 'tsc');
    expect(await scratch.node([tsc, '--version'])).toContain(version);
    for (const config of configs) {
      const said = scratch.node([tsc, '-p', config, '--pretty', 'false']);
      outputs.push(await said.catch(({ message }: Error) => message));
    }
  } else {
    scratch.write('tsc.cjs', TSC);
    const said = JSON.parse(await scratch.node(['tsc.cjs', compiler, ...configs])) as {
      version: string;
      outputs: string[];
    };
    expect(said.version).toBe(version);
    outputs.push(...said.outputs);
  }
  return new Map(all.map((compilation, i) => [compilation, outputs[i] as string]));
}

describe.each(COMPILERS)('the published types under TypeScript %s', (version) => {
  // How a program is compiled is tried with the oldest; the others need 10 s for each.
  const isFull = isLong || version === COMPILERS[0];
  const wrong = (isFull ? [true, false] : [true]).map(mistakes);
  const programs = isFull ? PROGRAMS : PROGRAMS.slice(0, 1);
  const right = everything(version);
  let outputs: Map<Compilation, string>;
  beforeAll(async () => {
    outputs = await compileAll(version, [...wrong, right, ...programs.map(([, one]) => one)]);
  }, 240_000);

  it('name the mistake in the first line of an error', () => {
    for (const one of wrong)
      expect(misnamed(MISTAKES, 'mistakes.ts', outputs.get(one) as string)).toEqual([]);
  });

  it('refuse every pair of options that is refused at run time, wherever it is written', () => {
    for (const one of wrong)
      expect(misnamed(PAIRS, 'pairs.ts', outputs.get(one) as string)).toEqual([]);
  });

  it('export every type that stands in a public signature', () => {
    expect(outputs.get(right)).toBe('');
  });

  it.each(programs)('accept right uses and refuse wrong ones %s', (_, one) => {
    expect(outputs.get(one)).toBe('');
  });
});
