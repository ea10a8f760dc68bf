// Lists and groups, their deliveries and keys, while the server refuses, is away, or runs out of memory.
import { describe, expect, it, onTestFinished } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import { RedisTransport } from '../../src/transport/redis/redis-transport.ts';
import type { Delivery, Source, SourceOptions } from '../../src/transport/source.ts';
import type { Timings } from '../../src/transport/timings.ts';
import { reliableList, stream, take, textsOf } from '../contract/harness.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { ownServer, rawClient, unique } from '../support/redis.ts';
import { PATIENT, missedSooner } from '../support/timings.ts';

interface Opened {
  readonly source: Source;
  readonly transport: RedisTransport;
  readonly reported: string[];
}

async function open(
  url: string,
  options: SourceOptions,
  timings: Timings = PATIENT,
): Promise<Opened> {
  const reported: string[] = [];
  const transport = new RedisTransport(url, () => undefined, timings);
  await transport.connect();
  onTestFinished(() => transport.close());
  const source = await transport.open(options, (problem, error) =>
    reported.push(`${problem}: ${String(error)}`),
  );
  onTestFinished(() => source.stop());
  return { source, transport, reported };
}

const PLACES = [
  [
    'a group',
    'xack',
    (name: string, consumer?: string) => stream(name, { group: 'g', minIdle: 1_000, consumer }),
  ],
  ['a reliable list', 'hdel', (name: string) => reliableList(name)],
] as const;

describe.each(PLACES)('%s', (kind, command, read) => {
  const send = (client: ReturnType<typeof rawClient>, name: string, body: string) =>
    kind === 'a group' ? client.xadd(name, '*', '__data__', body) : client.rpush(name, body);

  it('tells the server again of what it refused to hear, and hands nothing out twice', async () => {
    const server = await ownServer();
    const client = rawClient(server.url);
    await client.acl('SETUSER', 'u', 'on', '>p', '~*', '&*', '+@all');
    const url = server.url.replace('//', '//u:p@');
    const { source, reported } = await open(url, read('x'));
    await send(client, 'x', 'a');
    const [delivery] = (await take(source, 1)) as [Delivery];
    await client.acl('SETUSER', 'u', `-${command}`);
    let isTold = false;
    const told = source.ack(delivery)?.then(() => (isTold = true));
    await eventually(() => expect(reported.join()).toContain('could not be acknowledged'));
    // Longer than minIdle: an entry that nobody renews would be taken over by then.
    const other = await open(server.url, read('x'));
    const reading = take(other.source, 1);
    await pause(2_500);
    expect([isTold, source.held]).toEqual([false, 1]);
    await client.acl('SETUSER', 'u', `+${command}`);
    await told;
    expect(source.held).toBe(0);
    await source.stop();
    await send(client, 'x', 'b');
    expect(textsOf(await reading)).toEqual(['b']);
    expect(reported).toHaveLength(1);
  });

  it('is delivered again what failed, and to nobody else, when the server has refused that for a while', async () => {
    const server = await ownServer();
    const client = rawClient(server.url);
    await client.acl('SETUSER', 'u', 'on', '>p', '~*', '&*', '+@all');
    const url = server.url.replace('//', '//u:p@');
    const { source, reported } = await open(url, read('x'));
    await send(client, 'x', 'a');
    const [delivery] = (await take(source, 1)) as [Delivery];
    const right = kind === 'a group' ? 'xclaim' : 'hget';
    await client.acl('SETUSER', 'u', `-${right}`);
    source.nack(delivery, 20);
    const taking = take(source, 1);
    await eventually(() => expect(reported.join()).toContain('cannot be counted as delivered yet'));
    await pause(1_500); // longer than minIdle
    await client.acl('SETUSER', 'u', `+${right}`);
    const [again] = (await taking) as [Delivery];
    expect(again).toMatchObject({ count: 2 });
    await source.ack(again);
    expect(source.held).toBe(0);
    const other = await open(server.url, read('x'));
    await source.stop();
    await send(client, 'x', 'b');
    expect(textsOf(await take(other.source, 1))).toEqual(['b']);
  });

  it('is read, refused, parked, given back and acknowledged while the server is out of memory', async () => {
    const server = await ownServer();
    const client = rawClient(server.url);
    for (const body of ['a', 'b', 'c', 'd']) await send(client, 'x', body);
    await client.config('SET', 'maxmemory', '1');
    const timings = missedSooner(10);
    const { source } = await open(server.url, read('x'), timings);
    const [a, b, c, d] = (await take(source, 4)) as [Delivery, Delivery, Delivery, Delivery];
    await source.ack(a);
    source.nack(b, 0);
    source.nack(c, 1_200);
    await source.giveBack([d]);
    const rest = await take(source, 3);
    expect(rest.map(({ frame, count }) => [String(frame), count])).toEqual(
      expect.arrayContaining([
        ['b', 2],
        ['c', 2],
        ['d', 1],
      ]),
    );
    for (const delivery of rest) await source.ack(delivery);
    await source.close([]);
    expect(source.held).toBe(0);
  });

  it('takes nobody for dead after an outage of the server', async () => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const client = rawClient(server.url);
    // All four come back in the time that they give each other; on a busy machine a tenth of it was too short.
    const timings = { ...missedSooner(10), grace: 1_000 };
    const opened: Opened[] = [];
    for (let n = 0; n < 4; n++) opened.push(await open(proxy.url, read('x'), timings));
    const held: Delivery[] = [];
    const reading = opened.map(async ({ source }) => {
      for (let some = await source.read(1); some.length > 0; some = await again(source))
        held.push(...some);
    });
    for (let n = 0; n < 12; n++) await send(client, 'x', `${n}`);
    await eventually(() => expect(held).toHaveLength(12));
    // Longer than minIdle, and than a list's consumer may be silent.
    proxy.cutOff();
    await pause(2_500);
    proxy.heal();
    await pause(4_000);
    await send(client, 'x', 'marker');
    await eventually(() => expect(textsOf(held)).toContain('marker'));
    expect(held).toHaveLength(13);
    for (const { source } of opened) await source.stop();
    await Promise.all(reading);
  }, 120_000);

  it('leaves no key without an end when its consumers are killed, but those that hold messages', async () => {
    const server = await ownServer();
    const client = rawClient(server.url);
    const timings = missedSooner(30);
    let killed = 0;
    const consume = async ({ source }: Opened, round: number): Promise<void> => {
      while (killed <= round) {
        const some = await source.read(1).catch(() => []);
        for (const one of some) await source.ack(one);
        if (some.length === 0) await pause(20);
      }
    };
    for (let n = 0; n < 100; n += 10) {
      const some = await Promise.all(
        Array.from({ length: 10 }, async (_, i) => {
          return open(server.url, read('x', `c${n + i}`), timings);
        }),
      );
      for (const one of some) {
        await send(client, 'x', 'a');
        // Any of them may take it, and on a busy machine take it over from another. It reads until it is killed.
        void consume(one, n);
      }
      await eventually(async () => {
        const left =
          kind === 'a group' ? (await client.xpending('x', 'g'))[0] : await client.llen('x');
        expect(left).toBe(0);
      });
      // With their next signs of life, all that holds nothing gets an end.
      await eventually(async () => expect(await endless(client)).toEqual([]));
      killed = n + 1;
      for (const { transport } of some) await transport.close();
    }
    expect(await endless(client)).toEqual([]);
  }, 120_000);
});

/** The keys that never end, but for the list or stream itself. */
async function endless(client: ReturnType<typeof rawClient>): Promise<string[]> {
  const keys = (await client.keys('*')).filter((key) => key !== 'x');
  const ends = await Promise.all(keys.map((key) => client.pttl(key)));
  return keys.filter((_, n) => ends[n] === -1);
}

/** The next read; one that fails because the connection is down is repeated. */
async function again(source: Source): Promise<Delivery[]> {
  for (;;) {
    try {
      return await source.read(1);
    } catch {
      await pause(20);
    }
  }
}

it('a dead consumer that cannot be given back hides no other, and is reported', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  const key = 'redstart:list:{x}';
  await client.hset(`${key}:consumers`, { a: '1', b: '1', c: '1' });
  await client.set(`${key}:held:a`, 'not a hash');
  await client.hset(`${key}:held:c`, '1-0:1', 'of c');
  const { source, reported } = await open(server.url, reliableList('x'), missedSooner(20));
  expect(textsOf(await take(source, 1))).toEqual(['of c']);
  await eventually(() => expect(reported.join()).toContain('could not be given back'));
});

it('without the right to give items of a dead consumer back, that is said, with the right', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  await client.acl('SETUSER', 'u', 'on', '>p', '~*', '&*', '+@all', '-lpush');
  const key = 'redstart:list:{x}';
  await client.hset(`${key}:consumers`, { gone: '1' });
  await client.hset(`${key}:held:gone`, '1-0:1', 'of the dead one');
  const url = server.url.replace('//', '//u:p@');
  const { reported } = await open(url, reliableList('x'), missedSooner(20));
  await eventually(() =>
    expect(reported.join()).toMatch(
      /could not be given back.*(NOPERM|can't run this command|no permissions to run)/,
    ),
  );
  expect(await client.hlen(`${key}:held:gone`)).toBe(1);
});

it('a living consumer that has nothing to do, or does not read, is not removed, however long, and a dead one is', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  const timings = missedSooner(30);
  const options = stream('x', { group: 'g', minIdle: 300 });
  await open(server.url, options, timings);
  await open(server.url, options, timings);
  const reading = [];
  for (const { source } of [await open(server.url, options, timings)])
    reading.push(source.read(1).catch(() => []));
  const living = await open(server.url, options, timings);
  reading.push(living.source.read(1).catch(() => []));
  await client.xgroup('CREATECONSUMER', 'x', 'g', 'host-12-abcdef');
  const names = async (): Promise<string[]> =>
    ((await client.xinfo('CONSUMERS', 'x', 'g')) as string[][]).map((row) => row[1] as string);
  const before = await names();
  expect(before).toContain('host-12-abcdef');
  // Two read and two do not, as a paused subscriber: all of them give signs of life.
  const alive = before.filter((name) => name !== 'host-12-abcdef');
  await eventually(
    async () => expect((await names()).toSorted()).toEqual(alive.toSorted()),
    20_000,
  );
  await pause(3_000); // more than the silence after which consumers are removed
  expect((await names()).toSorted()).toEqual(alive.toSorted());
  await living.source.stop();
}, 120_000);

it('what was parked is found again where its due times were lost', async () => {
  const server = await ownServer();
  const client = rawClient(server.url);
  const timings = missedSooner(20);
  const options = stream('x', { group: 'g', minIdle: 300 });
  const { source } = await open(server.url, options, timings);
  await client.xadd('x', '*', '__data__', unique('a'));
  source.nack(...((await take(source, 1)) as [Delivery]), 3_600_000);
  await eventually(async () => expect(await client.zcard('redstart:group:{x}:g:parked')).toBe(1));
  await client.del('redstart:group:{x}:g:parked');
  expect(await take(source, 1)).toMatchObject([{ count: 2 }]);
});
