// `redstart run --metrics`: one page for one process, and one page for all workers.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse, samplesOf, valueOf, type Family } from '../integrations/exposition.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { redisUrl, unique } from '../support/redis.ts';
import { CommandLine, inProcess, type Started } from './command-line.ts';

let cli: CommandLine;
beforeAll(async () => {
  cli = await CommandLine.install();
  cli.write(
    'app.mjs',
    `import { RedisBroker } from 'redstart';
    const broker = new RedisBroker(process.env.REDIS_URL, { prefix: process.env.PREFIX });
    broker.subscriber({ channel: 'who', title: 'who' }, () => process.pid);
    broker.subscriber({ list: 'work', title: 'work' }, () => { throw new Error('no'); });
    export default broker;`,
  );
});
afterAll(() => cli.remove());

interface Scraped extends Started {
  readonly prefix: string;
  scrape(): Promise<ReadonlyMap<string, Family>>;
}

async function start(args: readonly string[], workers: number): Promise<Scraped> {
  const prefix = `${unique('cli')}:`;
  const command = ['run', 'app.mjs', '--metrics', '127.0.0.1:0', ...args];
  const started = cli.start(command, { env: { PREFIX: prefix } });
  await started.hears('runs, process', workers);
  const [, at = ''] = /metrics are at (\S+)/.exec(started.said.stderr) ?? [];
  const scrape = async (): Promise<ReadonlyMap<string, Family>> => {
    const response = await fetch(at);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    return parse(await response.text());
  };
  return { ...started, prefix, scrape };
}

it('serves the metrics of one process', async () => {
  const app = await start([], 1);
  const client = newBroker(redisUrl(), { prefix: app.prefix });
  await client.publish(null, { channel: 'who', rpc: true, timeout: 10_000 });
  await eventually(async () => {
    const page = await app.scrape();
    expect(valueOf(page, 'redstart_handled_total', { handler: 'who', outcome: 'ok' })).toBe(1);
    expect(page.has('redstart_workers')).toBe(false);
  });
  const [, base = ''] = /(http:\S+)\/metrics/.exec(app.said.stderr) ?? [];
  expect((await fetch(`${base}/other`)).status).toBe(404);
  app.process.kill('SIGTERM');
  expect((await app.ended).code).toBe(0);
});

it('serves one page of all workers: counters added up, numbers of the server once', async () => {
  const app = await start(['--workers', '2'], 2);
  const client = newBroker(redisUrl(), { prefix: app.prefix });
  const pids = new Set<number>();
  for (let i = 0; i < 3; i++) {
    const { answers } = await client.gather(null, { channel: 'who', timeout: 30_000 });
    for (const { body } of answers) pids.add(body as number);
  }
  for (let i = 0; i < 5; i++) await client.publish(i, { list: 'work' });
  const handled = { handler: 'who', outcome: 'ok' };
  await eventually(async () => {
    const page = await app.scrape();
    expect(valueOf(page, 'redstart_handled_total', handled)).toBe(6);
    expect(valueOf(page, 'redstart_handler_duration_seconds_count', { handler: 'who' })).toBe(6);
    expect(valueOf(page, 'redstart_failures_total', { handler: 'work', stage: 'handler' })).toBe(5);
    expect(samplesOf(page, 'redstart_list_length')).toMatchObject([{ value: 0 }]);
    expect(valueOf(page, 'redstart_subscriber_state', { handler: 'who' })).toBe(2);
    expect(valueOf(page, 'redstart_connection_up')).toBe(1);
    expect(valueOf(page, 'redstart_workers')).toBe(2);
    expect(valueOf(page, 'redstart_workers_up')).toBe(2);
  });

  // A counter that shrank would be taken for a restart, and its whole sum for new events.
  const [first] = [...pids];
  process.kill(first as number, 'SIGKILL');
  await app.hears('runs, process', 3);
  await eventually(async () => {
    const page = await app.scrape();
    expect(valueOf(page, 'redstart_handled_total', handled)).toBe(6);
    expect(valueOf(page, 'redstart_failures_total', { handler: 'work', stage: 'handler' })).toBe(5);
    expect(valueOf(page, 'redstart_worker_exits_total')).toBe(1);
    expect(valueOf(page, 'redstart_workers_up')).toBe(2);
    expect(valueOf(page, 'redstart_subscriber_state', { handler: 'who' })).toBe(2);
  });
  app.process.kill('SIGTERM');
  expect((await app.ended).code).toBe(0);
});

it('refuses a port that is none, and one that is taken', async () => {
  for (const wrong of ['x', '99999', 'localhost', ''])
    expect(await inProcess(['run', 'app.mjs', '--metrics', wrong])).toMatchObject({ code: 2 });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  for (const more of [[], ['--workers', '2']]) {
    const { code, stderr } = await cli.run([
      'run',
      'app.mjs',
      '--metrics',
      `127.0.0.1:${port}`,
      ...more,
    ]);
    expect(stderr).toContain(`cannot listen on port ${port}`);
    expect(code).toBe(2);
  }
  server.close();
});
