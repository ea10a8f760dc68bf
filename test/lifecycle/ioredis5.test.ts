// What ioredis 5 does before a connection is ready, and after a login was refused.
import type { Redis } from 'ioredis';
import * as five from 'ioredis5';
import * as oldest from 'ioredis5-oldest';
import { describe, expect } from 'vitest';
import { it, type Own } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import type { LogLine } from '../support/logs.ts';

const RELEASES = { newest: five.Redis, oldest: oldest.Redis } as const;
type Release = keyof typeof RELEASES;

function clientOf(own: Own, release: Release, options: five.RedisOptions): Redis {
  const client = new RELEASES[release](options);
  client.on('error', () => undefined);
  own.finished(() => client.disconnect());
  return client as unknown as Redis;
}

describe.concurrent.for(['newest', 'oldest'] as const)('with the %s ioredis 5', (release) => {
  it.for(['is ready then', 'is lost once more'])(
    'a channel that is subscribed to while the connection is being made again is heard where it %s',
    async (how, { own }) => {
      const server = await own.server();
      const admin = own.client(server.url);
      const proxy = await own.proxy(server.port);
      const broker = own.broker(clientOf(own, release, { host: '127.0.0.1', port: proxy.port }));
      const seen: unknown[] = [];
      broker.subscriber('first', (body) => void seen.push(body));
      await broker.start();
      const { accepted } = proxy;
      // Long enough for what follows to happen before the connection is ready.
      proxy.delay(60);
      const killed = Number(await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
      await eventually(() => proxy.accepted >= accepted + killed);
      const started = broker.subscriber('second', (body) => void seen.push(body)).started();
      if (how !== 'is ready then') {
        // What was sent until now is on its way.
        await new Promise((resolve) => setTimeout(resolve, 20));
        proxy.cut();
      }
      await started;
      // Once where the connection stood. On a busy machine it may have been ready before the cut: then what is sent at
      // once is lost with it, and it is sent again.
      const isOnce = how === 'is ready then';
      await admin.publish('second', '2');
      await eventually(async () => {
        if (!isOnce && seen.length === 0) await admin.publish('second', '2');
        expect(seen).toContain(2);
      });
      await eventually(async () => expect((await broker.health()).status).toBe('green'));
      await admin.publish('first', '1');
      await eventually(() => expect(isOnce ? seen : [...new Set(seen)]).toEqual([2, 1]));
      own.takeLogs();
    },
  );

  it.for([{}, { disableClientInfo: true }])(
    'every subscriber stops where the password was changed, also where ioredis takes the connection for ready (%o)',
    async (options, { own }) => {
      const server = await own.server();
      const admin = own.client(server.url);
      await admin.acl('SETUSER', 'worker', 'on', '>secret', '~*', '&*', '+@all');
      const login = {
        host: '127.0.0.1',
        port: server.port,
        username: 'worker',
        password: 'secret',
      };
      // The first attempt must tell: later ones tell by chance.
      const all = { ...login, ...options, retryStrategy: () => 700 };
      const broker = own.broker(clientOf(own, release, all));
      const places = ['channel', { list: 'l' }, { stream: 's' }, { stream: 'g', group: 'g' }];
      for (const place of places) broker.subscriber(place as { list: string }, () => undefined);
      await broker.start();
      await admin.acl('SETUSER', 'worker', 'resetpass', '>other');
      await admin.call('CLIENT', 'KILL', 'USER', 'worker');
      const errors: LogLine[] = [];
      await eventually(() => {
        errors.push(...own.takeLogs().filter(({ level }) => level === 'error'));
        expect(errors).toHaveLength(places.length);
      });
      for (const { message } of errors) expect(message).toContain('WRONGPASS');
      await eventually(async () =>
        expect(await broker.health()).toMatchObject({ status: 'red', connected: false }),
      );
      await broker.stop();
      own.takeLogs();
    },
  );
});
