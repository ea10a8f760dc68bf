// What the dashboard shows and does: of redstart, of FastStream, of Redis alone.
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNode, type DashboardOptions } from 'redstart/dashboard';
import { describe, expect, it, onTestFinished } from 'vitest';
import { commandRate } from '../support/commands.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { isLong } from '../support/long.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient, unique } from '../support/redis.ts';
import { board, fleet } from './setup.ts';

const ALLOWED: DashboardOptions = { actions: true, authorize: () => 'ann' };

describe('what is read', () => {
  it('is told by place and group, over all processes, with the numbers of Redis', async () => {
    const { broker, prefix } = fleet();
    for (let i = 0; i < 2; i++) {
      const worker = broker({ control: true });
      worker.subscriber({ stream: 'ships', group: 'dock' }, function dock() {});
      worker.subscriber({ list: 'orders' }, function place() {});
      worker.subscriber('prices', () => 1);
      await worker.start();
    }
    const own = broker();
    for (let i = 0; i < 3; i++) await own.publish(i, { stream: 'ships' });
    const { state } = board(own);
    await eventually(async () => {
      const { rows, processes, away } = await state();
      expect(away).toBeNull();
      expect(processes).toHaveLength(2);
      expect(rows).toHaveLength(3);
      expect(rows[0]).toMatchObject({
        kind: 'stream',
        name: `${prefix}ships`,
        group: 'dock',
        titles: ['dock'],
        processes: 2,
        states: { running: 2 },
        waiting: 0,
        pending: 0,
        consumers: 2,
        handled: 3,
        unknown: null,
      });
      expect(rows[1]).toMatchObject({ kind: 'list', waiting: 0, processes: 2 });
      expect(rows[2]).toMatchObject({ kind: 'channel', consumers: 2, processes: 2 });
    });
  });

  it('by FastStream is found in Redis, with what cannot be known of it', async () => {
    const { broker, prefix } = fleet();
    const client = rawClient();
    const name = `${prefix}faststream`;
    await client.xadd(name, '*', '__data__', 'one');
    await client.xadd(name, '*', '__data__', 'two');
    await client.xgroup('CREATE', name, 'python', '0');
    await client.xreadgroup('GROUP', 'python', 'worker-1', 'COUNT', 1, 'STREAMS', name, '>');
    await client.rpush(`${prefix}jobs`, 'a', 'b');
    const listener = rawClient();
    await listener.subscribe(`${prefix}news`);
    const { state, ask } = board(broker());
    await eventually(async () => {
      const { rows } = await state();
      expect(rows).toHaveLength(3);
      expect(rows[0]).toMatchObject({
        ...{ kind: 'stream', name, group: 'python', processes: 0, states: {} },
        ...{ waiting: 1, pending: 1, consumers: 1 },
        unknown: expect.stringContaining('cannot be known'),
      });
      expect(rows[0].oldest).toBeGreaterThanOrEqual(0);
      expect(rows[1]).toMatchObject({
        ...{ kind: 'list', waiting: 2 },
        unknown: expect.stringContaining('Redis does not know who reads a list'),
      });
      expect(rows[2]).toMatchObject({ kind: 'channel', name: `${prefix}news`, consumers: 1 });
    });
    const { json } = await ask({ view: 'group', kind: 'stream', name, group: 'python' });
    expect(json).toMatchObject({
      consumers: [{ name: 'worker-1', pending: 1 }],
      pending: [{ consumer: 'worker-1', deliveries: 1 }],
    });
  });

  it('says how many consumers of a group do not answer', async () => {
    const { broker, prefix } = fleet();
    const worker = broker({ control: true });
    worker.subscriber({ stream: 'ships', group: 'dock' }, () => {});
    await worker.start();
    await rawClient().xgroup('CREATECONSUMER', `${prefix}ships`, 'dock', 'python');
    const { rows } = await board(worker).state();
    expect(rows[0].unknown).toMatch(/^1 of 2 consumers belong to no process that answers/);
  });

  it('on memory:// is what this process says', async () => {
    const { broker, prefix } = fleet(`memory://${unique()}`);
    const worker = broker();
    worker.subscriber({ stream: 'ships', group: 'dock', retry: false }, () => {
      throw new Error('no');
    });
    await worker.start();
    await worker.publish({ token: 'x', n: 1 }, { stream: 'ships' });
    const { state, ask, act } = board(worker, ALLOWED);
    await eventually(async () => {
      expect(await state()).toMatchObject({
        server: null,
        rows: [{ kind: 'stream', group: 'dock', processes: 1, waiting: 0, pending: 0 }],
        dead: [{ name: `${prefix}ships:dead`, count: 1, from: [`stream ${prefix}ships`] }],
      });
    });
    const at = { kind: 'stream', name: `${prefix}ships` };
    const { json } = await ask({ view: 'messages', ...at });
    expect(json.messages).toMatchObject([{ body: expect.stringContaining('"n": 1') }]);
    expect(await act({ do: 'remove', all: 'yes', ...at, name: `${at.name}:dead` })).toMatchObject({
      json: { done: 1 },
    });
    takeLogs();
  });
});

describe('messages', () => {
  it('are decoded, the newest or the oldest first, and stay where they are', async () => {
    const { broker, prefix } = fleet();
    const own = broker();
    const client = rawClient();
    for (let n = 1; n <= 3; n++)
      for (const to of [{ list: 'jobs' }, { stream: 'ships' }])
        await own.publish(
          { n, html: '<b>&' },
          { ...(to as { list: string }), headers: { 'x-n': n } },
        );
    await client.xadd(`${prefix}ships`, '*', 'field', 'of another program');
    await client.rpush(`${prefix}jobs`, Buffer.from([0, 255, 1]));
    const { ask } = board(own);
    for (const [kind, name] of [
      ['list', 'jobs'],
      ['stream', 'ships'],
    ] as const) {
      const at = { view: 'messages', kind, name: prefix + name };
      const newest = (await ask(at)).json.messages;
      const oldest = (await ask({ ...at, order: 'oldest' })).json.messages;
      expect(newest).toHaveLength(4);
      expect(newest).toEqual(oldest.toReversed());
      expect(JSON.parse(oldest[0].body)).toEqual({ n: 1, html: '<b>&' });
      expect(oldest[0].headers).toContainEqual(['x-n', '1']);
      expect(newest[0].body).toBe(
        kind === 'list'
          ? '3 bytes: 00ff01'
          : JSON.stringify({ field: 'of another program' }, null, 2),
      );
    }
    expect(await client.llen(`${prefix}jobs`)).toBe(4);
    expect((await ask({ view: 'messages', kind: 'channel', name: `${prefix}c` })).status).toBe(404);
  });

  it('that are long are cut, and it says so', async () => {
    const { broker, prefix } = fleet();
    const own = broker();
    await own.publish('x'.repeat(100_000), { list: 'jobs' });
    const { json } = await board(own).ask({
      view: 'messages',
      kind: 'list',
      name: `${prefix}jobs`,
    });
    expect(json.messages[0]).toMatchObject({ isCut: true });
    expect(json.messages[0].body).toHaveLength(32_768);
  });
});

describe('dead letters', () => {
  it.each(['stream', 'list'] as const)(
    'are grouped by error, and a group is redriven or removed (%s)',
    async (kind) => {
      const { box, handled, act, where, recover, letters } = await withLetters(kind);
      const { groups, total, read } = await letters();
      expect({ total, read }).toEqual({ total: 5, read: 5 });
      expect(groups).toMatchObject([
        { error: 'RangeError: too much: #', count: 3 },
        { error: 'TypeError: no # in ‹…›', count: 2 },
      ]);
      recover();
      const [range, type] = groups;
      const shown = await letters(type.key);
      expect(shown.letters.map(({ body }: { body: string }) => body)).toEqual(['4', '2']);
      expect(await act({ do: 'redrive', ...where, group: range.key })).toMatchObject({
        json: { done: 3, left: 0 },
      });
      await eventually(() => expect(handled).toEqual([1, 3, 5]));
      expect(await act({ do: 'remove', ...where, group: type.key })).toMatchObject({
        json: { done: 2 },
      });
      expect(await box.count()).toBe(0);
      expect(handled).toEqual([1, 3, 5]);
    },
  );

  it('one is redriven, and not another one that has come to its place', async () => {
    const { box, handled, act, where, recover, letters } = await withLetters('list');
    recover();
    const [, second] = (await letters()).letters.toReversed();
    const [first] = await box.list({ count: 1 });
    await box.remove({ ids: [first?.id ?? ''] });
    const choice = { ...where, id: second.id, mark: second.mark };
    expect((await act({ do: 'redrive', ...choice })).status).toBe(409);
    const [, , now] = (await letters()).letters.toReversed();
    expect(await act({ do: 'redrive', ...choice, id: now.id, mark: now.mark })).toMatchObject({
      json: { done: 1 },
    });
    await eventually(() => expect(handled).toEqual([4]));
    expect(await box.count()).toBe(3);
  });
});

describe('pause and resume', () => {
  it('reach every process, or one', async () => {
    const { broker, prefix } = fleet();
    const workers = [broker({ control: true }), broker({ control: true })];
    for (const worker of workers) {
      worker.subscriber({ stream: 'ships', group: 'dock' }, () => {});
      await worker.start();
    }
    const { act, state } = board(broker(), ALLOWED);
    const where = { kind: 'stream', name: `${prefix}ships`, group: 'dock' };
    await eventually(async () => expect((await state()).rows[0].states).toEqual({ running: 2 }));
    expect(await act({ do: 'pause', ...where })).toMatchObject({ json: { processes: 2 } });
    // Again where a busy machine answered too late.
    const { processes } = await eventually(async () => {
      const now = await state();
      expect(now.rows[0].states).toEqual({ paused: 2 });
      return now;
    });
    await act({ do: 'resume', ...where, process: processes[0].id });
    await eventually(async () =>
      expect((await state()).rows[0].states).toEqual({ paused: 1, running: 1 }),
    );
    expect(await act({ do: 'resume', ...where, group: 'none' })).toMatchObject({
      json: { processes: 0 },
    });
  });
});

// In CI, the command's test says the same.
describe.runIf(isLong)('while Redis is away', () => {
  it('says so, and goes on when it is there', { timeout: 180_000 }, async () => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const { broker } = fleet(proxy.url);
    const worker = broker();
    worker.subscriber({ list: 'jobs' }, () => {});
    await worker.start();
    const { state, ask } = board(worker);
    expect((await state()).away).toBeNull();
    proxy.cutOff();
    await eventually(async () => expect((await state()).away).toMatch(/./));
    expect((await ask()).status).toBe(200);
    proxy.heal();
    await eventually(async () => expect((await state()).away).toBeNull());
    takeLogs();
  });
});

describe('while nobody looks', () => {
  it('nothing is asked of Redis, and nothing listens', async () => {
    const { url } = await ownServer();
    const { broker } = fleet(url);
    const own = broker();
    own.subscriber('prices', () => 1);
    await own.start();
    const { state } = board(own);
    const client = rawClient(url);
    const isQuiet = async (): Promise<void> => {
      expect(await client.pubsub('CHANNELS', '*control*')).toEqual([]);
      // What the watchdog of an idle broker asks, and no more.
      expect(await commandRate(client, 700, ['ping', 'time'])).toBe(0);
    };
    // What a start asks once may come a moment later.
    await eventually(isQuiet);
    await state();
    await eventually(isQuiet);
  });
});

describe('toNode', () => {
  it('serves the page under any path, with and without a slash', async () => {
    const { broker } = fleet();
    const at = await serve(toNode(board(broker()).handler));
    for (const path of ['', '/', '/ops', '/ops/', '/a/b/c', '//x', '/?', '/ops?x=1']) {
      const page = await fetch(at + path);
      expect(page.status).toBe(200);
      expect(await page.text()).toContain('<!doctype html>');
      const url = new URL('?view=state', at + path);
      expect(await (await fetch(url)).json()).toMatchObject({ away: null });
    }
    const head = await fetch(at, { method: 'HEAD' });
    expect(head.headers.get('content-security-policy')).toContain('nonce-');
    expect((await fetch(at, { method: 'POST', body: 'x'.repeat(100_000) })).status).toBe(405);
  });
});

it('works with rights on its prefix alone, and says what Redis refuses', async () => {
  const { url, port } = await ownServer();
  const admin = rawClient(url);
  await admin.call(
    'ACL',
    'SETUSER',
    'shop',
    'on',
    '>pw',
    '~shop:*',
    '&shop:*',
    '+@all',
    '-scan',
    '-pubsub',
  );
  const { broker } = fleet(`redis://shop:pw@127.0.0.1:${port}`);
  const own = broker({ prefix: 'shop:', rpc: { inboxPrefix: 'shop:inbox:' } });
  own.subscriber('prices', () => 1);
  await own.start();
  const { notes, rows } = await board(own).state();
  expect(rows).toHaveLength(1);
  expect(notes.join()).toMatch(/SCAN: NOPERM/);
  expect(notes.join()).toMatch(/PUBSUB: NOPERM/);
});

async function withLetters(kind: 'list' | 'stream') {
  const { broker, prefix } = fleet();
  const worker = broker();
  let isWell = false;
  const handled: number[] = [];
  const handle = (n: number): void => {
    if (isWell) return void handled.push(n);
    if (n % 2 === 0) throw new TypeError(`no ${n} in '${n}'`);
    throw new RangeError(`too much: ${n}`);
  };
  const dead = kind === 'list' ? { deadLetter: { list: 'jobs:dead' } } : {};
  const at = kind === 'list' ? { list: 'jobs', reliable: true } : { stream: 'jobs', group: 'g' };
  worker.subscriber({ ...at, retry: false, ...dead } as never, handle as never);
  await worker.start();
  for (let n = 1; n <= 5; n++) await worker.publish(n, { [kind]: 'jobs' } as never);
  const box = worker.deadLetters({ [kind]: 'jobs:dead' } as never);
  await eventually(async () => expect(await box.count()).toBe(5));
  takeLogs();
  const { ask, act } = board(worker, ALLOWED);
  const where = { kind, name: `${prefix}jobs:dead` };
  return {
    ...{ box, handled, act, where },
    recover: () => (isWell = true),
    letters: async (group?: string) =>
      (await ask({ view: 'letters', ...where, ...(group === undefined ? {} : { group }) })).json,
  };
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
