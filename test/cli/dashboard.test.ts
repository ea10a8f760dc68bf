// `redstart dashboard`, as a process of its own.
import { request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { listen } from '../../src/cli/http.ts';
import { eventually } from '../support/eventually.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';
import { CommandLine, inProcess, type Started } from './command-line.ts';

/** Some containers have none. */
const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.address === '::1');

const ok = async (): Promise<Response> => new Response('ok');

let cli: CommandLine;
beforeAll(async () => void (cli = await CommandLine.install()));
afterAll(() => cli.remove());

/** Where it serves. */
async function urlOf(started: Started): Promise<string> {
  await started.hears(' shows ');
  const [, url = ''] = /(http:\S+) shows/.exec(started.said.stderr) ?? [];
  return url;
}

interface State {
  readonly away: string | null;
  readonly actions: readonly string[];
  readonly who: string;
  readonly rows: readonly { readonly name: string }[];
}

async function stateAt(url: string): Promise<State> {
  return (await fetch(`${url}?view=state`)).json() as Promise<State>;
}

/** The status of a request that names a host of its own, which fetch does not let one do. */
function statusAs(host: string, url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject).end();
  });
}

describe('redstart dashboard', () => {
  it('serves a prefix for looking only, to this machine alone, until a signal', async () => {
    const prefix = `${unique('dash')}:`;
    const client = rawClient();
    await client.rpush(`${prefix}jobs`, 'one');
    await client.rpush(`${unique('other')}:jobs`, 'two');
    const started = cli.start(['dashboard', '--prefix', prefix, '--port', '0']);
    const url = await urlOf(started);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    expect(started.said.stderr).toContain('for looking only');
    expect(await (await fetch(url)).text()).toContain('<!doctype html>');
    await eventually(async () => {
      const { rows, away } = await stateAt(url);
      expect(away).toBeNull();
      expect(rows.map(({ name }) => name)).toEqual([`${prefix}jobs`]);
    });
    const { port } = new URL(url);
    expect(await statusAs(`localhost:${port}`, url)).toBe(200);
    expect(await statusAs(`evil.example:${port}`, url)).toBe(421);
    const refused = await fetch(`${url}?do=remove`, {
      method: 'POST',
      headers: { 'sec-fetch-site': 'same-origin' },
    });
    expect(refused.status).toBe(405);
    started.process.kill('SIGTERM');
    expect((await started.ended).code).toBe(0);
  });

  it(
    'needs no Redis to start: it says that it is away, and goes on when it is there',
    { timeout: 180_000 },
    async () => {
      const port = await freePort();
      const url = `redis://:s3cret@127.0.0.1:${port}`;
      const started = cli.start(['dashboard', '--url', url, '--port', '0', '--actions']);
      const at = await urlOf(started);
      expect(await (await fetch(at)).text()).toContain('<!doctype html>');
      await eventually(async () => expect((await stateAt(at)).away).toMatch(/127\.0\.0\.1/));
      await ownServer(['--port', String(port), '--requirepass', 's3cret']);
      await eventually(async () => expect((await stateAt(at)).away).toBeNull());
      const { actions, who } = await stateAt(at);
      expect(actions).toEqual(['pause', 'resume', 'redrive', 'remove']);
      expect(who).not.toBe('');
      expect(started.said.stderr + (await (await fetch(at)).text())).not.toContain('s3cret');
    },
  );

  it('takes Redis and prefix of an app, and does not start it', async () => {
    const prefix = `${unique('dash')}:`;
    cli.write(
      'app.mjs',
      `import { RedisBroker } from 'redstart';
       const broker = new RedisBroker(process.env.REDIS_URL, { prefix: '${prefix}' });
       broker.subscriber({ list: 'jobs' }, () => console.log('handled'));
       export default broker;`,
    );
    await rawClient().rpush(`${prefix}jobs`, 'one');
    const started = cli.start(['dashboard', 'app.mjs', '--port', '0'], { url: redisUrl() });
    const url = await urlOf(started);
    await eventually(async () => {
      const { rows } = await stateAt(url);
      expect(rows).toMatchObject([{ name: `${prefix}jobs`, states: { stopped: 1 }, waiting: 1 }]);
    });
    started.process.kill('SIGINT');
    expect(await started.ended).toMatchObject({ code: 0, stdout: '' });
  });

  it('what listens everywhere answers to every name; what listens here, to names of this machine', async () => {
    for (const [host, status] of [
      ['0.0.0.0', 200],
      ['127.0.0.1', 421],
      ...(hasIpv6
        ? ([
            ['::', 200],
            ['::1', 421],
          ] as const)
        : []),
    ] as const) {
      const server = await listen(ok, host, 0);
      onTestFinished(() => server.close());
      expect({ host, status: await statusAs('shop.example', server.url) }).toEqual({
        host,
        status,
      });
      expect(await statusAs(new URL(server.url).host, server.url)).toBe(200);
    }
  });

  it.each([
    [['--port', 'x'], "--port: expected a port, 0 to 65535, got 'x'"],
    [['--port', '70000'], '--port: expected a port'],
    [['--url', 'memory://x'], 'is the memory of one process'],
    [['package.json', '--prefix', 'x'], 'leave out --url and --prefix'],
    [['nothing.js'], 'dashboard: there is no file'],
  ])('%o is a mistake', async (args, text) => {
    const { code, stderr } = await inProcess(['dashboard', ...args]);
    expect(stderr).toContain(text);
    expect(code).toBe(2);
  });
});
