import type { RedisBroker } from 'redstart';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import { it, type Own } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';

const KINDS = ['list', 'reliable', 'stream', 'group'] as const;
type Kind = (typeof KINDS)[number];

/** A place of each kind in turn, and what has arrived there. */
interface Place {
  readonly name: string;
  readonly kind: Kind;
  readonly got: number[];
}

function placesOf(count: number): Place[] {
  return Array.from({ length: count }, (_, n) => {
    const kind = KINDS[n % KINDS.length] as Kind;
    return { name: `${kind}:${n}`, kind, got: [] };
  });
}

function read(
  { name, kind, got }: Place,
  broker: RedisBroker,
): ReturnType<RedisBroker['subscriber']> {
  const handle = (body: number): void => void got.push(body);
  if (kind === 'list') return broker.subscriber({ list: name }, handle);
  if (kind === 'reliable') return broker.subscriber({ list: name, reliable: true }, handle);
  if (kind === 'stream') return broker.subscriber({ stream: name }, handle);
  return broker.subscriber({ stream: name, group: 'workers' }, handle);
}

async function send(places: readonly Place[], by: Redis, body: number): Promise<void> {
  const pipeline = by.pipeline();
  for (const { name, kind } of places) {
    if (kind === 'list' || kind === 'reliable') pipeline.rpush(name, String(body));
    else pipeline.xadd(name, '*', '__data__', String(body));
  }
  await pipeline.exec();
}

/** Resolves when a subscriber that was added at run time reads. */
async function started(subscriber: ReturnType<typeof read>): Promise<void> {
  await Promise.all([...subscriber.runs].map(({ ready }) => ready));
}

async function connections(raw: Redis): Promise<string[]> {
  return String(await raw.client('LIST'))
    .trim()
    .split('\n');
}

/** A broker that shares connections, started on a server of its own, reading `count` places. */
async function sharing(own: Own, count: number) {
  const server = await own.server();
  const raw = own.client(server.url);
  const broker = own.broker(server.url, { connections: 'shared' });
  const places = placesOf(count);
  const subscribers = places.map((place) => read(place, broker));
  await broker.start();
  return { server, raw, broker, places, subscribers };
}

async function arrived(places: readonly Place[], bodies: number[]): Promise<void> {
  await eventually(() => {
    const missing = places.filter(({ got }) => bodies.some((body) => !got.includes(body)));
    expect(missing.map(({ name }) => name)).toEqual([]);
  }, 50_000);
}

it.concurrent(
  '300 subscribers of all kinds read on at most 8 connections',
  { timeout: 180_000 },
  async ({ own }) => {
    const { raw, broker, places, subscribers } = await sharing(own, 300);
    await send(places, raw, 1);
    await arrived(places, [1]);
    await send(places, raw, 2);
    await arrived(places, [1, 2]);
    for (const { got } of places) expect(got).toEqual([1, 2]);
    // Ours alone: not that of this test.
    expect((await connections(raw)).length - 1).toBeLessThanOrEqual(8);

    // One goes, another comes, and the rest goes on.
    const [first, ...others] = places as [Place, ...Place[]];
    await subscribers[0]?.stop();
    const late: Place = { name: 'late', kind: 'group', got: [] };
    await started(read(late, broker));
    await send([...places, late], raw, 3);
    await arrived([...others, late], [3]);
    expect(first.got).toEqual([1, 2]);
    expect(await raw.llen(first.name)).toBe(1);
    expect((await connections(raw)).length - 1).toBeLessThanOrEqual(8);
  },
);

it.concurrent(
  'a full list and a slow handler delay nobody else',
  { timeout: 180_000 },
  async ({ own }) => {
    const { raw, broker, places } = await sharing(own, 40);
    let handled = 0;
    let end: (() => void) | undefined;
    const slow = new Promise<void>((resolve) => void (end = resolve));
    broker.subscriber({ list: 'full' }, () => void handled++);
    const waits = broker.subscriber({ list: 'slow', reliable: true }, () => slow);
    await started(waits);
    const items = Array.from({ length: 100_000 }, () => '1');
    await raw.rpush('slow', '1', '2');
    await raw.rpush('full', ...items);
    await send(places, raw, 1);
    await arrived(places, [1]);
    expect(handled).toBeLessThan(items.length);
    await eventually(() => handled === items.length);
    end?.();
  },
);

it.concurrent(
  'a connection that is killed loses nothing of groups and reliable lists',
  { timeout: 180_000 },
  async ({ own }) => {
    const { raw, places } = await sharing(own, 40);
    const kept = places.filter(({ kind }) => kind === 'group' || kind === 'reliable');
    await send(places, raw, 0);
    await arrived(places, [0]);
    const self = await raw.client('ID');
    for (let round = 1; round <= 10; round++) {
      const sending = send(kept, raw, round);
      for (const line of await connections(raw)) {
        const [, id] = /^id=(\d+)/.exec(line) ?? [];
        if (Number(id) !== self && round % 2 === Number(id) % 2)
          await raw.call('CLIENT', 'KILL', 'ID', id as string);
      }
      await sending;
    }
    await arrived(
      kept,
      Array.from({ length: 11 }, (_, n) => n),
    );
    await send(places, raw, 11);
    await arrived(places, [11]);
    for (const { message } of own.takeLogs())
      expect(message).toMatch(/connection|reading|could not/);
  },
);

it.concurrent(
  'a key of another type and a group that is gone stop nobody else',
  { timeout: 180_000 },
  async ({ own }) => {
    const { raw, places } = await sharing(own, 40);
    const [list, reliable, stream, group, ...others] = places as [Place, Place, Place, Place];
    await raw.set(list.name, 'text');
    await raw.set(reliable.name, 'text');
    await raw.set(stream.name, 'text');
    await raw.xgroup('DESTROY', group.name, 'workers');
    for (let round = 1; round <= 3; round++) {
      await send(others, raw, round);
      await arrived(others, [round]);
    }
    await send([group], raw, 4);
    await arrived([group], [4]);
    // As with a connection of its own: it needs its user.
    const wrong = [list, reliable, stream].map(({ name }) => name);
    const stopped = new Set<string>();
    await eventually(() => {
      for (const { message } of own.takeLogs())
        stopped.add(/'(\S+)'.* (WRONGTYPE|is gone)/.exec(message)?.[1] ?? message);
      expect([...stopped]).toEqual(expect.arrayContaining(wrong));
    });
    expect([...stopped].toSorted()).toEqual([...wrong, group.name].toSorted());
  },
);

it.concurrent(
  'several readers of one place, groups and consumers side by side',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const raw = own.client(server.url);
    const broker = own.broker(server.url, { connections: 'shared' });
    const got: string[] = [];
    const keep = (by: string) => (body: number) => void got.push(`${by}:${body}`);
    for (const by of ['a', 'b']) {
      broker.subscriber({ stream: 's' }, keep(`s${by}`));
      broker.subscriber({ stream: 's', group: by }, keep(`g${by}`));
      broker.subscriber({ stream: 's', group: 'named', consumer: by }, keep('named'));
      broker.subscriber({ stream: 't', group: 'named', consumer: by }, keep('other'));
      broker.subscriber({ stream: 's', group: 'made-up' }, keep('made-up'));
    }
    await broker.start();
    const expected: string[] = [];
    for (let n = 0; n < 20; n++) {
      await raw.xadd('s', '*', '__data__', String(n));
      await raw.xadd('t', '*', '__data__', String(n));
      for (const by of ['sa', 'sb', 'ga', 'gb', 'named', 'other', 'made-up'])
        expected.push(`${by}:${n}`);
    }
    await eventually(() => expect(got.toSorted()).toEqual(expected.toSorted()));
    const warned = own.takeLogs().map(({ message }) => message);
    expect(warned).toEqual(warned.map(() => expect.stringContaining('take turns') as string));
    // Of the group with the name 'named' on both streams, and of the one with a made-up name.
    expect(warned).toHaveLength(3);
  },
);

it.concurrent(
  'without the right to CLIENT TRACKING reliable lists are looked at',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const raw = own.client(server.url);
    await raw.call(
      'ACL',
      'SETUSER',
      'plain',
      'on',
      '>secret',
      '~*',
      '&*',
      '+@all',
      '-client|tracking',
    );
    const url = server.url.replace('redis://', 'redis://plain:secret@');
    const broker = own.broker(url, { connections: 'shared' });
    const places = Array.from({ length: 20 }, (_, n): Place => ({
      name: `r:${n}`,
      kind: 'reliable',
      got: [],
    }));
    for (const place of places) read(place, broker);
    await broker.start();
    for (let round = 1; round <= 3; round++) {
      await send(places, raw, round);
      await arrived(places, [round]);
    }
  },
);

it.concurrent(
  'groups of many names need no more connections',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const raw = own.client(server.url);
    const broker = own.broker(server.url, { connections: 'shared' });
    const places = Array.from({ length: 30 }, (_, n): Place => ({
      name: `g:${n}`,
      kind: 'group',
      got: [],
    }));
    for (const [n, { name, got }] of places.entries())
      broker.subscriber(
        { stream: name, group: `group-${n}` },
        (body: number) => void got.push(body),
      );
    await broker.start();
    for (let round = 1; round <= 3; round++) {
      await send(places, raw, round);
      await arrived(places, [round]);
    }
    expect((await connections(raw)).length - 1).toBeLessThanOrEqual(8);
  },
);

it.concurrent(
  'more than eight readers share connections by themselves',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const raw = own.client(server.url);
    const places = placesOf(40);
    // One for commands, one for notices, one for each reader.
    const few = own.broker(server.url);
    for (const place of places.slice(0, 8)) read(place, few);
    await few.start();
    await eventually(async () => expect((await connections(raw)).length - 1).toBe(10));
    // Those that come later share; the others keep their connections.
    const late = places.slice(8, 16).map((place) => read(place, few));
    await Promise.all(late.map(started));
    expect((await connections(raw)).length - 1).toBeLessThanOrEqual(15);
    const many = own.broker(server.url);
    for (const place of places.slice(16)) read(place, many);
    const before = (await connections(raw)).length;
    await many.start();
    expect((await connections(raw)).length - before).toBeLessThanOrEqual(8);
    await send(places, raw, 1);
    await arrived(places, [1]);
    const apart = own.broker(server.url, { connections: 'dedicated' });
    for (let n = 0; n < 12; n++) apart.subscriber({ list: `apart:${n}` }, () => undefined);
    const shared = (await connections(raw)).length;
    await apart.start();
    await eventually(async () => expect((await connections(raw)).length - shared).toBe(14));
  },
);

it.concurrent(
  'connections that are half-open are noticed, and nothing is lost',
  { timeout: 180_000 },
  async ({ own }) => {
    const server = await own.server();
    const proxy = await own.proxy(server.port);
    const raw = own.client(server.url);
    // A busy machine needs longer to connect.
    const connection = {
      host: '127.0.0.1',
      port: Number(new URL(proxy.url).port),
      connectTimeout: 15_000,
    };
    const broker = own.broker(connection, { connections: 'shared', logger: false });
    // More than wait together, so that some are told of changes.
    const places = placesOf(100).filter(({ kind }) => kind !== 'list');
    for (const place of places) read(place, broker);
    await broker.start();
    await send(places, raw, 1);
    await arrived(places, [1]);
    expect(proxy.halfOpen()).toBeGreaterThan(4);
    await send(places, raw, 2);
    await arrived(places, [2]);
    // Then each connection by itself, the one included on which the server tells of changes.
    for (let index = 0; index < proxy.open; index++) proxy.cut((at) => at === index);
    await send(places, raw, 3);
    await arrived(places, [3]);
  },
);
