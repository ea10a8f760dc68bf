// Rights are read from docs/connections.md: what is written there is enough, and no more than that.
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import type { BrokerOptions, RedisBroker } from 'redstart';
import { beforeEach, describe, expect, it } from 'vitest';
import { repository } from '../docs/program.ts';
import { newBroker } from '../support/broker.ts';
import { deferred } from '../../src/internal/deferred.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient } from '../support/redis.ts';

const text = readFileSync(repository('docs/connections.md'), 'utf8');
const rules = documentedRules();
const PREFIX = 'shop:';

let admin: Redis;
let port: number;
beforeEach(async () => {
  const server = await ownServer();
  port = server.port;
  admin = rawClient(server.url);
});

describe('a user with the documented rights', () => {
  it(
    'can do everything, and none of the rights is there for nothing',
    { timeout: 180_000 },
    async () => {
      await admin.call('ACL', 'SETUSER', 'shop', ...rules);
      await admin.call('CONFIG', 'RESETSTAT');
      await everything();
      expect(await denied()).toEqual([]);
      const used = await usedCommands();
      const granted = rules.filter((rule) => rule.startsWith('+')).map((rule) => rule.slice(1));
      expect(granted.length).toBeGreaterThan(10);
      expect(granted.filter((command) => !used.has(command))).toEqual([]);
    },
  );

  it('cannot touch what is not its own', async () => {
    await admin.call('ACL', 'SETUSER', 'shop', ...rules);
    const broker = asUser({ prefix: '' });
    for (const to of [{ channel: 'other' }, { list: 'other' }, { stream: 'other' }]) {
      const error = await broker.publish(1, to).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'SEND' });
      expect((error as Error).message).toMatch(/'other'.*NOPERM/);
    }
  });
});

it('two users with the documented rights neither hear nor answer nor take what is the other’s', async () => {
  await admin.call('ACL', 'SETUSER', 'shop', ...rules);
  const others = rules.map((rule) => rule.replaceAll('shop:', 'bank:'));
  await admin.call('ACL', 'SETUSER', 'bank', ...others);
  const at = `redis://bank:s3cret@127.0.0.1:${port}`;
  const bank = newBroker(at, { prefix: 'bank:', rpc: { inboxPrefix: 'bank:inbox:' } });
  bank.subscriber('balance', () => 5);
  await bank.start();
  expect(await bank.publish(1, { channel: 'balance', rpc: true, timeout: 20_000 })).toBe(5);
  const [inbox = ''] = (await admin.pubsub('CHANNELS', 'bank:inbox:{*')) as string[];
  expect(inbox).not.toBe('');
  const stranger = rawClient(`redis://shop:s3cret@127.0.0.1:${port}`);
  await expect(stranger.psubscribe('bank:inbox:*')).rejects.toThrow('NOPERM');
  await expect(stranger.subscribe(inbox)).rejects.toThrow('NOPERM');
  await expect(stranger.publish(inbox, 'forged')).rejects.toThrow('NOPERM');
  await expect(stranger.lrange(`${inbox}:kept`, 0, -1)).rejects.toThrow('NOPERM');
  await expect(stranger.hgetall('redstart:list:{bank:safe}:held:c')).rejects.toThrow('NOPERM');
});

describe('the rows of the table are enough for', () => {
  const places = {
    channels: { channel: 'x' },
    lists: { list: 'x' },
    'reliable lists': { list: 'x', reliable: true },
    streams: { stream: 'x' },
    'stream groups': { stream: 'x', group: 'g' },
  } as const;

  it.each(Object.entries(places))('%s: reading, calls, a transaction, health', async (row, at) => {
    const rows = ['every broker', 'sending', 'a pipeline with `transaction`', row, '`health()`'];
    const named = await commandsOf([...rows, 'making calls', 'answering calls']);
    await admin.call('ACL', 'SETUSER', 'shop', 'on', '>s3cret', '~*', '&*', '-@all', ...named);
    const service = asUser();
    service.subscriber(at as object as { list: string }, answer);
    await service.start();
    const {
      reliable: _reliable,
      group: _group,
      ...to
    } = at as { list: string } & {
      reliable?: boolean;
      group?: string;
    };
    const sent = await service.pipeline({ transaction: true }).publish(1, to).send();
    expect(sent).toHaveLength(1);
    expect(await service.publish(2, { ...to, rpc: true, timeout: 20_000 })).toBe(2);
    expect(await service.health()).toMatchObject({ status: 'green', problems: [] });
    await service.stop();
    // Every broker looks for delayed messages, and leaves them to others where it may not.
    expect((await denied()).filter((command) => command !== 'zrangebyscore')).toEqual([]);
  });
});

it.each([
  ['with', ['+client|tracking', '+client|caching', '&__redis__:invalidate'], true],
  ['without', [], false],
] as const)(
  'shared connections work %s the right to be told of changes',
  async (_, more, isTold) => {
    await admin.call('ACL', 'SETUSER', 'shop', ...rules, ...more);
    const broker = asUser({ connections: 'shared' });
    const got: string[] = [];
    for (let n = 0; n < 12; n++) {
      broker.subscriber({ list: `l${n}` }, () => void got.push(`l${n}`));
      broker.subscriber({ list: `r${n}`, reliable: true }, () => void got.push(`r${n}`));
      broker.subscriber({ stream: `g${n}`, group: 'g' }, () => void got.push(`g${n}`));
    }
    await broker.start();
    const expected: string[] = [];
    for (let n = 0; n < 12; n++) {
      await broker.publish(n, { list: `l${n}` });
      await broker.publish(n, { list: `r${n}` });
      await broker.publish(n, { stream: `g${n}` });
      expected.push(`l${n}`, `r${n}`, `g${n}`);
    }
    await eventually(() => expect(got.toSorted()).toEqual(expected.toSorted()));
    expect(/flags=t/.test(String(await admin.client('LIST')))).toBe(isTold);
  },
);

describe('a user without a right', () => {
  it.each([
    ['a channel', ['resetchannels'], 'price', /channel 'shop:price'/],
    ['a list', ['-blmpop', '-blpop'], { list: 'orders' }, /list 'shop:orders'/],
    ['a stream', ['-xreadgroup'], { stream: 'events', group: 'g' }, /stream 'shop:events'/],
  ] as const)('to read %s is told which, and where', async (_, less, address, named) => {
    await admin.call('ACL', 'SETUSER', 'shop', ...rules, ...less);
    const broker = asUser();
    broker.subscriber(address as never, () => undefined);
    const error = await broker.start().catch((reason: Error) => reason);
    // What is refused only when it is first read is logged, and what is refused before fails the start.
    let told = String(error);
    await eventually(() => {
      for (const line of takeLogs()) told += `\n${line.message}: ${String(line.error)}`;
      expect(told).toMatch(/NOPERM/);
    });
    expect(told).toMatch(named);
    await broker.stop();
    takeLogs();
  });

  it('a password that is wrong, or a user that is switched off, fails the start', async () => {
    await admin.call('ACL', 'SETUSER', 'shop', ...rules, 'off');
    const error = await asUser()
      .start()
      .catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'CONNECTION' });
    expect((error as Error).message).toContain(`127.0.0.1:${port}`);
    expect((error as Error).message).toMatch(/WRONGPASS/);
    expect((error as Error).message).not.toContain('s3cret');
  });
});

function asUser(options: BrokerOptions = {}, at = port): RedisBroker {
  const connection = { host: '127.0.0.1', port: at, username: 'shop', password: 's3cret' };
  return newBroker(connection, {
    prefix: PREFIX,
    rpc: { inboxPrefix: `${PREFIX}inbox:` },
    ...options,
  });
}

const answer = (body: unknown): unknown => body;

/** Uses all that redstart sends, rare commands included. */
async function everything(): Promise<void> {
  const service = asUser({ trimPast: 60_000 });
  const caller = asUser();
  const heard: unknown[] = [];
  service.subscriber('price', answer);
  service.subscriber('logs.{level}', (_, { path }) => void heard.push(path['level']));
  service.subscriber({ channel: 'sharded', sharded: true }, answer);
  service.subscriber({ list: 'orders' }, answer);
  service.subscriber({ list: 'safe', reliable: true }, (body) => {
    heard.push(body);
    return body;
  });
  await leaveBehind('left behind');
  service.subscriber({ stream: 'all' }, (body) => void heard.push(body));
  service.subscriber({ stream: 'events', group: 'g', deleteOnAck: true }, answer);
  service.subscriber({ stream: 'trimmed', group: 'g', maxlen: 1 }, answer);
  await admin.xgroup('CREATE', 'shop:trimmed', 'nobody', '0', 'MKSTREAM');
  for (let i = 0; i < 2; i++) await admin.xadd('shop:trimmed', '*', 'a', 'b');
  const deadLetter = { stream: 'dead' };
  const retry = { maxDeliveries: 2, backoff: 1 };
  // Its pause is longer than minIdle: it waits on the server.
  const claim = { minIdle: 100 };
  const later = { maxDeliveries: 2, backoff: 150 };
  service.subscriber({ stream: 'doomed', group: 'g', retry: later, deadLetter, claim }, () => {
    throw new Error('never');
  });
  service.subscriber({ list: 'doomed', reliable: true, retry, deadLetter }, () => {
    throw new Error('never');
  });
  // Two of one name: the second waits to see whether the first is alive.
  for (const broker of [service, caller])
    broker.subscriber({ stream: 'named', group: 'g', consumer: 'c' }, answer);
  await service.start();
  await caller.start();
  for (const to of [
    { channel: 'price' },
    { channel: 'sharded', sharded: true },
    { list: 'orders' },
    { list: 'safe' },
    { stream: 'all' },
    { stream: 'events' },
    { stream: 'trimmed' },
    { stream: 'trimmed' },
  ]) {
    expect(await caller.publish(1, { ...to, rpc: true, timeout: 20_000 } as never)).not.toBe('');
  }
  await eventually(async () =>
    expect(await admin.hkeys('redstart:silent:{shop:trimmed}')).toEqual(['nobody']),
  );
  await service.health();
  await caller.pipeline({ transaction: true }).publish(1, { list: 'together' }).send();
  await caller.publish('', 'logs.warn');
  await eventually(() => expect(heard).toContain('warn'));
  // It counts as dead when it has given no sign of life for nine seconds.
  await eventually(() => expect(heard).toContain('left behind'));
  await caller.publish('x', { stream: 'doomed' });
  expect(
    await caller.cancel(
      { list: 'later' },
      await caller.publish('x', { list: 'later', delay: 60_000 }),
    ),
  ).toBe(true);
  for (const to of [{ stream: 'all' }, { list: 'safe' }])
    await caller.publish('delayed', { ...to, delay: 10, expires: 60_000 } as never);
  await eventually(() => expect(heard.filter((body) => body === 'delayed')).toHaveLength(2));
  await lettersAreSeenTo(service, deadLetter);
  await lettersAreSeenTo(service, { list: 'buried' });
  await itemsArePutBack(caller);
  await idsAreHeeded(caller);
  await answerIsKept(service);
  await caller.stop();
  takeLogs(); // of what failed on purpose
}

/** A consumer of the reliable list that died with an item in hand. */
async function leaveBehind(item: string): Promise<void> {
  const keys = `redstart:list:{${PREFIX}safe}`;
  await admin.hset(`${keys}:consumers`, 'dead', '1');
  await admin.hset(`${keys}:held:dead`, '1-0:1', JSON.stringify(item));
}

/** Counts, lists and removes a dead letter. */
async function lettersAreSeenTo(
  service: RedisBroker,
  at: { stream: string } | { list: string },
): Promise<void> {
  if ('list' in at) await service.publish('an old one', at);
  const letters = service.deadLetters(at);
  await eventually(async () => expect(await letters.count()).toBe(1));
  expect(await letters.list()).toHaveLength(1);
  expect(await letters.remove()).toBe(1);
}

/** Two calls with one id at the same time get one answer; a duplicate waits for the one that is handled. */
async function idsAreHeeded(caller: RedisBroker): Promise<void> {
  const service = asUser();
  const begun: unknown[] = [];
  const release = deferred<string>();
  const from = { list: 'ids', reliable: true, once: 60_000, concurrency: 4 };
  service.subscriber(from, (body) => {
    begun.push(body);
    return release.promise;
  });
  await service.start();
  const call = { list: 'ids', rpc: true, id: 'a', timeout: 10_000 } as const;
  const calls = [caller.publish('call', call), caller.publish('call', call)];
  const duplicate = { list: 'ids', headers: { message_id: 'b' } };
  for (let i = 0; i < 2; i++) await caller.publish('once', duplicate);
  await caller.publish('last', { list: 'ids' });
  await eventually(() => expect(begun).toEqual(['call', 'once', 'last']));
  release.resolve('done');
  expect(await Promise.all(calls)).toEqual(['done', 'done']);
  await service.stop();
  expect(begun).toHaveLength(3);
}

/** A caller that cannot be reached when the answer comes finds it when it is back, and the service gone. */
async function answerIsKept(service: RedisBroker): Promise<void> {
  const proxy = await FaultProxy.to(port);
  const caller = asUser({ logger: false }, proxy.port);
  const [running, release] = [deferred<void>(), deferred<string>()];
  service.subscriber({ list: 'slow' }, () => {
    running.resolve();
    return release.promise;
  });
  const answered = caller.publish(1, { list: 'slow', rpc: true, timeout: 10_000 });
  await running.promise;
  proxy.cutOff();
  release.resolve('late');
  await eventually(async () => expect(await admin.keys('*:kept')).toHaveLength(1));
  await service.stop();
  proxy.heal();
  expect(await answered).toBe('late');
  await caller.stop();
}

/** What a list's reader has fetched and not begun goes back. */
async function itemsArePutBack(sender: RedisBroker): Promise<void> {
  const reader = asUser({ gracefulTimeout: 5_000 });
  const [running, release] = [deferred<void>(), deferred<void>()];
  reader.subscriber({ list: 'queue', maxRecords: 10 }, () => {
    running.resolve();
    return release.promise;
  });
  await sender.publishBatch([1, 2, 3], { list: 'queue' });
  await reader.start();
  await running.promise;
  const stopped = reader.stop();
  release.resolve();
  await stopped;
  expect(await admin.llen(`${PREFIX}queue`)).toBe(2);
}

/** What was refused: the command or key or channel of each. */
async function denied(): Promise<string[]> {
  const log = (await admin.call('ACL', 'LOG')) as unknown[][];
  const objects = log.map((entry) => String(entry[entry.indexOf('object') + 1]));
  // ioredis says what it is, and does not mind to be refused.
  return objects.filter((object) => object !== 'client|setinfo');
}

async function usedCommands(): Promise<Set<string>> {
  const stats = await admin.info('commandstats');
  return new Set(
    [...stats.matchAll(/^cmdstat_(\S+?):calls=[1-9]/gm)].map((match) => match[1] as string),
  );
}

/** The rights to the commands that these rows of the table name. */
async function commandsOf(rows: readonly string[]): Promise<string[]> {
  const known = new Set((await admin.call('COMMAND', 'LIST')) as string[]);
  return rows.flatMap((row) => {
    const line = text.split('\n').find((one) => one.startsWith(`| ${row} `)) ?? '';
    const words = [...line.matchAll(/`([a-z]+)(?:\\\|([a-z]+))?`/g)];
    const commands = words.filter(([, name = '']) => known.has(name));
    if (commands.length === 0) throw new Error(`no row '${row}' in docs/connections.md`);
    return commands.map(([, name, part]) => (part === undefined ? `+${name}` : `+${name}|${part}`));
  });
}

/** The words of the documented ACL SETUSER after the user's name. */
function documentedRules(): string[] {
  const [, command = ''] = /^redis-cli ACL SETUSER shop ((?:.*\\\n)*.*)$/m.exec(text) ?? [];
  return command
    .replaceAll(/[\\'\n]/g, ' ')
    .trim()
    .split(/ +/);
}
