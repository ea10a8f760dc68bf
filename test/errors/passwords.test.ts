// No error, no log line and no command line shows a password, whatever is wrong and however it was given.
import { Cluster, Redis } from 'ioredis';
import { RedisBroker, SetupError, type Logger, type RedisConnection } from 'redstart';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { errorText } from '../../src/cli/failure.ts';
import { shownUrl } from '../../src/cli/connection.ts';
import { tlsServer } from '../support/certificates.ts';
import { ownServer, unique } from '../support/redis.ts';

const SECRET = 'S3cr3t';

/** Everything that a person may see of an error. */
function shown(error: unknown): string {
  const all = inspect(error, { depth: 12, showHidden: true, getters: true });
  return `${all}\n${errorText(error)}\n${JSON.stringify(error)}\n${String((error as Error | undefined)?.stack)}`;
}

interface Seen {
  readonly error: unknown;
  readonly text: string;
}

/** What is seen where a broker is made with this connection, starts, publishes and stops. */
async function seen(connection: RedisConnection): Promise<Seen> {
  const lines: string[] = [];
  const log = (fields: object | string, message?: string): void =>
    void lines.push(`${shown(fields)} ${message}`);
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  let error: unknown;
  try {
    const broker = new RedisBroker(connection, { logger, gracefulTimeout: 100 });
    onTestFinished(() => broker.stop());
    broker.subscriber({ list: unique() }, () => undefined);
    broker.subscriber(unique(), () => undefined);
    await broker.start().catch((reason: unknown) => (error = reason));
    await broker.publish(1, unique()).catch((reason: unknown) => lines.push(shown(reason)));
    lines.push(shown(await broker.health()));
    await broker.stop();
  } catch (reason) {
    error = reason;
  }
  return { error, text: `${shown(error)}\n${lines.join('\n')}` };
}

describe('a URL that cannot be read is a SetupError without the password', () => {
  const URLS: [what: string, url: string, says: RegExp][] = [
    ['a raw slash', `redis://user:${SECRET}/abc@127.0.0.1:6399`, /percent-encoded/],
    ['a raw slash after digits', `redis://user:123/${SECRET}@127.0.0.1:6399`, /percent-encoded/],
    ['a raw percent sign', `redis://:${SECRET}100%@127.0.0.1:6399`, /percent-encoded/],
    ['a raw hash', `redis://:${SECRET}#x@127.0.0.1:6399`, /percent-encoded/],
    ['a raw hash after digits', `redis://user:123#${SECRET}@127.0.0.1`, /percent-encoded/],
    ['a raw question mark', `redis://user:123?${SECRET}@127.0.0.1`, /percent-encoded/],
    ['no host', `redis://:${SECRET}@`, /cannot be read/],
    ['no host and no @', `redis://:${SECRET}`, /cannot be read/],
    ['a port out of range', `redis://:${SECRET}@127.0.0.1:99999`, /65535.*99999/],
    ['a database that is no number', `redis://:${SECRET}@127.0.0.1/queue`, /number.*'queue'/],
    ['a database in the query', `redis://:${SECRET}@127.0.0.1?db=queue`, /number.*'queue'/],
    ['an unknown scheme', `postgres://user:${SECRET}@127.0.0.1/x`, /redis:\/\/, rediss:\/\//],
    ['a scheme with one slash', `redis:/user:${SECRET}@127.0.0.1`, /redis:\/\/, rediss:\/\//],
    ['a password in the query', `http://127.0.0.1?password=${SECRET}`, /redis:\/\/, rediss:\/\//],
    ['a line break', `postgres://user:${SECRET}\n${SECRET}@host`, /redis:\/\/, rediss:\/\//],
  ];

  it.each(URLS)('%s', (_, url, says) => {
    for (const connection of [url, { cluster: [url] }]) {
      if (typeof connection !== 'string' && !url.startsWith('redis://')) continue;
      let error: unknown;
      try {
        void new RedisBroker(connection, { logger: false });
      } catch (reason) {
        error = reason;
      }
      expect(error).toBeInstanceOf(SetupError);
      expect((error as Error).message).toMatch(says);
      expect(shown(error)).not.toContain(SECRET);
      expect(shownUrl(url)).not.toContain(SECRET);
    }
  });

  it('a Unix socket in a URL is refused, and the text says how to give it', () => {
    expect(() => new RedisBroker('redis:///run/redis/redis.sock')).toThrow(
      /no host.*\{ path: '\/run\/redis\/redis\.sock' \}/,
    );
  });

  it.each([
    ['host', { host: `redis://:${SECRET}@127.0.0.1` }],
    ['a host with a user', { host: `user:${SECRET}@127.0.0.1` }],
    ['the host of a sentinel', { sentinels: [{ host: `redis://:${SECRET}@h` }], name: 'm' }],
    ['the host of a node', { cluster: [{ host: `redis://:${SECRET}@h`, port: 1 }] }],
  ])('a URL as %s', (_, connection) => {
    let error: unknown;
    try {
      void new RedisBroker(connection);
    } catch (reason) {
      error = reason;
    }
    expect(error).toBeInstanceOf(SetupError);
    expect((error as Error).message).toContain("'host'");
    expect(shown(error)).not.toContain(SECRET);
  });

  it.each([['queue'], [-1], [1.5], [NaN], [{}]])('a database %s in the options', (db) => {
    expect(() => new RedisBroker({ db: db as number })).toThrow(/'db' must be the number/);
  });

  it.each([
    'redis://h',
    'redis://h/',
    'redis://h/3',
    'redis:///2',
    'redis://',
    'REDIS://h:6379/0',
    'redis://h?family=6&db=2',
    'rediss://user:p%40s%2Fs@[::1]:6380/0',
    'redis://:p@ss@h',
  ])('%s is read as before', (url) => {
    expect(() => new RedisBroker(url)).not.toThrow();
  });
});

describe('a login that fails shows no password', () => {
  const LOGINS: [what: string, connection: (port: number) => RedisConnection][] = [
    ['a URL', (at) => `redis://:${SECRET}@127.0.0.1:${at}`],
    ['a URL with a user', (at) => `redis://user:${SECRET}@127.0.0.1:${at}/1`],
    ['a password in the query', (at) => `redis://127.0.0.1:${at}?password=${SECRET}`],
    ['options', (at) => ({ host: '127.0.0.1', port: at, password: SECRET })],
    ['RESP2', (at) => ({ host: '127.0.0.1', port: at, password: SECRET, protocol: 2 })],
    ['a client', (at) => new Redis(at, '127.0.0.1', { password: SECRET, lazyConnect: true })],
    [
      'a sentinel',
      (at) => ({
        sentinels: [{ host: '127.0.0.1', port: at }],
        name: 'm',
        password: SECRET,
        sentinelPassword: SECRET,
      }),
    ],
    [
      'a cluster',
      (at) => ({
        cluster: [{ host: '127.0.0.1', port: at }],
        redisOptions: { password: SECRET, connectTimeout: 1_000 },
      }),
    ],
    ['a cluster of URLs', (at) => ({ cluster: [`redis://:${SECRET}@127.0.0.1:${at}`] })],
    [
      'a client of a cluster',
      (at) =>
        new Cluster([{ host: '127.0.0.1', port: at }], {
          redisOptions: { password: SECRET },
          clusterRetryStrategy: () => null,
          lazyConnect: true,
        }),
    ],
  ];

  it.each(LOGINS)('%s', async (_, connection) => {
    const { port } = await ownServer(['--requirepass', 'right']);
    const { error, text } = await seen(connection(port));
    expect(error).toMatchObject({ code: 'CONNECTION' });
    expect(text).not.toContain(SECRET);
  });

  it.each(LOGINS)('%s, where nobody listens', async (_, connection) => {
    const { error, text } = await seen(connection(await freePort()));
    expect(error).toMatchObject({ code: 'CONNECTION' });
    expect(text).not.toContain(SECRET);
  });

  it.each(LOGINS.slice(0, 4))('%s, where no Redis listens', async (_, connection) => {
    const web = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => void web.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void web.close());
    const { error, text } = await seen(connection((web.address() as AddressInfo).port));
    expect(error).toMatchObject({ code: 'CONNECTION' });
    expect(text).not.toContain(SECRET);
  });

  it('TLS', async () => {
    const { port: at, ca } = await tlsServer();
    const urls = [`rediss://:${SECRET}@localhost:${at}`, `redis://:${SECRET}@localhost:${at}`];
    const options = { host: 'localhost', port: at, password: SECRET, tls: { ca } };
    for (const connection of [...urls, options]) {
      const { text } = await seen(connection);
      expect(text).not.toContain(SECRET);
    }
  });

  it('memory://', async () => {
    const { text } = await seen(`memory://user:${SECRET}@x`);
    expect(text).not.toContain(SECRET);
    expect(shownUrl(`memory://user:${SECRET}@x`)).not.toContain(SECRET);
  });
});
