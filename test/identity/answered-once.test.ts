import {
  IdConflictError,
  InvalidMessageError,
  RpcError,
  RpcTimeoutError,
  SetupError,
  UnknownIdError,
  binaryFormat,
  event,
  rpc,
  type MessageContext,
  type MessageFormat,
  type RedisBroker,
} from 'redstart';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { z } from 'zod';
import { HeldMarks } from '../../src/transport/memory/held-marks.ts';
import { RedisMarks } from '../../src/transport/redis/marks.ts';
import { newBroker, onBothBackends, type Bench } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const PLACES = ['list', 'reliable list', 'stream', 'group'] as const;
type Place = (typeof PLACES)[number];

interface Charges {
  readonly to: { stream: string };
  /** Bodies that handlers have begun with. */
  readonly begun: unknown[];
  /** Ends the handler that runs. */
  end(result: unknown): void;
  fail(error: Error): void;
}

/** A service whose handler runs until it is told to end. */
function charges(
  service: RedisBroker,
  place: Place,
  { name }: Bench,
  options: object = {},
): Charges {
  const to = place.endsWith('list') ? { list: name() } : { stream: name() };
  const more =
    place === 'group' ? { group: 'g' } : place === 'reliable list' ? { reliable: true } : {};
  const begun: unknown[] = [];
  const ends: [(result: unknown) => void, (error: Error) => void][] = [];
  const from = { ...to, ...more, concurrency: 8, ...options } as unknown as { stream: string };
  service.subscriber(from, (body) => {
    begun.push(body);
    return new Promise((...how) => void ends.push(how));
  });
  return {
    to: to as { stream: string },
    begun,
    end: (result) => ends.shift()?.[0](result),
    fail: (error) => ends.shift()?.[1](error),
  };
}

const call = { rpc: true, timeout: 20_000 } as const;

const jsonFormat: MessageFormat = {
  encode: ({ headers, body }) =>
    Buffer.from(JSON.stringify([headers, Buffer.from(body).toString('base64')])),
  decode(frame) {
    const [headers, body] = JSON.parse(frame.toString()) as [Record<string, string>, string];
    return { headers, body: Buffer.from(body, 'base64') };
  },
};

onBothBackends('a call with an id', (bench) => {
  it.each(PLACES)('is handled once, and all who ask get its answer: %s', async (place) => {
    const here = bench();
    const [service, other] = [here.broker(), here.broker()];
    const callers = [here.broker(), here.broker()] as [RedisBroker, RedisBroker];
    const work = charges(service, place, here);
    await service.start();
    const again = charges(other, place, here);
    await other.start();
    const ask = (n: 0 | 1): Promise<unknown> =>
      callers[n].publish({ cents: 5 }, { ...work.to, ...call, id: 'charge-42' });
    const first = ask(0);
    await eventually(() => expect(work.begun.length + again.begun.length).toBe(1));
    const others = [ask(0), ask(1), ask(1)];
    const waiting = callers[1].answer('charge-42', work.to, { timeout: 20_000 });
    // The handler ends when everybody has joined; it would be no mistake if one came later.
    await eventually(() => expect(callers[1].stats.pendingCalls).toBe(3));
    await new Promise((resolve) => setTimeout(resolve, 30));
    for (const one of [work, again]) one.end({ receipt: 7 });
    expect(await Promise.all([first, ...others, waiting])).toEqual(
      Array.from({ length: 5 }, () => ({ receipt: 7 })),
    );
    // Later, also by another broker, and as a whole message.
    const late = await here
      .broker()
      .request(
        { cents: 5 },
        { ...work.to, timeout: 20_000, id: 'charge-42', correlationId: 'mine' },
      );
    expect(late).toMatchObject({ body: { receipt: 7 }, correlationId: 'mine' });
    expect(await here.broker().answer('charge-42', work.to)).toEqual({ receipt: 7 });
    expect([...work.begun, ...again.begun]).toEqual([{ cents: 5 }]);
  });

  it.each(PLACES)('refuses another body under its id: %s', async (place) => {
    const here = bench();
    const service = here.broker();
    const work = charges(service, place, here);
    await service.start();
    const first = service.publish('5', { ...work.to, ...call, id: 'a' });
    await eventually(() => expect(work.begun).toHaveLength(1));
    const refused = (body: unknown): Promise<unknown> =>
      service.publish(body, { ...work.to, ...call, id: 'a' }).catch((error: unknown) => error);
    expect(await refused('6')).toBeInstanceOf(IdConflictError);
    work.end('done');
    expect(await first).toBe('done');
    expect(await refused(5)).toMatchObject({ code: 'ID_CONFLICT' });
    expect(await refused('5')).toBe('done');
    expect(work.begun).toEqual(['5']);
  });

  it.each(PLACES)('keeps values and RpcErrors, and no other failures: %s', async (place) => {
    const here = bench();
    const service = here.broker();
    const work = charges(service, place, here);
    await service.start();
    const ask = (id: string): Promise<unknown> =>
      service.publish(1, { ...work.to, ...call, id }).catch((error: unknown) => error);
    const asked = async (id: string, end: () => void): Promise<unknown> => {
      const before = work.begun.length;
      const answer = ask(id);
      await eventually(() => expect(work.begun).toHaveLength(before + 1));
      end();
      return answer;
    };
    const soldOut = await asked('a', () => work.fail(new RpcError('SOLD_OUT', 'none', { sku: 1 })));
    expect(soldOut).toMatchObject({ code: 'SOLD_OUT', data: { sku: 1 } });
    expect(await ask('a')).toMatchObject({ code: 'SOLD_OUT', data: { sku: 1 } });
    const kept: unknown = await service.answer('a', work.to).catch((error: unknown) => error);
    expect(kept).toMatchObject({ code: 'SOLD_OUT', message: 'none', data: { sku: 1 } });
    expect(kept).toBeInstanceOf(RpcError);

    expect(await asked('b', () => work.fail(new TypeError('broken')))).toMatchObject({
      remoteName: 'TypeError',
    });
    await expect(service.answer('b', work.to)).rejects.toBeInstanceOf(UnknownIdError);
    expect(await asked('b', () => work.end('now'))).toBe('now');
    expect(await ask('b')).toBe('now');

    // `undefined` is an answer, too.
    expect(await asked('c', () => work.end(undefined))).toBeNull();
    expect(await ask('c')).toBeNull();
    expect(takeLogs()).toHaveLength(1);
  });

  it('tells all who wait that it failed', async () => {
    const here = bench();
    const marks = here.backend === 'memory' ? HeldMarks.prototype : RedisMarks.prototype;
    const asking = vi.spyOn(marks, 'askCall');
    onTestFinished(() => asking.mockRestore());
    const service = here.broker();
    const work = charges(service, 'group', here);
    await service.start();
    const ask = (): Promise<unknown> =>
      service.publish(1, { ...work.to, ...call, id: 'a' }).catch((error: unknown) => error);
    const both = [ask(), ask(), service.answer('a', work.to).catch((error: unknown) => error)];
    await eventually(() => expect(work.begun).toHaveLength(1));
    both.push(service.answer('a', work.to).catch((error: unknown) => error));
    // Both have asked: after the failure nothing is known of the call.
    await eventually(() =>
      expect(asking.mock.settledResults.map(({ type }) => type)).toEqual([
        'fulfilled',
        'fulfilled',
      ]),
    );
    work.fail(new Error('broken'));
    const [one, two, , four] = await Promise.all(both);
    for (const error of [one, two, four]) expect(error).toMatchObject({ message: 'broken' });
    expect(takeLogs()).toHaveLength(1);
  });

  it('is not ended by its deadline or a caller that leaves, and its answer can be fetched', async () => {
    const here = bench();
    const [service, caller] = [here.broker(), here.broker()];
    let context: MessageContext | undefined;
    let end: ((result: string) => void) | undefined;
    service.subscriber({ list: here.name() }, (_, ctx) => {
      context = ctx;
      void ctx.signal;
      return new Promise<string>((resolve) => (end = resolve));
    });
    service.subscriber({ list: here.name('inner') }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      return 'inner';
    });
    await service.start();
    const leaving = new AbortController();
    const to = { list: here.name(), rpc: true, id: 'a', timeout: 100 } as const;
    // Until it has begun in time: one that is read too late is not handled.
    await eventually(async () => {
      const late: unknown = await caller.publish(1, to).catch((error: unknown) => error);
      expect(late).toBeInstanceOf(Error);
      expect(context).toBeDefined();
    });
    const left = caller.publish(1, { ...to, timeout: 20_000, signal: leaving.signal });
    await eventually(() => expect(caller.stats.pendingCalls).toBe(1));
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    const waiting = new AbortController();
    const given = caller.answer('a', { list: here.name() }, { signal: waiting.signal });
    waiting.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    await expect(caller.answer('a', { list: here.name() }, { timeout: 20 })).rejects.toBeInstanceOf(
      RpcTimeoutError,
    );
    // What the handler calls has its own time.
    expect(await context?.publish(1, { list: here.name('inner'), rpc: true })).toBe('inner');
    expect(context?.signal.aborted).toBe(false);
    const answer = caller.answer('a', { list: here.name() });
    end?.('kept');
    expect(await answer).toBe('kept');
    expect(await caller.answer('a', { list: here.name() })).toBe('kept');
  });

  it('is known by a contract, whose schemas hold', async () => {
    const here = bench();
    const service = here.broker({ prefix: 'p:' });
    const errors = { DECLINED: z.object({ at: z.string().transform((text) => text.length) }) };
    const charge = rpc(
      { stream: here.name(), group: 'g' },
      { request: z.number(), reply: z.string().transform((text) => text.length), errors },
    );
    service.subscriber(charge, (cents) => {
      if (cents < 0) throw charge.error('DECLINED', { at: 'now' });
      return 'four';
    });
    await service.start();
    expect(await service.publish(5, charge, { id: 'a', timeout: 20_000 })).toBe(4);
    expect(await service.clientFor({ charge }).charge(5, { id: 'a' })).toBe(4);
    const answer: number = await service.answer('a', charge);
    expect(answer).toBe(4);
    await expect(service.publish(-5, charge, { id: 'b' })).rejects.toMatchObject({
      data: { at: 3 },
    });
    const kept: unknown = await service.answer('b', charge).catch((error: unknown) => error);
    expect(charge.is(kept, 'DECLINED') && kept.data.at).toBe(3);
    await expect(
      service.answer('a', { stream: here.name(), reply: z.number() }),
    ).rejects.toBeInstanceOf(InvalidMessageError);
  });

  it('is not kept where errors are hidden, or where nothing is to be kept', async () => {
    const here = bench();
    const [hiding, forgetting] = [here.broker(), here.broker({ answers: { keep: 0 } })];
    let runs = 0;
    hiding.subscriber({ list: here.name('h'), errorPolicy: 'hide' }, () => ++runs);
    forgetting.subscriber({ list: here.name('f') }, () => ++runs);
    await Promise.all([hiding.start(), forgetting.start()]);
    for (const list of [here.name('h'), here.name('f')]) {
      const before = runs;
      expect(await hiding.publish(1, { list, ...call, id: 'a' })).toBe(before + 1);
      expect(await hiding.publish(1, { list, ...call, id: 'a' })).toBe(before + 2);
      await expect(hiding.answer('a', { list })).rejects.toBeInstanceOf(UnknownIdError);
    }
  });

  it('is kept as long as its responder says', async () => {
    const here = bench();
    const service = here.broker({ answers: { keep: 40 } });
    service.subscriber({ list: here.name() }, () => 'a');
    await service.start();
    await service.publish(1, { list: here.name(), ...call, id: 'a' });
    await eventually(() =>
      expect(service.answer('a', { list: here.name() })).rejects.toBeInstanceOf(UnknownIdError),
    );
  });

  it('is handled again where its retry is due, and joined meanwhile', async () => {
    const here = bench();
    const service = here.broker();
    const retry = { maxDeliveries: 3, backoff: 20 };
    const work = charges(service, 'group', here, { retry });
    await service.start();
    const first = service.publish(1, { ...work.to, ...call, id: 'a' });
    await eventually(() => expect(work.begun).toHaveLength(1));
    const second = service.publish(1, { ...work.to, ...call, id: 'a' });
    // Time for it to join; it would be no mistake if it came later.
    await new Promise((resolve) => setTimeout(resolve, 30));
    work.fail(new Error('once more'));
    await eventually(() => expect(work.begun).toHaveLength(2));
    work.end('at last');
    expect(await Promise.all([first, second])).toEqual(['at last', 'at last']);
    expect(work.begun).toHaveLength(2);
    expect(takeLogs()).toHaveLength(1);
  });

  it('comes with batches of its subscriber, and with a format of its own', async () => {
    const here = bench();
    const service = here.broker({ format: jsonFormat });
    const seen: unknown[] = [];
    service.subscriber({ stream: here.name(), group: 'g', batch: true }, (bodies: unknown[]) => {
      seen.push(...bodies);
      return bodies.map((body) => `${String(body)}!`);
    });
    await service.start();
    const ask = (id: string): Promise<unknown> =>
      service.publish(id, { stream: here.name(), ...call, id });
    expect(await Promise.all([ask('a'), ask('b'), ask('a')])).toEqual(['a!', 'b!', 'a!']);
    expect(await ask('b')).toBe('b!');
    expect(await service.answer('a', { stream: here.name() })).toBe('a!');
    expect(new Set(seen)).toEqual(new Set(['a', 'b']));
    expect(seen).toHaveLength(2);
  });
});

describe('wrong questions for answers are refused', () => {
  const list = 'a';
  it.each([
    ['a channel', ['a', { channel: 'c' }], /a channel keeps no answers/],
    ['a name', ['a', 'c'], /\{ list \} or \{ stream \}/],
    ['no place', ['a', {}], /expected one of channel, list or stream/],
    ['no id', ['', { list }], /1 to 1024 bytes/],
    ['an event', ['a', event({ list }, { schema: z.string() })], /an event\(\)/],
    [
      'a contract of a channel',
      ['a', rpc('c', { request: z.string(), reply: z.string() })],
      /a channel keeps/,
    ],
    [
      'a stream of answers',
      ['a', rpc({ list }, { request: z.string(), reply: z.string(), many: true })],
      /not kept/,
    ],
    ['an unknown option', ['a', { list }, { wait: 5 }], /'wait' is not an option of answer/],
    ['a wrong time', ['a', { list }, { timeout: -1 }], /timeout/],
  ] as unknown as [string, [string, never, object?], RegExp][])(
    '%s',
    async (_what, [id, of, more], text) => {
      const broker = newBroker('memory://answers');
      const refused: unknown = await broker.answer(id, of, more).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(SetupError);
      expect((refused as Error).message).toMatch(text);
    },
  );

  it('a header in place of the id of a call', async () => {
    const broker = newBroker('memory://answers');
    const headers: Record<string, string> = { message_id: 'a' };
    const sent = broker.publish(1, { list, rpc: true, headers });
    await expect(sent).rejects.toThrow(/'id'/);
  });
});

it('the answer goes to no place that may not be answered', async () => {
  const broker = newBroker(redisUrl());
  const client = rawClient();
  const [list, elsewhere] = [unique(), unique()];
  const heard: unknown[] = [];
  broker.subscriber(elsewhere, (body) => void heard.push(body));
  let runs = 0;
  let end: (() => void) | undefined;
  broker.subscriber({ list, replies: 'inboxes', concurrency: 4 }, async () => {
    runs++;
    if (runs === 1) await new Promise<void>((resolve) => (end = resolve));
    return 'secret';
  });
  await broker.start();
  const first = broker.publish('x', { list, ...call, id: 'a' });
  await eventually(() => expect(runs).toBe(1));
  const headers = {
    correlation_id: 'c',
    reply_to: elsewhere,
    'redstart-call': 'c',
    message_id: 'a',
  };
  const frame = binaryFormat.encode({ headers, body: Buffer.from('x') });
  await client.rpush(list, Buffer.from(frame));
  await eventually(() => expect(runs).toBe(2));
  end?.();
  expect(await first).toBe('secret');
  await broker.publish('last', elsewhere);
  await eventually(() => expect(heard).toEqual(['last']));
  expect(takeLogs().length).toBeGreaterThan(0);
});

it('the mark of a call lies in the slot of its list, and expires', async () => {
  const broker = newBroker(redisUrl());
  const client = rawClient();
  const list = unique();
  broker.subscriber({ list }, () => 'x');
  await broker.start();
  await broker.publish(1, { list, ...call, id: 'a' });
  const key = `redstart:answer:{${list}}:a`;
  expect(await client.pttl(key)).toBeGreaterThan(300_000);
  await eventually(async () => expect(await client.hlen(key)).toBe(4));
  await client.del(key);
});
