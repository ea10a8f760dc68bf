import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { CommandLine, type Started } from './command-line.ts';

let cli: CommandLine;
beforeAll(async () => {
  cli = await CommandLine.install();
  // Answers with the number of its worker and its process; takes 20 ms for an item of the list.
  cli.write(
    'app.mjs',
    `import { RedisBroker, createApp } from 'redstart';
    const prefix = process.env.PREFIX;
    const broker = new RedisBroker(process.env.REDIS_URL, { prefix });
    broker.subscriber('who', () => [process.env.REDSTART_WORKER, process.pid]);
    broker.subscriber({ list: 'work', concurrency: 2 }, async (body) => {
      await broker.client.rpush(prefix + 'begun', body);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await broker.client.rpush(prefix + 'done', body);
    });
    const app = createApp(broker, {
      onStartup: () => console.log('onStartup'),
      beforeShutdown: () => console.error('begins to stop'),
      onShutdown: () => console.log('onShutdown'),
    });
    broker.subscriber('exit', (code) => app.exit(code));
    broker.subscriber('hang', () => new Promise(() => console.log('hangs')));
    broker.subscriber('leak', () => void setInterval(() => {}, 1000));
    export default app;
    export { broker };
    export const nothing = 1;`,
  );
});
afterAll(() => cli.remove());

/** Starts the app under names of its own, and waits until `workers` of it run. */
async function startApp(
  args: readonly string[],
  workers = 1,
  file = 'app.mjs',
): Promise<Started & { prefix: string }> {
  const prefix = `${unique('cli')}:`;
  const started = cli.start(['run', file, ...args], { env: { PREFIX: prefix } });
  await started.hears('runs, process', workers);
  return { ...started, prefix };
}

/** Every worker's number and process. */
async function whoIsThere(prefix: string): Promise<[worker: string, pid: number][]> {
  const { answers } = await newBroker(redisUrl(), { prefix }).gather(null, {
    channel: 'who',
    timeout: 30_000, // it is over when all have answered
  });
  const all = answers.map(({ body }) => body as [string, number]);
  return all.toSorted(([a], [b]) => a.localeCompare(b));
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('redstart run', () => {
  it.each(['app.mjs', 'app.mjs:default', 'app.mjs:broker'])(
    'runs %s, and ends with 0 after SIGTERM',
    async (file) => {
      const app = await startApp([], 1, file);
      expect(await whoIsThere(app.prefix)).toEqual([['0', app.process.pid]]);
      app.process.kill('SIGTERM');
      const { code, stdout } = await app.ended;
      expect(code).toBe(0);
      expect(stdout).toBe(file.endsWith('broker') ? '' : 'onStartup\nonShutdown\n');
    },
  );

  it('runs a compiled CommonJS module', async () => {
    cli.write(
      'common.cjs',
      `Object.defineProperty(exports, '__esModule', { value: true });
      const { RedisBroker } = require('redstart');
      exports.default = new RedisBroker('memory://');`,
    );
    const app = await startApp([], 1, 'common.cjs');
    app.process.kill('SIGINT');
    expect((await app.ended).code).toBe(0);
  });

  it('gives --url to the app as REDIS_URL', async () => {
    cli.write(
      'url.mjs',
      `import { RedisBroker } from 'redstart';
      console.log(process.env.REDIS_URL);
      export default new RedisBroker(process.env.REDIS_URL);`,
    );
    const app = await startApp(['--url', 'memory://given'], 1, 'url.mjs');
    expect(app.said.stdout).toBe('memory://given\n');
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
  });

  it('finishes what it has begun, returns the rest and loses nothing when SIGTERM comes under load', async () => {
    const app = await startApp([]);
    const [broker, client] = [newBroker(redisUrl(), { prefix: app.prefix }), rawClient()];
    // So many that some are left however late the signal comes.
    const numbers = Array.from({ length: 5_000 }, (_, n) => String(n));
    await broker.publishBatch(numbers, { list: 'work' });
    await eventually(async () => (await client.llen(`${app.prefix}done`)) > 20);
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
    const done = await client.lrange(`${app.prefix}done`, 0, -1);
    const begun = await client.lrange(`${app.prefix}begun`, 0, -1);
    expect(done.toSorted()).toEqual(begun.toSorted());
    expect(await client.llen(`${app.prefix}work`)).toBe(5_000 - done.length);
    expect(done.length).toBeLessThan(5_000);
  });

  it('ends at once, with 143, at the second SIGTERM', async () => {
    const app = await startApp([]);
    await newBroker(redisUrl(), { prefix: app.prefix }).publish(1, 'hang');
    await app.hears('hangs');
    app.process.kill('SIGTERM');
    // Of two signals that wait for a process, the system hands over one.
    await app.hears('begins to stop');
    // That it waits after the first can only be seen by waiting.
    const isEarly = await Promise.race([
      app.ended.then(() => true),
      new Promise((resolve) => setTimeout(resolve, 400, false)),
    ]);
    expect(isEarly).toBe(false);
    const began = performance.now();
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(143);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('ends with the code that app.exit() was given', async () => {
    const app = await startApp([]);
    await newBroker(redisUrl(), { prefix: app.prefix }).publish(7, 'exit');
    const { code, stdout } = await app.ended;
    expect({ code, stdout }).toEqual({ code: 7, stdout: 'onStartup\nonShutdown\n' });
  });

  it('ends although something of the app keeps the process open, and says so', async () => {
    const app = await startApp([]);
    await newBroker(redisUrl(), { prefix: app.prefix }).publish(1, 'leak');
    await whoIsThere(app.prefix); // so that the leak is there
    app.process.kill('SIGTERM');
    const { code, stderr } = await app.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('something keeps its process open');
  });

  it('ends with 1 where the app cannot be started or does not stop cleanly, and says why', async () => {
    const port = await freePort();
    const lost = await cli.run(['run', 'app.mjs'], { url: `redis://127.0.0.1:${port}` });
    expect(lost).toMatchObject({ code: 1, stdout: 'onStartup\nonShutdown\n' });
    expect(lost.stderr).toContain(`start: cannot connect to Redis at 127.0.0.1:${port}`);
    expect(lost.stderr).not.toContain('    at '); // our own stack helps nobody
    cli.write('throws.mjs', "throw new TypeError('while it is imported');");
    const broken = await cli.run(['run', 'throws.mjs']);
    expect(broken).toMatchObject({ code: 1, stdout: '' });
    expect(broken.stderr).toContain('TypeError: while it is imported');
    expect(broken.stderr).toContain('throws.mjs:1'); // where
    cli.write(
      'unclean.mjs',
      `import { RedisBroker, createApp } from 'redstart';
      const onShutdown = () => { throw new Error('cannot close'); };
      export default createApp(new RedisBroker('memory://'), { onShutdown });`,
    );
    const unclean = await startApp([], 1, 'unclean.mjs');
    unclean.process.kill('SIGTERM');
    expect(await unclean.ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('did not stop cleanly: onShutdown: cannot close'),
    });
  });

  it.each([
    [
      'app.mjs:missing',
      "app.mjs has no export named 'missing'; did you mean app.mjs:broker or app.mjs?",
    ],
    [
      'app.mjs:nothing',
      "the export named 'nothing' of app.mjs is neither an App nor a RedisBroker",
    ],
    ['other.mjs', 'other.mjs has no default export; export what createApp() returned'],
  ])('ends with 2 for %s, alone and with workers', async (file, told) => {
    cli.write('other.mjs', 'export const nothing = 1;');
    for (const more of [[], ['--workers', '2']]) {
      const { code, stderr } = await cli.run(['run', file, ...more]);
      expect(stderr).toContain(told);
      expect(code).toBe(2);
    }
  });

  it.each(['', 'await '])(
    'ends with 2 for a module that says `%sapp.run()` itself',
    async (wait) => {
      const name = `own${wait.trim()}.mjs`;
      cli.write(
        name,
        `import { RedisBroker, createApp } from 'redstart';
      const app = createApp(new RedisBroker('memory://'), { afterStartup: () => app.exit() });
      ${wait}app.run();
      export default app;`,
      );
      const { code, stderr } = await cli.run(['run', name]);
      expect(stderr).toContain(`${name} calls run() on its app`);
      expect(code).toBe(2);
    },
  );

  it('ends although a module that fails has left something open', async () => {
    cli.write('half.mjs', "setInterval(() => {}, 1000); throw new Error('half-way');");
    const { code, stderr } = await cli.run(['run', 'half.mjs']);
    expect(stderr).toContain('half-way');
    expect(code).toBe(1);
  });

  it('ends with 2 for TypeScript where tsx is not installed, naming what to install', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'redstart-no-tsx-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = cli.write('app.ts', 'export {};');
    const { code, stderr } = await cli.run(['run', file], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toContain(`tsx is not installed in ${folder}: npm install --save-dev tsx`);
  });
});

describe('redstart run --workers', () => {
  it('runs so many processes, each with a number, and stops all of them', async () => {
    const app = await startApp(['--workers', '3'], 3);
    const workers = await whoIsThere(app.prefix);
    expect(workers.map(([worker]) => worker)).toEqual(['0', '1', '2']);
    app.process.kill('SIGTERM');
    const { code, stdout } = await app.ended;
    expect(code).toBe(0);
    expect(stdout.match(/onShutdown/g)).toHaveLength(3);
    expect(workers.filter(([, pid]) => isAlive(pid))).toEqual([]);
  });

  it('starts a worker again that was killed, with the same number', async () => {
    const app = await startApp(['--workers', '2'], 2);
    const [, [, victim]] = (await whoIsThere(app.prefix)) as [[string, number], [string, number]];
    process.kill(victim, 'SIGKILL');
    await app.hears('worker 1 was ended by SIGKILL; it starts again in');
    await app.hears('worker 1 runs, process', 2);
    const after = await whoIsThere(app.prefix);
    expect(after.map(([worker]) => worker)).toEqual(['0', '1']);
    expect(after[1]?.[1]).not.toBe(victim);
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
  });

  it('starts a worker again that ended by itself, whatever its code', async () => {
    const app = await startApp(['--workers', '1']);
    await newBroker(redisUrl(), { prefix: app.prefix }).publish(0, 'exit');
    await app.hears('worker 0 ended with code 0; it starts again in');
    await app.hears('worker 0 runs, process', 2);
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
  });

  it('waits longer each time for a worker that dies at once', async () => {
    cli.write('dies.mjs', 'process.exit(5);');
    const app = cli.start(['run', 'dies.mjs', '--workers', '1']);
    await app.hears('worker 0 ended with code 5', 4);
    const waits = [...app.said.stderr.matchAll(/again in (\d+) ms/g)].map(([, ms]) => Number(ms));
    expect(new Set(waits).size).toBeGreaterThan(1); // at random, so that not all come at once
    waits.slice(0, 4).forEach((ms, i) => {
      expect(ms).toBeGreaterThanOrEqual(250);
      expect(ms).toBeLessThanOrEqual(250 * 2 ** (i + 1));
    });
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
  });

  it('finishes what was begun when SIGTERM comes under load, and loses nothing', async () => {
    const app = await startApp(['--workers', '2'], 2);
    const [broker, client] = [newBroker(redisUrl(), { prefix: app.prefix }), rawClient()];
    const numbers = Array.from({ length: 5_000 }, (_, n) => String(n));
    await broker.publishBatch(numbers, { list: 'work' });
    await eventually(async () => (await client.llen(`${app.prefix}done`)) > 20);
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
    const done = await client.lrange(`${app.prefix}done`, 0, -1);
    expect(done.toSorted()).toEqual((await client.lrange(`${app.prefix}begun`, 0, -1)).toSorted());
    const left = await client.llen(`${app.prefix}work`);
    expect(left).toBeGreaterThan(0);
    expect(done.length + left).toBe(5_000);
  });

  it('takes Ctrl+C, which reaches every process, as one graceful stop', async () => {
    const app = await startApp(['--workers', '2'], 2);
    const [broker, client] = [newBroker(redisUrl(), { prefix: app.prefix }), rawClient()];
    await broker.publishBatch(['1', '2', '3', '4'], { list: 'work' });
    await eventually(async () => (await client.llen(`${app.prefix}begun`)) > 0);
    process.kill(-(app.process.pid as number), 'SIGINT');
    const { code, stdout } = await app.ended;
    expect(code).toBe(0);
    expect(stdout.match(/onShutdown/g)).toHaveLength(2);
    expect(await client.llen(`${app.prefix}done`)).toBe(await client.llen(`${app.prefix}begun`));
  });

  it('kills its workers at the second signal', async () => {
    const app = await startApp(['--workers', '2'], 2);
    const workers = await whoIsThere(app.prefix);
    await newBroker(redisUrl(), { prefix: app.prefix }).publish(1, 'hang');
    await app.hears('hangs', 2);
    app.process.kill('SIGTERM');
    await app.hears('begins to stop', 2);
    const isEarly = await Promise.race([
      app.ended.then(() => true),
      new Promise((resolve) => setTimeout(resolve, 400, false)),
    ]);
    expect(isEarly).toBe(false);
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(143);
    await eventually(() => workers.every(([, pid]) => !isAlive(pid)));
  });

  it('leaves no worker behind when it is killed itself', async () => {
    const app = await startApp(['--workers', '2'], 2);
    const workers = await whoIsThere(app.prefix);
    expect(workers).toHaveLength(2);
    app.process.kill('SIGKILL');
    await eventually(() => workers.every(([, pid]) => !isAlive(pid)));
    expect(app.said.stdout.match(/onShutdown/g)).toHaveLength(2);
    expect(app.said.stderr).not.toContain('something keeps its process open');
  });
});

const program = (says: string): string =>
  `import { RedisBroker, createApp } from 'redstart';
  import { word } from './word.mjs';
  export default createApp(new RedisBroker('memory://'), {
    onStartup: () => console.log('${says} ' + word),
    onShutdown: () => console.log('stopped'),
  });`;

const write = (folder: string, says: string, word: string): void => {
  cli.write(`${folder}/word.mjs`, `export const word = '${word}';`);
  cli.write(`${folder}/app.mjs`, program(says));
};

const watch = async (folder: string): Promise<Started> => {
  const app = cli.start(['run', `${folder}/app.mjs`, '--watch']);
  await app.hears('worker 0 runs');
  return app;
};

describe('redstart run --watch', () => {
  it('stops and starts again, once, when files of the folder have changed', async () => {
    write('watched', 'hello', 'world');
    const app = await watch('watched');
    await app.hears('hello world');
    cli.write('watched/notes.txt', 'is no code');
    cli.write('watched/node_modules/x/index.js', 'is not ours');
    cli.write('watched/deep/er/new.mjs', 'export {};');
    write('watched', 'goodbye', 'moon');
    await app.hears('goodbye moon');
    await app.hears('worker 0 runs', 2);
    cli.write('watched/word.mjs', "export const word = 'mars';");
    await app.hears('goodbye mars');
    await app.hears('worker 0 runs', 3);
    expect(app.said.stderr.match(/has changed/g)).toHaveLength(2);
    expect(app.said.stdout.match(/stopped/g)).toHaveLength(2);
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
  });

  it('waits for a change where the code is broken', async () => {
    write('broken', 'hello', 'world');
    const app = await watch('broken');
    cli.write('broken/app.mjs', 'this is no JavaScript');
    await app.hears('SyntaxError');
    await app.hears('worker 0 ended with code 1; it starts again when a file changes');
    cli.write('broken/app.mjs', 'export const nothing = 1;');
    await app.hears('worker 0 ended with code 2; it starts again when a file changes');
    write('broken', 'repaired', 'world');
    await app.hears('repaired world');
    app.process.kill('SIGINT');
    expect((await app.ended).code).toBe(0);
  });

  it('told to stop while it restarts, it still lets the app finish', async () => {
    const folder = 'slow';
    write(folder, 'hello', 'world');
    cli.write(
      `${folder}/app.mjs`,
      `import { RedisBroker, createApp } from 'redstart';
      export default createApp(new RedisBroker('memory://'), {
        onShutdown: async () => {
          console.log('stopping');
          await new Promise((resolve) => setTimeout(resolve, 500));
          console.log('stopped');
        },
      });`,
    );
    const app = await watch(folder);
    cli.write(`${folder}/word.mjs`, 'export {};');
    await app.hears('stopping');
    app.process.kill('SIGTERM');
    expect(await app.ended).toMatchObject({ code: 0, stdout: 'stopping\nstopped\n' });
  });

  it('goes on when the folder is removed and built anew', async () => {
    write('rebuilt', 'first', 'world');
    const app = await watch('rebuilt');
    const folder = join(cli.path, 'rebuilt');
    rmSync(folder, { recursive: true });
    expect(existsSync(folder)).toBe(false);
    write('building', 'second', 'world');
    renameSync(join(cli.path, 'building'), folder);
    await app.hears('second world');
    app.process.kill('SIGTERM');
    expect((await app.ended).code).toBe(0);
  });
});
