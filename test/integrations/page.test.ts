// What a page of metrics looks like, what it costs, and that the documents say the same.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { RedisBroker, RedisRouter, SetupError, rpc } from 'redstart';
import { metrics } from 'redstart/metrics';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DEFINITIONS } from '../../src/integrations/metrics/definitions.ts';
import { MergedPages } from '../../src/integrations/metrics/merge.ts';
import { Values } from '../../src/integrations/metrics/registry.ts';
import { repository } from '../docs/program.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { isLong } from '../support/long.ts';
import { redisUrl, unique } from '../support/redis.ts';
import { parse, samplesOf, valueOf } from './exposition.ts';

/** Of Debian's package prometheus; `PROMTOOL` names another. */
const promtool = process.env['PROMTOOL'] ?? 'promtool';
const hasPromtool = spawnSync(promtool, ['--version']).status === 0;
if (!hasPromtool) process.stderr.write('metrics: skipped, promtool is not on PATH\n');

function fail(): never {
  throw new RangeError('a "quoted" text \\ with\nlines');
}

/** A page of a service in which every kind of thing has happened. */
async function fullPage(url: string): Promise<string> {
  const name = unique();
  const service = newBroker(url, { prefix: `${name}:` });
  const page = metrics(service);
  service.subscriber('prices', (body) => body);
  service.subscriber({ channel: 'logs.{level}', title: 'logs "all" \\ of\nthem' }, () => undefined);
  service.subscriber({ list: 'orders', title: 'orders' }, fail);
  const retry = { maxDeliveries: 1 };
  service.subscriber(
    { ...{ stream: 'events', group: 'g', retry }, deadLetter: { stream: 'dead', maxlen: 9 } },
    fail,
  );
  await service.start();
  await service.publish(1, { channel: 'prices', rpc: true, timeout: 20_000 });
  await service.publish(1, { channel: 'nobody', rpc: true }).catch(() => undefined);
  await service.publish(1, { channel: 'logs.error' });
  await service.publish(1, { list: 'orders' });
  await service.publish(1, { stream: 'events' });
  const text = await eventually(async () => {
    const now = await page();
    expect(valueOf(parse(now), 'redstart_dead_letters')).toBe(1);
    return now;
  });
  await service.stop();
  takeLogs();
  return text;
}

describe('a page of metrics', () => {
  it.each([
    ['memory', () => `memory://${unique()}`],
    ['redis', redisUrl],
  ])('is in the format, every family on it (%s)', async (_, url) => {
    const page = await fullPage(url());
    const families = parse(page);
    expect([...families.keys()]).toEqual(Object.values(DEFINITIONS).map(({ name }) => name));
    for (const { name, type, labels, help } of Object.values(DEFINITIONS)) {
      const family = families.get(name);
      expect(family).toMatchObject({ type, help });
      for (const sample of family?.samples ?? [])
        expect(Object.keys(sample.labels).filter((label) => label !== 'le')).toEqual(labels);
    }
    const titles = samplesOf(families, 'redstart_received_total').map(({ labels }) => labels);
    expect(titles.map(({ handler }) => handler)).toContain('logs "all" \\ of\nthem');
    const sent = samplesOf(families, 'redstart_published_total').map(({ labels }) => labels);
    expect(sent.map(({ address }) => address)).toContainEqual(
      expect.stringMatching(/logs\.\{level\}$/),
    );
    expect(page).not.toContain('inbox');
  });

  it.skipIf(!hasPromtool)('is what promtool wants', async () => {
    const input = await fullPage(redisUrl());
    const checked = spawnSync(promtool, ['check', 'metrics'], { input, encoding: 'utf8' });
    expect({ status: checked.status, said: checked.stdout + checked.stderr }).toEqual({
      status: 0,
      said: '',
    });
  });

  it('counts what several brokers do as one', async () => {
    const url = `memory://${unique()}`;
    const [a, b] = [newBroker(url), newBroker(url)];
    const page = metrics(a, b, { server: false });
    for (const broker of [a, b])
      broker.subscriber({ channel: 'c', title: 'work' }, () => undefined);
    await a.start();
    expect(valueOf(parse(await page()), 'redstart_connection_up')).toBe(0);
    await b.start();
    await a.publish(1, { channel: 'c' });
    await eventually(async () => {
      const families = parse(await page());
      expect(valueOf(families, 'redstart_handled_total', { outcome: 'ok' })).toBe(2);
      expect(valueOf(families, 'redstart_connection_up')).toBe(1);
      expect(samplesOf(families, 'redstart_list_length')).toEqual([]);
    });
    expect(page.contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    page.stop();
    await a.publish(1, { channel: 'c' });
    await eventually(async () => (await a.health()).subscribers[0]?.handled === 2);
    expect(valueOf(parse(await page()), 'redstart_handled_total', { outcome: 'ok' })).toBe(2);
  });

  it('has every counter at 0 before anything has happened', async () => {
    const service = new RedisBroker('memory://zero', { logger: false });
    const order = rpc({ list: 'orders' }, { request: z.string(), reply: z.string() });
    service.publisher({ stream: 'placed' });
    service.clientFor({ order });
    service.subscriber({ stream: 's', group: 'g' }, () => undefined);
    const families = parse(await metrics(service)());
    for (const name of ['failures', 'handled', 'settled', 'retried', 'buried', 'answers'])
      for (const { value } of samplesOf(families, `redstart_${name}_total`)) expect(value).toBe(0);
    expect(samplesOf(families, 'redstart_failures_total')).toHaveLength(8);
    expect(
      valueOf(families, 'redstart_calls_total', { address: 'orders', outcome: 'timeout' }),
    ).toBe(0);
    expect(
      valueOf(families, 'redstart_published_total', { address: 'placed', outcome: 'failed' }),
    ).toBe(0);
    expect(valueOf(families, 'redstart_late_answers_total')).toBe(0);
    expect(valueOf(families, 'redstart_connection_lost_total')).toBe(0);
  });

  it.each([
    [[], 'expected one or more brokers'],
    [[{}], 'expected one or more brokers'],
    [[new RedisBroker('memory://'), { name: 'x' }], "no option 'name'"],
    [[new RedisBroker('memory://'), { names: 'python' }], "'names' must be"],
    [[new RedisBroker('memory://'), null], 'must be an object'],
  ])('is refused to mistakes: %j', (given, text) => {
    const make = (): unknown => metrics(...(given as unknown as [RedisBroker]));
    expect(make).toThrow(SetupError);
    expect(make).toThrow(text);
  });
});

describe('a gauge', () => {
  it('has a line for what was found out this time, also where it was missing in between', () => {
    const gauge = new Values(DEFINITIONS.running);
    const round = (...titles: string[]): string => {
      gauge.reset();
      for (const title of titles) gauge.at('a', title, '').value += 1;
      return [...gauge.lines().matchAll(/handler="(.)",group=""} (\d)/g)]
        .map(([, a, b]) => `${a}${b}`)
        .join();
    };
    expect(round('x', 'y')).toBe('x1,y1');
    expect(round('x')).toBe('x1');
    expect(round('x', 'y')).toBe('x1,y1');
    expect(round()).toBe('');
    expect(round()).toBe('');
    expect(round('y', 'y')).toBe('y2');
  });
});

/** A page with one family of each kind. */
function pageOf(sum: number): string {
  return `# HELP redstart_handled_total x
# TYPE redstart_handled_total counter
redstart_handled_total{handler="a b"} ${sum}
# HELP redstart_handler_duration_seconds x
# TYPE redstart_handler_duration_seconds histogram
redstart_handler_duration_seconds_bucket{le="1"} ${sum}
redstart_handler_duration_seconds_bucket{le="+Inf"} ${sum + 1}
redstart_handler_duration_seconds_sum 0.5
redstart_handler_duration_seconds_count ${sum + 1}
# HELP redstart_running x
# TYPE redstart_running gauge
redstart_running ${sum}
# HELP redstart_group_lag x
# TYPE redstart_group_lag gauge
redstart_group_lag{group="g"} ${sum}
# HELP redstart_connection_up x
# TYPE redstart_connection_up gauge
redstart_connection_up ${sum % 2}
`;
}

describe('the pages of several processes', () => {
  it('become one: added up, the greatest, or the least', () => {
    const merged = new MergedPages().add(pageOf(1)).add(pageOf(2));
    const families = parse(merged.toString());
    expect(valueOf(families, 'redstart_handled_total', { handler: 'a b' })).toBe(3);
    const buckets = samplesOf(families, 'redstart_handler_duration_seconds_bucket');
    expect(buckets.map(({ value }) => value)).toEqual([3, 5]);
    expect(valueOf(families, 'redstart_handler_duration_seconds_sum')).toBe(1);
    expect(valueOf(families, 'redstart_running')).toBe(3);
    expect(valueOf(families, 'redstart_group_lag')).toBe(2);
    expect(valueOf(families, 'redstart_connection_up')).toBe(0);
  });

  it('keep the counters of a process that has ended, and not its gauges', () => {
    const merged = new MergedPages().add(pageOf(1), true).add(pageOf(1), true);
    const families = parse(merged.toString());
    expect(valueOf(families, 'redstart_handled_total')).toBe(2);
    expect(samplesOf(families, 'redstart_running')).toEqual([]);
    expect(samplesOf(families, 'redstart_group_lag')).toEqual([]);
  });

  it('are as strict as those that they are made of', async () => {
    const one = await fullPage(`memory://${unique()}`);
    const merged = new MergedPages().add(one).add(one).toString();
    const [before, after] = [parse(one), parse(merged)];
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const { name, samples } of before.values()) {
      const again = after.get(name)?.samples ?? [];
      expect(again.map(({ labels }) => labels)).toEqual(samples.map(({ labels }) => labels));
    }
  });
});

describe('labels', () => {
  it('are the template of a publisher, also where nothing here reads it', async () => {
    const service = newBroker(`memory://${unique()}`);
    const page = metrics(service);
    const doors = service.publisher('doors.{house}');
    const lamps = service.publisher('lamps.{house}', { pattern: false });
    await service.start();
    for (const house of ['a', 'b']) await doors.publish(1, { path: { house } });
    await lamps.publish(1);
    const published = samplesOf(parse(await page()), 'redstart_published_total', { outcome: 'ok' });
    const found = published.map(({ labels, value }) => [labels['address'], value]);
    expect(Object.fromEntries(found)).toEqual({ 'doors.{house}': 2, 'lamps.{house}': 1 });
  });

  it('do not grow with what is sent, nor with errors', async () => {
    const service = newBroker(`memory://${unique()}`);
    const page = metrics(service);
    service.subscriber('users.{id}', (body) => {
      throw Object.assign(new Error('no'), { name: `Error${String(body)}` });
    });
    await service.start();
    for (let i = 0; i < 500; i++) {
      await service.publish(i, { channel: `users.${i}` });
      await service.publish(i, { channel: `others.${i}` });
      await service.publish(i, { channel: `calls.${i}`, rpc: true }).catch(() => undefined);
    }
    await eventually(async () =>
      expect(valueOf(parse(await page()), 'redstart_handled_total', { outcome: 'failed' })).toBe(
        500,
      ),
    );
    const families = parse(await page());
    expect(samplesOf(families, 'redstart_errors_total')).toHaveLength(101);
    expect(valueOf(families, 'redstart_errors_total', { error: 'other' })).toBe(400);
    const published = samplesOf(families, 'redstart_published_total', { outcome: 'ok' });
    expect(published.map(({ labels }) => labels['address'])).toContain('users.{id}');
    expect(published.length).toBeLessThanOrEqual(103);
    const lines = (await page()).split('\n').length;
    for (let i = 500; i < 1_000; i++) await service.publish(i, { channel: `others.${i}` });
    expect((await page()).split('\n')).toHaveLength(lines);
    takeLogs();
  });
});

/** An address of a kind, one after the other. */
function mixed(i: number): { channel: string } {
  const kinds = [
    { channel: `c${i}` },
    { list: `l${i}` },
    { list: `r${i}`, reliable: true },
    { stream: `s${i}`, group: 'g' },
  ];
  return kinds[i % kinds.length] as { channel: string };
}

describe('the cost of a page', () => {
  // Each list and group has a connection of its own: too much to open for every run.
  it.each([
    ['on channels', (i: number) => ({ channel: `c${i}` })],
    ...(isLong ? [['of all kinds', mixed] as const] : []),
  ] as const)('of 1 000 handlers %s is less than 50 ms of CPU', async (_, addressOf) => {
    const service = newBroker(redisUrl(), { prefix: `${unique()}:` });
    const page = metrics(service);
    const router = new RedisRouter();
    for (let i = 0; i < 1_000; i++)
      router.subscriber({ ...addressOf(i), title: `handler ${i}` }, () => undefined);
    service.include(router);
    await service.start();
    expect(await page()).toContain('handler="handler 999"');
    let least = Infinity;
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1_010)); // no answer of Redis is kept
      const before = process.cpuUsage();
      await page();
      const { user, system } = process.cpuUsage(before);
      least = Math.min(least, (user + system) / 1_000);
    }
    expect(least).toBeLessThan(50);
  });
});

describe('the documents', () => {
  const emitted = new Set(
    Object.values(DEFINITIONS).flatMap(({ name, type }) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );

  it('list every name, its type, labels and buckets, as the code has them', () => {
    const guide = readFileSync(repository('docs/guide/metrics.md'), 'utf8');
    const rows = guide
      .split('\n')
      .filter((line) => line.startsWith('| `redstart_'))
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );
    const expected = Object.values(DEFINITIONS).map((one) => [
      `\`${one.name}\``,
      one.type,
      one.labels.map((label) => `\`${label}\``).join(', ') || 'none',
      one.help + ('buckets' in one ? ` Buckets: ${one.buckets.join(', ')}.` : ''),
    ]);
    expect(rows).toEqual(expected);
  });

  it.each(['alerts.yml', 'dashboard.json'])('%s names only what is on a page', (file) => {
    const text = readFileSync(repository(`docs/monitoring/${file}`), 'utf8');
    const names = [...text.matchAll(/\bredstart_\w+/g)].map(([name]) => name);
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !emitted.has(name))).toEqual([]);
  });

  it('the dashboard is JSON with a panel for every query', () => {
    const text = readFileSync(repository('docs/monitoring/dashboard.json'), 'utf8');
    const { panels } = JSON.parse(text) as { panels: { targets: { expr: string }[] }[] };
    expect(panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))).not.toContain('');
  });

  it.skipIf(!hasPromtool)('the alerts are what promtool wants', () => {
    const args = ['check', 'rules', '--lint-fatal', repository('docs/monitoring/alerts.yml')];
    const { status, stdout, stderr } = spawnSync(promtool, args, { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('SUCCESS');
  });
});
