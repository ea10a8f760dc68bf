import { statSync } from 'node:fs';
import { arch, platform } from 'node:process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisUrl } from '../support/redis.ts';
import { Scratch } from './scratch.ts';

/** The oldest that `engines` allows of each line: what works there works later. */
const VERSIONS = ['20.19.0', '22.12.0'];

/** npm carries Node itself, one package for each platform; its name says `win` where Node says `win32`. */
const NODE_PACKAGE = `node-${platform === 'win32' ? 'win' : platform}-${arch}`;

/** A decorated class answers a call; written as a compiler leaves a decorated class. */
const PROGRAM = `
async function main({ RedisBroker, RemoteError, subscriber }) {
  class Prices {
    price(sku) {
      if (sku === 'none') throw new RangeError('no such sku');
      return { sku, cents: 1999 };
    }
  }
  const method = Object.getOwnPropertyDescriptor(Prices.prototype, 'price');
  subscriber('prices')(Prices.prototype, 'price', method);
  const broker = new RedisBroker('memory://scratch', {
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  broker.register(new Prices());
  await broker.start();
  const answer = await broker.publish('A-1', { channel: 'prices', rpc: true, timeout: 20000 });
  const error = await broker
    .publish('none', { channel: 'prices', rpc: true, timeout: 20000 })
    .catch((error) => error);
  await broker.stop();
  console.log(JSON.stringify({
    node: process.versions.node,
    answer,
    error: [error instanceof RemoteError, error.remoteName],
  }));
}
`;

const scratch = new Scratch();

beforeAll(async () => {
  await scratch.pack();
  const nodes = VERSIONS.map((version) => [`node-${version}`, `npm:${NODE_PACKAGE}@${version}`]);
  await scratch.install({
    ...(Object.fromEntries(nodes) as Record<string, string>),
    tsx: '4.23.15',
  });
  scratch.write('imported.mjs', `${PROGRAM}\nmain(await import('redstart'));`);
  scratch.write('static.mjs', `import * as redstart from 'redstart';\n${PROGRAM}\nmain(redstart);`);
  scratch.write('app.ts', APP);
  scratch.write('app.mts', APP);
  scratch.write('required.cjs', `${PROGRAM}\nmain(require('redstart'));`);
}, 180_000);

afterAll(() => scratch.remove());

/** An app as its author writes it: with types and decorators. */
const APP = `
import { RedisBroker, createApp, subscriber } from 'redstart';

class Prices {
  @subscriber('prices')
  price(sku: string): object {
    return { sku, cents: 1999 };
  }
}
const broker = new RedisBroker(process.env['REDIS_URL'] ?? 'memory://app');
broker.register(new Prices());
const app = createApp(broker, {
  afterStartup: async () => {
    const answer = await broker.publish('A-1', { channel: 'prices', rpc: true, timeout: 20_000 });
    console.log(JSON.stringify([process.versions.node, answer]));
    setImmediate(() => app.exit()); // when the start is over
  },
});
export default app;
`;

/** The machine may be busy. */
const timeout = 180_000;

describe.each(VERSIONS)('the packed tarball, installed, under Node %s', (version) => {
  const file = platform === 'win32' ? 'node.exe' : 'node';
  const binary = join(scratch.project, 'node_modules', `node-${version}`, 'bin', file);

  it.each(['static.mjs', 'imported.mjs', 'required.cjs'])(
    'answers a call in a program that loads it as %s does',
    async (program) => {
      const printed = await scratch.node(['--disable-warning=ExperimentalWarning', program], {
        binary,
      });
      expect(JSON.parse(printed)).toEqual({
        node: version,
        answer: { sku: 'A-1', cents: 1999 },
        error: [true, 'RangeError'],
      });
    },
    timeout,
  );

  // Without "type": "module", app.ts is CommonJS, and its redstart another copy than the command's.
  it.each(['app.ts', 'app.mts'])(
    "has a command that runs %s with the project's tsx",
    async (file) => {
      const command = join('node_modules', '.bin', 'redstart');
      const printed = await scratch.node(
        ['--disable-warning=ExperimentalWarning', command, 'run', file],
        { binary },
      );
      const [answer, ...notes] = printed.trimEnd().split('\n');
      expect(JSON.parse(answer as string)).toEqual([version, { sku: 'A-1', cents: 1999 }]);
      expect(notes).toEqual([expect.stringMatching(`redstart: ${file} runs, process \\d+`)]);
    },
    timeout,
  );
});

describe('the packed tarball', () => {
  it('holds the code, its types, the licence and nothing of the tests', async () => {
    const listed = await scratch.node([
      '--eval',
      `console.log(JSON.stringify(fs.readdirSync('node_modules/redstart').sort()))`,
    ]);
    expect(JSON.parse(listed)).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist',
      'docs',
      'examples',
      'package.json',
      'src',
    ]);
  });

  it('has less than 1.5 MB, as `npm run pack` wants it', () => {
    expect(statSync(scratch.tarball).size).toBeLessThan(1_500_000);
  });

  it('gives publint nothing to say', { timeout }, async () => {
    const printed = await scratch.tool('publint/src/cli.js', ['run', '--strict', scratch.tarball]);
    expect(printed).toContain('All good!');
  });

  it('gives are-the-types-wrong nothing to say', { timeout }, async () => {
    // ESM alone: a CommonJS program loads it by require(), as TypeScript's node20 mode knows.
    const flags = ['--profile', 'esm-only', '--no-emoji', '--no-color'];
    const cli = '@arethetypeswrong/cli/dist/index.js';
    const printed = await scratch.tool(cli, [scratch.tarball, ...flags]);
    // It ends with 1, and so rejects above, where a resolution outside the profile's has a problem.
    expect(printed).toContain('OK (ESM)');
  });
});

describe('the packed tarball in a project with ioredis 5', () => {
  const five = new Scratch();
  const oldest = /\^(5[\d.]+)/.exec(five.manifest.peerDependencies['ioredis'] as string)?.[1];

  beforeAll(async () => {
    five.tarball = scratch.tarball;
    const types = five.manifest.devDependencies['@types/node'] as string;
    await five.install({ ioredis: oldest as string, '@types/node': types });
  }, 120_000);

  afterAll(() => five.remove());

  it(
    'is installed by npm, compiles with all types checked, and works over each structure',
    async () => {
      five.write('main.mts', FIVE);
      const options = { target: 'es2022', module: 'nodenext', strict: true, types: ['node'] };
      five.write('tsconfig.json', { compilerOptions: options, include: ['main.mts'] });
      expect(await five.tool('typescript/bin/tsc', ['-p', '.'])).toBe('');
      const printed = await five.node(['main.mjs', redisUrl()]);
      const answers = ['channel 1', 'list 1', 'reliable 1', 'stream 1', 'own 1'];
      expect(JSON.parse(printed)).toEqual([oldest, answers]);
    },
    timeout,
  );
});

/** Calls over each structure, once with a client of the caller's own. */
const FIVE = `
import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import { RedisBroker, type Destination } from 'redstart';

const url = process.argv[2] as string;
const name = 'five:' + Math.random().toString(36).slice(2);
const broker = new RedisBroker(url, { logger: false });
broker.subscriber({ channel: name + ':c' }, (n: number) => 'channel ' + n);
broker.subscriber({ list: name + ':l' }, (n: number) => 'list ' + n);
broker.subscriber({ list: name + ':r', reliable: true }, (n: number) => 'reliable ' + n);
broker.subscriber({ stream: name + ':s', group: 'g' }, (n: number) => 'stream ' + n);
await broker.start();
const answers: unknown[] = [];
const places: Destination[] = [
  { channel: name + ':c' },
  { list: name + ':l' },
  { list: name + ':r' },
  { stream: name + ':s' },
];
for (const to of places) answers.push((await broker.request(1, { ...to, timeout: 20_000 })).body);
const client = new Redis(url);
const own = new RedisBroker(client, { logger: false });
own.subscriber({ channel: name + ':o' }, (n: number) => 'own ' + n);
await own.start();
answers.push(await broker.publish(1, { channel: name + ':o', rpc: true, timeout: 20_000 }));
await own.stop();
await client.del(name + ':s');
client.disconnect();
await broker.stop();
const { version } = createRequire(import.meta.url)('ioredis/package.json') as { version: string };
console.log(JSON.stringify([version, answers]));
`;
