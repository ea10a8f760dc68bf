import { expect } from 'vitest';
import type { Redis } from 'ioredis';
import { it } from '../support/concurrent.ts';
import { RedisTransport } from '../../src/transport/redis/redis-transport.ts';
import type { Delivery } from '../../src/transport/source.ts';
import { missedSooner } from '../support/timings.ts';
import { quietest, wakes } from '../support/commands.ts';
import { eventually } from '../support/eventually.ts';
import { redisUrl, unique } from '../support/redis.ts';
import { consumer, handledBy, listen, type Said } from './consumers.ts';

function beganBy(said: readonly Said[]): unknown[] {
  return said.flatMap(({ began }) => (began === undefined ? [] : [began]));
}

function numbers(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, n) => from + n);
}

/** What the library keeps beside the list. */
function keysOf(raw: Redis, list: string): Promise<string[]> {
  return raw.keys(`redstart:list:*${list}*`);
}

it.concurrent(
  'what a killed consumer held is handled by another within about ten seconds, in order',
  { timeout: 180_000 },
  async ({ own }) => {
    const list = unique();
    // Those with an id are marked as being handled.
    const address = { list, reliable: true, concurrency: 3, maxRecords: 20, once: 60_000 };
    const broker = own.broker(redisUrl());
    const dying = await consumer(address, 'slow', own.finished);
    await broker.publish(60_000, { list });
    await broker.publishBatch(numbers(60_001, 19), { list, id: (body) => `${body}` });
    for (let n = 0; n < 3; n++) await dying.next(); // began
    // What it had fetched and could not begin soon is back in the list.
    await eventually(async () => expect(await own.client().llen(list)).toBe(17));
    await dying.kill();
    const killed = performance.now();
    await broker.publishBatch(numbers(70_000, 5), { list });
    // Busy with what is left there until the dead one is missed.
    const heir = listen(
      await consumer({ list, reliable: true, maxRecords: 1, once: 60_000 }, 'work', own.finished),
    );
    await eventually(() => expect(beganBy(heir)).toHaveLength(25), 60_000);
    const waited = performance.now() - killed;
    process.stderr.write(`a killed consumer's items came after ${Math.round(waited)} ms\n`);
    // The heir must start, and watches for 9 s; it watches anew where it was held up itself. Far from the minute after
    // which who is gone is forgotten.
    expect(waited).toBeLessThan(35_000);
    const began = beganBy(heir);
    expect(began.slice(0, 22)).toEqual([...numbers(60_003, 17), ...numbers(70_000, 5)]);
    expect(began.slice(22)).toEqual(numbers(60_000, 3));
  },
);

it.concurrent(
  'a consumer that was frozen loses what it held to another, and takes part again when it wakes',
  { timeout: 180_000 },
  async ({ own }) => {
    const list = unique();
    const broker = own.broker(redisUrl());
    const frozen = await consumer({ list, reliable: true, maxRecords: 10 }, 'slow', own.finished);
    // While it is frozen the time of its handler goes on.
    await broker.publishBatch([12_000, ...numbers(5, 9)], { list });
    const saidByFrozen = listen(frozen);
    await eventually(() => expect(beganBy(saidByFrozen)).toEqual([12_000]));
    frozen.process.kill('SIGSTOP');
    const other = await consumer({ list, reliable: true }, 'work', own.finished);
    const saidByOther = listen(other);
    await eventually(
      () => expect(new Set(handledBy(saidByOther))).toEqual(new Set([12_000, ...numbers(5, 9)])),
      60_000,
    );
    await other.kill();
    frozen.process.kill('SIGCONT');
    await broker.publishBatch(numbers(100, 20), { list });
    await eventually(
      () => expect(handledBy(saidByFrozen)).toEqual(expect.arrayContaining(numbers(100, 20))),
      60_000,
    );
    // All that it handled was acknowledged, although somebody else had taken some of it. What the other had
    // not acknowledged when it was killed comes again.
    const raw = own.client();
    await eventually(async () => {
      const lists = (await keysOf(raw, list)).filter((key) => /:(held|moved):/.test(key));
      expect(lists).toEqual([]);
    }, 60_000);
  },
);

it.concurrent(
  'while all connections are killed every 50 ms, each of 5 000 items is handled',
  { timeout: 240_000 },
  async ({ own }) => {
    const server = await own.server();
    const list = unique();
    const seen = new Map<number, number>();
    const services = [0, 1].map(() => {
      const service = own.broker(server.url, { logger: false });
      service.subscriber({ list, reliable: true, concurrency: 20 }, async (body: number) => {
        // So that items are in hand, and acknowledgements come due, while connections are down.
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
        seen.set(body, (seen.get(body) ?? 0) + 1);
      });
      return service;
    });
    for (const service of services) await service.start();
    const raw = own.client(server.url);
    let killed = 0;
    let seenBefore = -1;
    const killing = setInterval(() => {
      // On a busy machine connections would otherwise never stand long enough.
      if (seen.size === seenBefore && seenBefore < 4_000) return;
      seenBefore = seen.size;
      raw.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'yes').then(
        (count) => (killed += Number(count)),
        () => {},
      );
    }, 50);
    const started = performance.now();
    try {
      // By the connection that is spared: what is sent is sent once.
      const sender = numbers(0, 50).map((i) => numbers(i * 100, 100));
      for (const bodies of sender) {
        await raw.rpush(list, ...bodies.map(String));
        // Spread over as many kills.
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
      await eventually(() => seen.size >= 4_000, 120_000);
    } finally {
      clearInterval(killing);
    }
    await eventually(() => expect(seen.size).toBe(5_000), 60_000);
    const repeated = [...seen.values()].reduce((sum, count) => sum + count - 1, 0);
    process.stderr.write(
      `kills over a reliable list: 5 000 sent, ${seen.size} handled, ${repeated} repeated, ${killed} connections killed, ${((performance.now() - started) / 1_000).toFixed(1)} s\n`,
    );
    expect(killed).toBeGreaterThan(20);
    // A stop waits a second for what is on its way: all is acknowledged before.
    await eventually(async () => {
      expect((await raw.keys('*')).filter((key) => /:(held|moved):/.test(key))).toEqual([]);
    });
    await Promise.all(services.map((service) => service.stop()));
    // No item is left anywhere.
    const lists = (await raw.keys('*')).filter((key) => !key.endsWith(':consumers'));
    expect(lists).toEqual([]);
  },
);

it.concurrent(
  'a move whose answer never arrived, on a connection that died without a word, is delivered',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const list = unique();
    const seen: string[] = [];
    const service = own.broker(proxy.url, { logger: false });
    service.subscriber({ list, reliable: true }, (body: string) => void seen.push(body));
    await service.start();
    const raw = own.client(server.url);
    await eventually(async () => expect(await raw.info('clients')).toMatch(/blocked_clients:1/));
    expect(proxy.halfOpen()).toBeGreaterThan(0);
    await raw.rpush(list, '"lost on its way"');
    await eventually(async () => expect(await raw.llen(list)).toBe(0));
    await raw.rpush(list, '"later"');
    await eventually(() => expect(seen.toSorted()).toEqual(['later', 'lost on its way']), 60_000);
  },
);

it.concurrent(
  'an idle subscriber costs less than one command a second, and wakes within 20 ms',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const list = unique();
    const raw = own.client(server.url);
    /** Commands so far, those of scripts too; not those that watch over the connections of any broker, or the test's. */
    const commands = async (): Promise<number> => {
      const stats = await raw.info('commandstats');
      let total = 0;
      for (const [, name = '', calls] of stats.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)) {
        if (!['ping', 'info', 'rpush'].includes(name)) total += Number(calls);
      }
      return total;
    };
    let sent = 0;
    const woken: number[] = [];
    const services = [0, 1].map(() => {
      const service = own.broker(server.url);
      service.subscriber({ list, reliable: true }, () => void woken.push(performance.now() - sent));
      return service;
    });
    for (const service of services) await service.start();
    await eventually(async () => expect(await raw.info('clients')).toMatch(/blocked_clients:2/));
    const perSecond = await quietest(1, async () => {
      const [before, began] = [await commands(), performance.now()];
      // Idleness is what is measured.
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      const seconds = (performance.now() - began) / 1_000;
      return ((await commands()) - before) / seconds / services.length;
    });
    const [best, median] = await wakes(woken, () => {
      sent = performance.now();
      return raw.rpush(list, 'x');
    });
    process.stderr.write(
      `an idle reliable list: ${perSecond.toFixed(2)} commands/s, wakes after ${best.toFixed(1)} to ${median.toFixed(1)} ms\n`,
    );
    expect(perSecond).toBeLessThan(1);
    expect(best).toBeLessThan(20);
    expect(median).toBeLessThan(250);
  },
);

it.concurrent(
  'SIGTERM under load: items that were fetched and not started are another’s at once, in order, and nothing is left behind',
  { timeout: 180_000 },
  async ({ own }) => {
    const list = unique();
    const raw = own.client();
    const broker = own.broker(redisUrl());
    const bodies = numbers(500, 20);
    const first = await consumer({ list, reliable: true, maxRecords: 20 }, 'slow', own.finished);
    await broker.publishBatch(bodies, { list });
    const saidByFirst = listen(first);
    await eventually(() => expect(saidByFirst).not.toEqual([]));
    first.process.kill('SIGTERM');
    await first.ended();
    const done = handledBy(saidByFirst);
    const left = (await raw.lrange(list, 0, -1)).map((item) => Number(item.slice(-3)));
    expect([...done, ...left]).toEqual(bodies);
    expect(left.length).toBeGreaterThan(0);
    expect(await keysOf(raw, list)).toEqual([]);
  },
);

it.concurrent('a consumer that died long ago gives back what it held, however much, and is forgotten', async ({
  own,
}) => {
  const list = unique();
  const raw = own.client();
  const key = `redstart:list:{${list}}`;
  const bodies = numbers(10_000, 2_500).map(String);
  for (const [n, body] of bodies.entries()) {
    if (n === 2_499) await raw.rpush(`${key}:moved:dead`, body);
    else await raw.hset(`${key}:held:dead`, `${1 + Math.floor(n / 100)}-${n % 100}:1`, body);
  }
  await raw.rpush(list, 'rest');
  await raw.hset(`${key}:consumers`, 'dead', '7');
  // What it gives back at its end is looked at at once.
  const timings = { ...missedSooner(30), leave: 20_000 };
  const transport = new RedisTransport(redisUrl(), () => undefined, timings);
  await transport.connect();
  try {
    const options = { kind: 'list', name: list, reliable: true } as const;
    const source = await transport.open(options, () => undefined);
    const [rest] = (await source.read(1)) as [Delivery];
    expect(String(rest.frame)).toBe('rest');
    const seen: Delivery[] = [];
    while (seen.length < bodies.length) seen.push(...(await source.read(1_000)));
    expect(seen.map(({ frame }) => String(frame))).toEqual(bodies);
    // What it had in hand it may have died of; what was only moved to it was not delivered.
    expect(seen.map(({ count }) => count)).toEqual(bodies.map((_, n) => (n < 2_499 ? 2 : 1)));
    await eventually(
      async () => expect(await raw.hkeys(`${key}:consumers`)).not.toContain('dead'),
      30_000,
    );
    for (const delivery of [rest, ...seen]) void source.ack(delivery);
    await source.close([]);
    expect(await keysOf(raw, list)).toEqual([]);
  } finally {
    await transport.close();
  }
}, 120_000);
