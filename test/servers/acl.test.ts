// Rights are read from docs/connections.md: what is written there is enough, and no more than that.
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { RedisBroker, type BrokerOptions } from 'redstart';
import { beforeEach, describe, expect, it } from 'vitest';
import { repository } from '../docs/program.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
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
  it('can do everything, and none of the rights is there for nothing', async () => {
    await admin.call('ACL', 'SETUSER', 'shop', ...rules);
    await admin.call('CONFIG', 'RESETSTAT');
    await everything();
    expect(await denied()).toEqual([]);
    const used = await usedCommands();
    console.log([...used].sort().join(' '));
    const granted = rules.filter((rule) => rule.startsWith('+')).map((rule) => rule.slice(1));
    expect(granted.length).toBeGreaterThan(10);
    expect(granted.filter((command) => !used.has(command))).toEqual([]);
  });

  it('cannot touch what is not its own', async () => {
    await admin.call('ACL', 'SETUSER', 'shop', ...rules);
    const broker = asUser({ prefix: '' });
    for (const to of [{ channel: 'other' }, { list: 'other' }, { stream: 'other' }]) {
      const error = await broker.publish(1, to as never).catch((reason: Error) => reason);
      expect(error).toMatchObject({ code: 'SEND' });
      expect((error as Error).message).toMatch(/'other'.*NOPERM/);
    }
  });
});

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

function asUser(options: BrokerOptions = {}): RedisBroker {
  const connection = { host: '127.0.0.1', port, username: 'shop', password: 's3cret' };
  return newBroker(connection, { prefix: PREFIX, ...options });
}

/** Uses all that redstart sends, rare commands included. */
async function everything(): Promise<void> {
  const service = asUser();
  const caller = asUser();
  const heard: unknown[] = [];
  const answer = (body: unknown): unknown => body;
  service.subscriber('price', answer);
  service.subscriber('logs.{level}', (_, { path }) => void heard.push(path['level']));
  service.subscriber({ channel: 'sharded', sharded: true }, answer);
  service.subscriber({ list: 'orders' }, answer);
  service.subscriber({ stream: 'all' }, (body) => void heard.push(body));
  service.subscriber({ stream: 'events', group: 'g', maxlen: 1 }, answer);
  let attempts = 0;
  service.subscriber(
    { stream: 'retried', group: 'g', ackPolicy: 'nack-on-error', noReply: true },
    () => {
      if (++attempts === 1) throw new Error('once more');
    },
  );
  await service.start();
  for (const to of [
    { channel: 'price' },
    { channel: 'sharded', sharded: true },
    { list: 'orders' },
    { stream: 'events' },
  ]) {
    expect(await caller.publish(1, { ...to, rpc: true, timeout: 5_000 })).toBe(1);
  }
  await caller.publish('all', { stream: 'all' });
  await caller.publish('', 'logs.warn');
  await caller.publish('x', { stream: 'retried' });
  await eventually(() => expect(heard.toSorted()).toEqual(['all', 'warn']));
  await eventually(() => attempts >= 2);
  takeLogs(); // of the first attempt

  // An answer for a caller that is gone is kept, and looked for when one reconnects.
  const waiting = caller.publish(1, { list: 'slow', rpc: true, timeout: 10_000 });
  await eventually(async () => (await admin.llen(`${PREFIX}slow`)) === 1);
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  service.subscriber({ list: 'slow' }, answer);
  expect(await waiting).toBe(1);
  const lost = { correlation_id: 'x' };
  await service.publish(1, { channel: 'price', replyTo: 'nobody', headers: lost });
  await service.stop();
  await caller.stop();
  takeLogs(); // of the connections that were cut
}

/** What was refused: the command or key or channel of each. */
async function denied(): Promise<unknown[]> {
  const log = (await admin.call('ACL', 'LOG')) as unknown[][];
  return log.map((entry) => entry[entry.indexOf('object') + 1]);
}

async function usedCommands(): Promise<Set<string>> {
  const stats = await admin.info('commandstats');
  return new Set(
    [...stats.matchAll(/^cmdstat_(\S+?):calls=[1-9]/gm)].map((match) => match[1] as string),
  );
}

/** The words of the documented ACL SETUSER after the user's name. */
function documentedRules(): string[] {
  const [, command = ''] = /^redis-cli ACL SETUSER shop ((?:.*\\\n)*.*)$/m.exec(text) ?? [];
  return command
    .replaceAll(/[\\'\n]/g, ' ')
    .trim()
    .split(/ +/);
}
