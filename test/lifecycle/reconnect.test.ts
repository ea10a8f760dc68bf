import type { Redis } from 'ioredis';
import { NoMatchingHandlerError, type RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { commandRate, quietest } from '../support/commands.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient } from '../support/redis.ts';

/** Cuts every connection of the server but `client`'s own. */
async function killAll(client: Redis): Promise<void> {
  await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub', 'SKIPME', 'yes');
}

interface Bench {
  readonly broker: RedisBroker;
  readonly client: Redis;
}

async function bench(): Promise<Bench> {
  const { url } = await ownServer();
  return { broker: newBroker(url), client: rawClient(url) };
}

describe('after all connections were cut', () => {
  it('a channel is heard again', async () => {
    const { broker, client } = await bench();
    const seen: unknown[] = [];
    broker.subscriber('channel', (body) => void seen.push(['exact', body]));
    broker.subscriber('logs.{level}', (_, { path }) => void seen.push(['template', path['level']]));
    await broker.start();
    await killAll(client);
    // Channels are at most once: what is sent before the subscription stands again is lost.
    await eventually(async () => expect(await client.publish('channel', '1')).toBe(1));
    await eventually(async () => expect(await client.publish('logs.error', '1')).toBe(1));
    await eventually(() => expect(seen).toHaveLength(2));
    expect(new Map(seen as [string, unknown][])).toEqual(
      new Map<string, unknown>([
        ['exact', 1],
        ['template', 'error'],
      ]),
    );
    takeLogs();
  });

  it('a list is read on, and no item is lost that was pushed meanwhile', async () => {
    const { broker, client } = await bench();
    const seen: unknown[] = [];
    broker.subscriber({ list: 'list' }, (body) => void seen.push(body));
    await broker.start();
    await client.rpush('list', '1');
    await eventually(() => expect(seen).toEqual([1]));
    await killAll(client);
    await client.rpush('list', '2', '3');
    await eventually(() => expect(seen).toEqual([1, 2, 3]));
    takeLogs();
  });

  it('a stream is read on from where it was: nothing lost, nothing twice', async () => {
    const { broker, client } = await bench();
    const seen: unknown[] = [];
    broker.subscriber({ stream: 'stream' }, (body) => void seen.push((body as { n: string }).n));
    await broker.start();
    const sent = Array.from({ length: 60 }, (_, i) => String(i));
    for (const n of sent) {
      await client.xadd('stream', '*', 'n', n);
      if (n === '20' || n === '40') await killAll(client);
    }
    await eventually(() => expect(seen.length).toBeGreaterThanOrEqual(sent.length));
    expect(seen).toEqual(sent);
    takeLogs();
  });

  it('a group is read on, own pending entries first, and all is acknowledged', async () => {
    const { broker, client } = await bench();
    const seen = new Set<string>();
    const address = { stream: 'stream', group: 'g', consumer: 'c' } as const;
    broker.subscriber({ ...address }, (body) => void seen.add((body as { n: string }).n));
    await broker.start();
    const sent = Array.from({ length: 60 }, (_, i) => String(i));
    for (const n of sent) {
      await client.xadd('stream', '*', 'n', n);
      if (n === '20' || n === '40') await killAll(client);
    }
    // At least once: a cut between handling and acknowledging repeats an entry.
    await eventually(() => expect(seen).toEqual(new Set(sent)));
    await eventually(async () => {
      expect(((await client.xpending('stream', 'g')) as [number])[0]).toBe(0);
    });
    takeLogs();
  });

  it('a new call is answered, over all three structures', async () => {
    const { broker, client } = await bench();
    broker.subscriber('channel', (n: number) => n + 1);
    broker.subscriber({ list: 'list' }, (n: number) => n + 2);
    broker.subscriber({ stream: 'stream', group: 'g' }, (n: number) => n + 3);
    await broker.start();
    const call = { rpc: true, timeout: 15_000 } as const;
    expect(await broker.publish(0, { channel: 'channel', ...call })).toBe(1);
    await killAll(client);
    expect(await broker.publish(0, { list: 'list', ...call })).toBe(2);
    expect(await broker.publish(0, { stream: 'stream', ...call })).toBe(3);
    await eventually(async () => {
      expect(await broker.publish(0, { channel: 'channel', ...call })).toBe(1);
    });
    takeLogs();
  });

  it.each([{ channel: 'x' }, { list: 'x' }, { stream: 'x' }, { stream: 'x', group: 'g' }])(
    'a call that was under way still gets its answer (%o)',
    async (address) => {
      const { url } = await ownServer();
      const [service, caller, client] = [newBroker(url), newBroker(url), rawClient(url)];
      const { group: _, ...to } = { group: undefined, ...address };
      let end: (() => void) | undefined;
      let runs = 0;
      service.subscriber(address as { list: string }, async () => {
        runs++;
        await new Promise<void>((resolve) => void (end = resolve));
        return 'in spite of it all';
      });
      await service.start();
      const answer = caller.publish(1, {
        ...(to as { list: string }),
        rpc: true,
        timeout: 50_000,
      });
      await eventually(() => expect(end).toBeDefined());
      await killAll(client);
      end?.(); // at once: the answer may be sent before the caller is back
      expect(await answer).toBe('in spite of it all');
      expect(runs).toBe(1);
      takeLogs();
    },
  );

  it('a call that was under way is still told that no handler takes it', async () => {
    const { url } = await ownServer();
    const [service, caller, client] = [newBroker(url), newBroker(url), rawClient(url)];
    let refuse: (() => void) | undefined;
    const filter = (): Promise<boolean> =>
      new Promise((resolve) => void (refuse = () => resolve(false)));
    service.subscriber({ channel: 'x', filter }, () => 'never');
    await service.start();
    const answer = caller
      .publish(1, { channel: 'x', rpc: true, timeout: 50_000 })
      .catch((error: unknown) => error);
    await eventually(() => expect(refuse).toBeDefined());
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    refuse?.(); // at once: it is said before the caller is back
    expect(await answer).toBeInstanceOf(NoMatchingHandlerError);
    takeLogs();
  });

  it('the broker goes on when the server was away for a while', async () => {
    const first = await ownServer();
    const broker = newBroker(first.url);
    broker.subscriber('channel', () => 'channel');
    broker.subscriber({ list: 'list' }, () => 'list');
    broker.subscriber({ stream: 'stream', group: 'g' }, () => 'stream');
    await broker.start();
    await first.stop();
    await ownServer(['--port', String(first.port)]);
    const call = { rpc: true, timeout: 15_000 } as const;
    expect(await broker.publish(1, { list: 'list', ...call })).toBe('list');
    // The stream and its group went with the server: they are made again.
    await eventually(async () => {
      expect(await broker.publish(1, { stream: 'stream', ...call })).toBe('stream');
    });
    await eventually(async () => {
      expect(await broker.publish(1, { channel: 'channel', ...call })).toBe('channel');
    });
    await broker.stop(); // before the second server, which ends with the test
    takeLogs();
  });
});

describe('a stream subscriber at run time', () => {
  it.each(['XGROUP', 'DEL'] as const)(
    'makes its group again when it goes away (%s)',
    async (how) => {
      const { broker, client } = await bench();
      const seen: unknown[] = [];
      broker.subscriber({ stream: 'stream', group: 'g' }, (body) => void seen.push(body));
      await broker.start();
      await broker.publish('before', { stream: 'stream' });
      await eventually(() => expect(seen).toEqual(['before']));
      if (how === 'DEL') await client.del('stream');
      else await client.xgroup('DESTROY', 'stream', 'g');
      await eventually(async () => {
        await broker.publish('after', { stream: 'stream' });
        expect(seen).toContain('after');
      });
      takeLogs();
    },
  );

  it('never reads in a hot loop while its stream is something else', async () => {
    const { broker, client } = await bench();
    broker.subscriber({ stream: 'stream', group: 'g' }, () => undefined);
    await broker.start();
    await client.del('stream');
    await client.set('stream', 'a string now');
    await eventually(() => {
      if (!takeLogs().some(({ error }) => String(error).includes('WRONGTYPE')))
        throw new Error('no WRONGTYPE was logged yet');
    });
    // The watchdog's PINGs are sent on good days, too.
    const rate = (): Promise<number> => commandRate(client, 2_000, ['ping']);
    expect(await quietest(5, rate)).toBeLessThan(5);
    await broker.stop();
    takeLogs();
  });
});

describe('a stop while the server is gone', () => {
  const SUBSCRIBERS = {
    channel: { channel: 'x' },
    template: { channel: 'x.{y}' },
    list: { list: 'x' },
    stream: { stream: 'x' },
    'group, named consumer': { stream: 'x', group: 'g', consumer: 'c' },
    'group, consumer of its own': { stream: 'x', group: 'g' },
  };

  const CASES = (Object.keys(SUBSCRIBERS) as (keyof typeof SUBSCRIBERS)[]).flatMap((key) =>
    (['at once', 'when it was noticed'] as const).map((when) => [key, when] as const),
  );

  it.each(CASES)(
    'ends soon, and blames no handler that does not run (%s, %s)',
    async (key, when) => {
      const server = await ownServer();
      const broker = newBroker(server.url, { gracefulTimeout: 60_000 });
      broker.subscriber(SUBSCRIBERS[key] as { list: string }, () => undefined);
      await broker.start();
      await server.stop();
      if (when !== 'at once') await eventually(() => broker.client.status !== 'ready');
      const stopping = broker.stop().then(() => 'stopped');
      const patience = new Promise((resolve) => setTimeout(resolve, 30_000, 'still stopping'));
      expect(await Promise.race([stopping, patience])).toBe('stopped');
      expect(takeLogs().filter(({ message }) => message.includes('handlers'))).toEqual([]);
    },
    90_000,
  );
});
