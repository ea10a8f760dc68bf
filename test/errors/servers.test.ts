import { createServer, type AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { ConnectionError, RedisBroker, SetupError } from 'redstart';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs, type LogLine } from '../support/logs.ts';
import { ownServer, rawClient } from '../support/redis.ts';

async function thrownBy(does: () => unknown): Promise<Error> {
  try {
    await does();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

describe('a server that cannot be used', () => {
  it.each([
    'http://user:s3cret@localhost:6379',
    'redis:/user:s3cret@localhost:6379',
    'user:s3cret@localhost:6379',
    'http://user:s3cret@more@localhost:6379',
  ])('is refused by its URL, and the password is not shown (%s)', async (url) => {
    const error = await thrownBy(() => new RedisBroker(url));
    expect(error).toBeInstanceOf(SetupError);
    expect(error.message).toContain('redis://');
    expect(error.message).toContain('localhost:6379');
    expect(error.message).not.toMatch(/s3cret|more/);
  });

  it('is named with the cause, soon, where nothing listens, and its password is not shown', async () => {
    const port = await freePort();
    const service = newBroker(`redis://user:s3cret@127.0.0.1:${port}`);
    const began = performance.now();
    const error = await thrownBy(() => service.start());
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ code: 'CONNECTION', address: `127.0.0.1:${port}` });
    expect(error.message).toContain(`127.0.0.1:${port}`);
    expect(error.message).toContain('ECONNREFUSED');
    expect(error.message).not.toContain('s3cret');
    // Soon is as opposed to never; a busy machine adds seconds.
    expect(performance.now() - began).toBeLessThan(15_000);
  });

  it.each([
    ['LOADING Redis is loading the dataset in memory', false],
    ['ERR max number of clients reached', true],
    ['MASTERDOWN Link with MASTER is down', false],
  ])('is named with what the server says to everything: %s', async (words, closes) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      if (closes) socket.end(`-${words}\r\n`);
      else
        socket.on('data', (data) => {
          for (let n = String(data).split(/^\*/m).length; n > 1; n--) socket.write(`-${words}\r\n`);
        });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    // Again where a busy machine did not read the words in this time.
    await eventually(async () => {
      const service = newBroker({ host: '127.0.0.1', port, connectTimeout: 800 });
      const error = await thrownBy(() => service.start());
      expect(error).toMatchObject({ code: 'CONNECTION', address: `127.0.0.1:${port}` });
      expect(error.message).toContain(words);
    });
  });

  it.each([
    ['a reliable list', { list: 'x', reliable: true }],
    ['a group', { stream: 'x', group: 'g' }],
  ])(
    'is named with the place and the reason where %s cannot be read on a replica',
    async (_, at) => {
      const server = await ownServer();
      await rawClient(server.url).replicaof('127.0.0.1', String(await freePort()) as never);
      const service = newBroker(server.url);
      service.subscriber(at as object as { list: string }, () => undefined);
      const error = await thrownBy(() => service.start());
      expect(error).toMatchObject({ code: 'CONNECTION' });
      expect(error.message).toMatch(/'x' cannot be read: READONLY/);
    },
  );

  it('is named with the cause where the password is wrong', async () => {
    const server = await ownServer(['--requirepass', 'right']);
    for (const url of [server.url.replace('//', '//:s3cret@'), server.url]) {
      const service = newBroker(url);
      const began = performance.now();
      const error = await thrownBy(() => service.start());
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error.message).toContain(new URL(server.url).host);
      expect(error.message).toMatch(/WRONGPASS|NOAUTH/);
      // The cause, too, which loggers show with all its properties.
      expect(inspect(error, { depth: 9 })).not.toContain('s3cret');
      // As opposed to never; a busy machine adds seconds.
      expect(performance.now() - began).toBeLessThan(15_000);
    }
  });
});

it.each([
  ['allkeys-lru', 1],
  ['volatile-ttl', 1],
  ['noeviction', 0],
])(
  'a server with memory for so much and maxmemory-policy %s: %d warning at the start',
  async (policy, lines) => {
    const server = await ownServer(['--maxmemory', '100mb', '--maxmemory-policy', policy]);
    const service = newBroker(server.url);
    service.subscriber({ list: 'x' }, (body) => body);
    await service.start();
    expect(await service.publish(1, { list: 'x', rpc: true, timeout: 20_000 })).toBe(1);
    const logs: LogLine[] = [];
    await eventually(() => {
      logs.push(...takeLogs());
      expect(logs.map(({ message }) => message)).toEqual(
        Array(lines).fill(expect.stringContaining(`noeviction, it is ${policy}`)),
      );
    });
  },
);
