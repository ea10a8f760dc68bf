// Anybody who may publish on the server can send a service or a caller whatever they like.
import {
  binaryFormat,
  RedstartError,
  type BrokerOptions,
  type Headers,
  type RedisBroker,
} from 'redstart';
import { describe, expect, it } from 'vitest';
import { AnswerLog } from '../../src/rpc/responder/answer-log.ts';
import type { GapChannel } from '../../src/rpc/gap-channel.ts';
import type { Inbox } from '../../src/rpc/inbox.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { rawFrame } from '../support/frames.ts';
import { hostileFrames } from '../support/hostile-frames.ts';
import { isLong } from '../support/long.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';

const LONG = Buffer.alloc(40_000, 0xff);

interface Frame {
  readonly headers: Headers;
  readonly text: string;
}

/** Everything that is published on a channel from now on. */
async function hear(channel: string, url = redisUrl()): Promise<Frame[]> {
  const client = rawClient(url);
  const heard: Frame[] = [];
  client.on('messageBuffer', (_: Buffer, bytes: Buffer) => {
    const { headers, body } = binaryFormat.decode(bytes);
    heard.push({ headers, text: Buffer.from(body).toString() });
  });
  await client.subscribe(channel);
  return heard;
}

async function echo(options: BrokerOptions = {}): Promise<{ service: RedisBroker; at: string }> {
  const service = newBroker(redisUrl(), options);
  const at = unique('echo');
  service.subscriber(at, { concurrency: 100 }, (body) => body);
  await service.start();
  return { service, at: (options.prefix ?? '') + at };
}

describe('a header too long to be sent back', () => {
  it.each([
    ['correlation_id', { reply_to: 'me', 'redstart-call': '1', correlation_id: LONG }],
    ['correlation_id of a plain message', { reply_to: 'me', correlation_id: LONG }],
    ['redstart-call', { reply_to: 'me', 'redstart-call': LONG }],
    [
      'redstart-call of a gather',
      { reply_to: 'me', 'redstart-call': LONG, 'redstart-gather': '1' },
    ],
    ['reply_to', { reply_to: LONG, 'redstart-call': '1' }],
  ])('(%s) makes a bad message, and later ones are handled', async (_name, headers) => {
    const raw = rawClient();
    const [list, channel, reliable, group, batch] = Array.from({ length: 5 }, () => unique());
    const service = newBroker(redisUrl());
    const seen: unknown[] = [];
    const handler = (body: unknown): unknown => seen.push(body);
    service.subscriber(channel as string, handler);
    service.subscriber({ list: list as string }, async (body) => handler(body));
    service.subscriber({ list: reliable as string, reliable: true }, handler);
    service.subscriber({ stream: group as string, group: 'g' }, handler);
    service.subscriber({ list: batch as string, batch: true }, (all: unknown[]) =>
      all.map(handler),
    );
    await service.start();
    for (const frame of [rawFrame(headers, '1'), rawFrame({}, '"after"')]) {
      await raw.publish(channel as string, frame);
      for (const name of [list, reliable, batch]) await raw.rpush(name as string, frame);
      await raw.xadd(group as string, '*', '__data__', frame);
    }
    await eventually(() => expect(seen).toEqual(Array(5).fill('after')));
    await eventually(async () => expect((await raw.xpending(group as string, 'g'))[0]).toBe(0));
    for (const { error } of takeLogs()) expect(error).toMatchObject({ code: 'DECODE' });
  });

  it('in the older JSON envelope is no different', async () => {
    const { at, service } = await echo();
    const headers = { reply_to: 'me', 'redstart-call': '1', correlation_id: 'x'.repeat(70_000) };
    await rawClient().publish(at, JSON.stringify({ data: '1', headers }));
    expect(await service.publish('after', { channel: at, rpc: true })).toBe('after');
    expect(takeLogs()).toHaveLength(1);
  });
});

describe('where answers go', () => {
  it('the error of a stream that cannot be sent ends nothing, and gives its place back', async () => {
    const raw = rawClient();
    const [list, text] = [unique('items'), unique('text')];
    await raw.set(text, 'x');
    const service = newBroker(redisUrl());
    service.subscriber({ list }, async function* (body: unknown) {
      yield body;
      throw new Error('the generator failed');
    });
    await service.start();
    const reply = { reply_to: text, 'redstart-reply-kind': 'list', 'redstart-call': '1' };
    await raw.rpush(list, rawFrame(reply, '1'));
    const items = service.requestMany(2, { list, itemTimeout: 20_000 });
    expect(await items.next()).toMatchObject({ value: 2 });
    await expect(items.next()).rejects.toMatchObject({ message: 'the generator failed' });
    let lines = 0;
    await eventually(() => expect((lines += takeLogs().length)).toBeGreaterThan(1));
  });

  it('the right to answer withdrawn in the middle of a stream ends nothing, and gives its place back', async () => {
    const server = await ownServer();
    const raw = rawClient(server.url);
    await raw.acl('SETUSER', 'u', 'on', '>p', '~*', '&*', '+@all');
    const service = newBroker(server.url.replace('//', '//u:p@'));
    const seen: unknown[] = [];
    service.subscriber({ list: 'items' }, async function* (body: unknown) {
      seen.push(body);
      for (let n = 0; n < 3; n++) {
        yield n;
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      throw new Error('the generator failed');
    });
    await service.start();
    const caller = newBroker(server.url);
    const items = caller.requestMany(1, { list: 'items', itemTimeout: 5_000 });
    expect(await items.next()).toMatchObject({ value: 0 });
    await raw.acl('SETUSER', 'u', '-publish');
    const rest = async (): Promise<void> => {
      for await (const _ of items);
    };
    await expect(rest()).rejects.toBeInstanceOf(RedstartError);
    await raw.acl('SETUSER', 'u', '+publish');
    expect(await caller.requestMany(2, { list: 'items' }).next()).toMatchObject({ value: 0 });
    expect(seen).toEqual([1, 2]);
    await caller.stop();
    takeLogs();
  });

  it('an answer that reached nobody is kept under no key but an inbox’s', async () => {
    const raw = rawClient();
    const { at } = await echo();
    const name = unique('invoices');
    await raw.rpush(`${name}:kept`, 'precious');
    const call = { 'redstart-call': '1', 'redstart-deadline': String(Date.now() + 60_000) };
    const inbox = `redstart:inbox:{${unique()}}`;
    for (const reply_to of [name, inbox])
      await raw.publish(at, rawFrame({ ...call, reply_to }, '1'));
    await eventually(async () => expect(await raw.llen(`${inbox}:kept`)).toBe(1));
    expect(await raw.lrange(`${name}:kept`, 0, -1)).toEqual(['precious']);
    expect(await raw.pttl(`${name}:kept`)).toBe(-1);
  });

  it('an answer is written to no list or stream outside of the broker’s prefix', async () => {
    const raw = rawClient();
    const prefix = `${unique('shop')}:`;
    const { at } = await echo({ prefix });
    const other = unique('jobs');
    for (const kind of ['list', 'stream']) {
      const reply = { 'redstart-reply-kind': kind };
      await raw.publish(at, rawFrame({ ...reply, reply_to: other }, '1'));
      await raw.publish(at, rawFrame({ ...reply, reply_to: `${prefix}${kind}` }, '1'));
      await eventually(async () => expect(await raw.exists(`${prefix}${kind}`)).toBe(1));
    }
    expect(await raw.exists(other)).toBe(0);
    expect(takeLogs()).toHaveLength(2);
  });

  it('an answer makes no stream of a list that is read here', async () => {
    const raw = rawClient();
    const service = newBroker(redisUrl());
    const [list, channel] = [unique('orders'), unique('price')];
    service.subscriber({ list }, (body) => body);
    service.subscriber(channel, (body) => body);
    await service.start();
    await raw.publish(channel, rawFrame({ reply_to: list, 'redstart-reply-kind': 'stream' }, '1'));
    await eventually(() =>
      expect(takeLogs()[0]?.message).toMatch(/answers are not sent to the stream/),
    );
    expect(await service.publish('still', { list, rpc: true })).toBe('still');
  });

  it.each(['broker', 'subscriber'])(
    "with replies: 'inboxes' on the %s, redstart's callers are answered and nobody else",
    async (level) => {
      const raw = rawClient();
      const service = newBroker(redisUrl(), level === 'broker' ? { replies: 'inboxes' } : {});
      const [at, reply] = [unique('echo'), unique('reply')];
      service.subscriber(
        { channel: at, ...(level === 'subscriber' ? { replies: 'inboxes' } : {}) },
        (body) => body,
      );
      await service.start();
      const heard = await hear(reply);
      await raw.publish(at, rawFrame({ reply_to: reply, correlation_id: 'c' }, '1'));
      await raw.publish(at, rawFrame({ reply_to: reply, 'redstart-reply-kind': 'list' }, '1'));
      expect(await service.publish('mine', { channel: at, rpc: true })).toBe('mine');
      await service.publish('marker', reply);
      await eventually(() => expect(heard.map(({ text }) => text)).toEqual(['marker']));
      expect(await raw.exists(reply)).toBe(0);
      expect(takeLogs()).toHaveLength(2);
    },
  );
});

describe('what a stranger asks of a stream', () => {
  const from = `redstart:inbox:{${unique()}}`;
  const ask = { reply_to: from, 'redstart-call': 'theirs', 'redstart-window': '100000000000000' };

  it('a window of 1e14, and credit for items that were not sent, give 1 024 items and leave the service alive', async () => {
    const raw = rawClient();
    const service = newBroker(redisUrl());
    const [list, channel] = [unique('count'), unique('echo')];
    service.subscriber({ list, concurrency: 2 }, async function* () {
      for (let i = 0; ; i++) yield i;
    });
    service.subscriber(channel, (body) => body);
    await service.start();
    const heard = await hear(from);
    await raw.rpush(list, rawFrame(ask, '1'));
    const items = (): number =>
      heard.filter(({ headers }) => headers['redstart-status'] === 'item').length;
    await eventually(() => expect(items()).toBe(1_024));
    const inbox = heard[0]?.headers['redstart-from'] as string;
    const credit = {
      'redstart-call': 'theirs',
      'redstart-status': 'credit',
      'redstart-from': from,
    };
    await raw.publish(inbox, rawFrame(credit, '1000000000000000'));
    await eventually(() => expect(items()).toBe(2_048));
    for (let n = 0; n < 20; n++) {
      expect(await service.publish(n, { channel, rpc: true, timeout: 20_000 })).toBe(n);
    }
    expect(items()).toBe(2_048);
    await raw.publish(inbox, rawFrame({ ...credit, 'redstart-status': 'cancel' }));
  });
});

describe('the id of a call', () => {
  it('cannot be guessed from others, so that nobody answers or cancels a call that they did not get', async () => {
    const raw = rawClient();
    const at = unique('calls');
    const heard = await hear(at);
    // Of its own: services of other tests that reconnect have calls repeated.
    const inboxPrefix = `${unique('inbox')}:`;
    const caller = newBroker(redisUrl(), { rpc: { inboxPrefix } });
    const calls = Array.from({ length: 200 }, (_, n) =>
      caller.publish(n, { channel: at, rpc: true, timeout: 20_000 }),
    );
    await eventually(() => expect(heard.length).toBe(200));
    const ids = heard.map(({ headers }) => headers['redstart-call'] as string);
    expect(new Set(ids).size).toBe(200);
    // No character stands at one place in all of them, as a prefix or a counter would.
    for (let i = 0; i < 16; i++) expect(new Set(ids.map((id) => id[i])).size).toBeGreaterThan(20);

    const inbox = heard[0]?.headers['reply_to'] as string;
    for (let n = 0; n <= 300; n++) {
      await raw.publish(
        inbox,
        rawFrame({ 'redstart-call': String(n), correlation_id: String(n) }, '0'),
      );
    }
    await eventually(() => expect(caller.stats.lateAnswers).toBe(301));
    for (const { headers, text } of heard) {
      await raw.publish(inbox, rawFrame({ 'redstart-call': headers['redstart-call'] ?? '' }, text));
    }
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });
});

const nameOf = (n: number): string => `${n} ${'x'.repeat(1_000)}`;

describe('words of recovery', () => {
  it('200 forged ones make a caller repeat its requests once or twice', async () => {
    const server = await ownServer();
    const raw = rawClient(server.url);
    const requests = await hear('hang', server.url);
    const caller = newBroker(server.url);
    const calls = Array.from({ length: 20 }, (_, n) =>
      caller.publish(n, { channel: 'hang', rpc: true, timeout: 30_000 }).catch(() => undefined),
    );
    await eventually(() => expect(requests.length).toBe(20));
    const began = performance.now();
    for (let n = 0; n < 200; n++) {
      const gap = { 'redstart-status': 'gap', 'redstart-from': `stranger ${n}` };
      expect(await raw.publish('redstart:inbox:lost', rawFrame(gap))).toBe(1);
    }
    const repeats = (): number =>
      requests.filter(({ headers }) => headers['redstart-again'] !== undefined).length;
    await eventually(() => expect(repeats()).toBeGreaterThanOrEqual(20));
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // for more of them
    // At once, and then after 1, 2, 4 s …
    const seconds = (performance.now() - began) / 1_000;
    expect(repeats()).toBeLessThanOrEqual(20 * (1 + Math.floor(Math.log2(seconds + 1.1))));
    await caller.stop();
    await Promise.all(calls);
  });

  it('the names beside remembered answers are bounded, too', () => {
    const gapChannel = { listen: () => undefined } as unknown as GapChannel;
    const log = new AnswerLog({} as Inbox, gapChannel, () => undefined);
    for (let n = 0; n < 16_384; n++) log.remember(nameOf(n), 'call', Buffer.alloc(30));
    const found = Array.from({ length: 16_384 }, (_, n) => n).filter(
      (n) => log.find(nameOf(n), 'call') !== undefined,
    );
    expect(found.at(-1)).toBe(16_383);
    expect(found.length * 1_000).toBeGreaterThan(3 * 2 ** 20);
    expect(found.length * 1_000).toBeLessThan(4 * 2 ** 20);
  });
});

it(
  'hostile frames on an inbox and on the recovery channel harm no call and take no memory',
  { timeout: isLong ? 600_000 : 180_000 },
  async () => {
    const raw = rawClient();
    // Apart from the other tests of this run, which would hear the frames, too.
    const prefix = `${unique('inbox')}:`;
    const { service: caller, at } = await echo({ rpc: { inboxPrefix: prefix } });
    const rejections: unknown[] = [];
    const onRejection = (error: unknown): void => void rejections.push(error);
    process.on('unhandledRejection', onRejection);
    const seen = await hear(at);
    await caller.publish('first', { channel: at, rpc: true });
    await eventually(() => expect(seen.length).toBe(1));
    const inbox = seen[0]?.headers['reply_to'] as string;
    const hostile = hostileFrames([inbox, `${prefix}{x}`, `${prefix}lost`, at]);
    const places = [inbox, inbox, `${prefix}lost`];
    const before = process.memoryUsage().heapUsed;
    for (let sent = 0; sent < (isLong ? 200_000 : 20_000); sent += 100) {
      const pipeline = raw.pipeline();
      for (let n = 0; n < 100; n++) pipeline.publish(places[n % 3] as string, hostile());
      await pipeline.exec();
      expect(await caller.publish(sent, { channel: at, rpc: true, timeout: 10_000 })).toBe(sent);
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 * 2 ** 20);
    expect(caller.stats.pendingCalls).toBe(0);
    process.off('unhandledRejection', onRejection);
    expect(rejections).toEqual([]);
    // What cannot be read is logged at the first, second, fourth, eighth … time.
    expect(takeLogs().length).toBeLessThan(40);
  },
);
