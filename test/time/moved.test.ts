import type { BrokerOptions } from 'redstart';
import { expect, vi } from 'vitest';
import { TIMINGS, timingsOption } from '../../src/transport/timings.ts';
import { startProgram, type Child } from '../faults/child.ts';
import { it } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { monitor } from '../support/monitor.ts';

const TOTAL = isLong ? 10_000 : 600;
const PERIOD = 250;
const KINDS = ['stream', 'list', 'channel'] as const;

/** The server's milliseconds in the id of an entry. */
const timeOf = (id: string): number => Number(id.split('-')[0]);

it(
  `while one of five movers is killed every 500 ms, ${TOTAL} delayed messages come once each, and a repeated one once a period`,
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const [raw, ears] = [own.client(server.url), own.client(server.url)];
    const heard: string[] = [];
    ears.on('message', (_, frame: string) => heard.push(frame));
    await ears.subscribe('channel');
    const movers = new Set<Child>();
    const start = async (): Promise<void> => {
      const mover = await startProgram('mover', [server.url, String(PERIOD)], own.finished);
      await mover.next();
      movers.add(mover); // only one that works is killed, however long it takes to start
    };
    await Promise.all(Array.from({ length: 5 }, start));
    const sender = own.broker(server.url);
    const spread = isLong ? 10_000 : 2_000;
    const dues = new Map<string, number>();
    for (let n = 0; n < TOTAL; n += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => {
          const kind = KINDS[(n + i) % 3] as (typeof KINDS)[number];
          const to = { [kind]: kind } as { list: string };
          const delay = 500 + Math.floor(Math.random() * spread);
          // Redis has the same clock here, and gets it later.
          dues.set(`${kind} ${n + i} in time`, Date.now() + delay);
          return sender.publish(`${kind} ${n + i} in time`, { ...to, delay });
        }),
      );
    }
    await sender.stop(); // none but those that are killed move what is left
    let killed = 0;
    const killing = setInterval(() => {
      const [mover] = movers;
      // One of those that work is left: a busy machine starts them more slowly than they are killed.
      if (mover === undefined || movers.size === 1) return;
      killed++;
      movers.delete(mover);
      mover
        .kill()
        .then(start, () => undefined)
        .catch(() => undefined);
    }, 500);
    own.finished(() => clearInterval(killing));
    const bodies = async (): Promise<string[]> => {
      const entries = await raw.xrange('stream', '-', '+');
      const frames = [...entries.map(([, fields]) => String(fields[1])), ...heard];
      frames.push(...(await raw.lrange('list', 0, -1)));
      return frames.map((frame) => /(stream|list|channel) \d+ in time/.exec(frame)?.[0] ?? frame);
    };
    const all = new Set(Array.from({ length: TOTAL }, (_, n) => `${KINDS[n % 3]} ${n} in time`));
    await eventually(async () => expect(new Set(await bodies())).toEqual(all), 90_000);
    clearInterval(killing);
    expect(await bodies()).toHaveLength(TOTAL);
    expect(killed).toBeGreaterThan(1);
    const late = (await raw.xrange('stream', '-', '+'))
      .map(([id, fields]) => {
        const body = /stream \d+ in time/.exec(String(fields[1]))?.[0] ?? '';
        return timeOf(id) - (dues.get(body) as number);
      })
      .toSorted((a, b) => a - b);
    expect(late[0]).toBeGreaterThanOrEqual(0);
    const at = (share: number): number => late[Math.floor(share * (late.length - 1))] as number;
    process.stderr.write(
      `${TOTAL} delayed messages, ${killed} movers killed: half within ${at(0.5)} ms of their time, 99 % within ${at(0.99)} ms, the last ${at(1)} ms\n`,
    );
    await eventually(async () => expect(await raw.keys('redstart:delayed:*')).toEqual([]));

    const [last, ...others] = movers;
    await Promise.all(others.map((mover) => mover.kill()));
    expect(last).toBeDefined();
    const before = await raw.xlen('ticks');
    await eventually(async () => expect(await raw.xlen('ticks')).toBeGreaterThan(before + 2));
    const ticks = (await raw.xrange('ticks', '-', '+')).map(([id]) =>
      Math.floor(timeOf(id) / PERIOD),
    );
    const periods = (ticks.at(-1) as number) - (ticks[0] as number) + 1;
    // Those of a process that was killed are made up by one. The first may have come late.
    expect(ticks.length).toBeLessThanOrEqual(periods + 1);
    // One that is made up may come late, in the period of the next.
    expect(new Set(ticks).size).toBeGreaterThanOrEqual(ticks.length - 1 - killed);
  },
);

it('a sender whose clock is an hour off changes nothing', { timeout: 180_000 }, async ({ own }) => {
  const server = await own.server();
  const service = own.broker(server.url);
  const got: string[] = [];
  service.subscriber({ list: 'x' }, (body: string) => void got.push(body));
  await service.start();
  for (const off of [-3_600_000, 3_600_000]) {
    const wrong = Date.now() + off;
    vi.useFakeTimers({ toFake: ['Date'], now: wrong });
    own.finished(() => void vi.useRealTimers());
    const sender = own.broker(server.url);
    await sender.publish('soon', { list: 'x', delay: 100 });
    await sender.publish('in time', { list: 'x', expires: 20_000 });
    await sender.publish('both', { list: 'x', delay: 50, expires: 20_000 });
    await sender.publish('far', { list: 'x', delay: 1_800_000 });
    vi.useRealTimers();
    await eventually(() => expect(got.toSorted()).toEqual(['both', 'in time', 'soon']));
    got.length = 0;
  }
  expect(service.stats.expiredRequests).toBe(0);
});

it('where a store’s target is of the wrong type, the others are sent in time', async ({ own }) => {
  const server = await own.server();
  const raw = own.client(server.url);
  const broker = own.broker(server.url);
  await raw.set('bad', 'a string');
  await raw.xadd('half', '*', 'a', '1');
  const bad = Array.from({ length: 150 }, (_, n) => broker.publish(n, { list: 'bad', delay: 20 }));
  await Promise.all(bad);
  await broker.publish('refused', { list: 'half', delay: 20 });
  await broker.publish('sent', { stream: 'half', delay: 30 });
  for (const list of ['good', 'other']) await broker.publish(1, { list, delay: 40 });
  await eventually(async () => {
    expect(await raw.llen('good')).toBe(1);
    expect(await raw.llen('other')).toBe(1);
    expect(await raw.xlen('half')).toBe(2);
    expect(broker.stats.refusedDelayed).toBe(151);
  });
  // Nothing is lost: they wait for another minute.
  expect(await raw.zcard('redstart:delayed:{bad}:list')).toBe(150);
  const [first] = await broker.delayed({ list: 'bad' }).list({ count: 1 });
  const wait = Number(first?.due) - Date.now();
  expect(wait).toBeGreaterThan(50_000);
  expect(wait).toBeLessThanOrEqual(60_000);
  const lines = own.takeLogs().map(({ message }) => message);
  expect(lines.filter((line) => line.includes("list 'bad' are refused"))).toHaveLength(1);
  expect(lines.filter((line) => line.includes("list 'half' are refused"))).toHaveLength(1);
  expect(lines).toHaveLength(2);
});

it('a broker that is stopped leaves what is due next to the others, which do not wait until they would look by themselves', async ({
  own,
}) => {
  const server = await own.server();
  const never = 300_000;
  const timings = { ...TIMINGS, storeLease: never, delayedLook: never, delayedPoll: never };
  const options = { [timingsOption]: timings } as BrokerOptions;
  const [first, second] = [own.broker(server.url, options), own.broker(server.url, options)];
  const raw = own.client(server.url);
  const [index, dues] = ['redstart:delayed:{}', 'redstart:delayed:{x}:list'];
  await first.publish(1, { list: 'x', delay: 20 });
  await first.publish(2, { list: 'x', delay: 2 * never });
  await eventually(async () => expect(await raw.llen('x')).toBe(1));
  // The second one sees that the first has it in hand: a time that ends in .5 says so.
  const [store] = (await raw.zrange(index, '0', '0')) as [string];
  const time = async (): Promise<number> => Number(await raw.zscore(index, store));
  await eventually(async () => expect((await time()) % 1).toBe(0));
  await raw.zadd(index, String(Date.now() + never + 0.5), store);
  // Both have looked by now, and will not for as long as the test lasts; the second one looks again when it listens.
  let looks = 0;
  await monitor(([command, , , key]) => {
    if (command?.toLowerCase() === 'evalsha' && key === index) looks++;
  }, server.url);
  await second.connect();
  await eventually(() => expect(looks).toBe(2));
  const [due] = (await raw.zrange(dues, '0', '0')) as [string];
  await raw.zadd(dues, 1, due);
  await raw.zadd(index, 1, store);
  await first.stop();
  await eventually(async () => expect(await raw.llen('x')).toBe(2));
}, 180_000);

it('one that another process delays comes to movers that know of nothing', async ({ own }) => {
  const server = await own.server();
  // By itself it would look so late that a busy machine cannot be taken for it.
  const timings = { ...TIMINGS, delayedLook: 120_000, delayedPoll: 120_000 };
  const options = { [timingsOption]: timings } as BrokerOptions;
  const [service, sender] = [own.broker(server.url, options), own.broker(server.url)];
  const late: number[] = [];
  service.subscriber({ list: 'x' }, (due: number) => void late.push(Date.now() - due));
  await service.start();
  await sender.connect();
  const total = isLong ? 500 : 100;
  for (let n = 0; n < total; n++) {
    const delay = 50 + Math.random() * 400;
    await sender.publish(Date.now() + delay, { list: 'x', delay });
  }
  await sender.stop(); // it moves nothing any more
  await eventually(() => late.length === total);
  const sorted = late.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.floor(part * (total - 1))] as number;
  process.stderr.write(`delayed: median ${at(0.5)} ms late, 99 % ${at(0.99)} ms\n`);
  // Clocks are read in whole milliseconds.
  expect(sorted[0]).toBeGreaterThanOrEqual(-2);
  expect(at(0.99)).toBeLessThan(isLong ? 100 : 15_000);
});

it('what somebody else wrote among the delayed messages stops none of them', async ({ own }) => {
  const server = await own.server();
  const raw = own.client(server.url);
  const store = 'redstart:delayed:{x}:list';
  await raw.hset(`${store}:frames`, 'foreign', 'no delayed message', 'empty', '');
  await raw.zadd(store, 1, 'foreign', 2, 'empty', 3, 'nothing');
  const logged: string[] = [];
  const log = (_: unknown, message = ''): void => void logged.push(message);
  const logger = { debug: log, info: log, warn: log, error: log };
  const broker = own.broker(server.url, { logger });
  await broker.publish('good', { list: 'x', delay: 20 });
  await eventually(async () => expect(await raw.llen('x')).toBe(1));
  // Redis has the message before the broker has read the answer that tells of the others.
  await eventually(() =>
    expect(logged.join()).toContain("delayed messages for list 'x' are refused"),
  );
  expect(await raw.zrange(store, '0', '-1')).toEqual(['empty', 'foreign']);
});
