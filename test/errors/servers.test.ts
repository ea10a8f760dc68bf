import { inspect } from 'node:util';
import { ConnectionError, RedisBroker, SetupError } from 'redstart';
import { describe, expect, it } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { newBroker } from '../support/broker.ts';
import { ownServer } from '../support/redis.ts';

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
    expect(performance.now() - began).toBeLessThan(5_000);
  });

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
      expect(performance.now() - began).toBeLessThan(5_000);
    }
  });
});
