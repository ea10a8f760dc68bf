import {
  binaryFormat,
  event,
  RedisRouter,
  Reject,
  RpcError,
  type DeadLetterAddress,
  type RedisBroker,
} from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

onBothBackends('dead letters', (bench) => {
  describe.each(['stream', 'list'] as const)('in a %s', (kind) => {
    /** A group that fails until `heal` is called, with `count` dead letters in the box. */
    async function withDead(count: number) {
      const { broker: newBroker, name, backend } = bench();
      const broker: RedisBroker = newBroker();
      const stream = name('orders');
      const address = { [kind]: name('dead') } as unknown as DeadLetterAddress;
      const handled: unknown[] = [];
      let isBroken = true;
      broker.subscriber(
        { stream, group: 'g', retry: false, deadLetter: address },
        (body: unknown, ctx) => {
          if (isBroken) throw new Error('broken');
          handled.push({ body, tenant: ctx.message.headers['tenant'] });
        },
      );
      await broker.start();
      for (let n = 1; n <= count; n++)
        await broker.publish(n, { stream, headers: { tenant: `t${n}` } });
      const box = broker.deadLetters(address);
      await eventually(async () => expect(await box.count()).toBe(count));
      takeLogs();
      const heal = (): void => void (isBroken = false);
      return { broker, box, stream, handled, heal, address, backend };
    }

    it('are listed oldest first, page by page', async () => {
      const { box } = await withDead(5);
      const first = await box.list({ count: 2 });
      expect(first.map(({ body }) => body)).toEqual([1, 2]);
      const after = first.at(-1)?.id as string;
      const rest = await box.list({ after });
      expect(rest.map(({ body }) => body)).toEqual([3, 4, 5]);
    });

    it('are sent back to where they came from, as they came, and removed', async () => {
      const { box, handled, heal } = await withDead(3);
      heal();
      expect(await box.redrive()).toBe(3);
      await eventually(() => expect(handled).toHaveLength(3));
      expect(handled).toEqual([1, 2, 3].map((n) => ({ body: n, tenant: `t${n}` })));
      expect(await box.count()).toBe(0);
    });

    it('are redriven and removed one by one', async () => {
      const { box, handled, heal } = await withDead(3);
      heal();
      const [first, second] = (await box.list()).map(({ id }) => id) as [string, string];
      expect(await box.redrive({ ids: [second] })).toBe(1);
      await eventually(() => expect(handled).toHaveLength(1));
      expect(await box.remove({ ids: [first, '999999999999999-0'] })).toBe(1);
      expect((await box.list()).map(({ body }) => body)).toEqual([3]);
    });

    it('that die again are not redriven for ever', async () => {
      const { box } = await withDead(3);
      expect(await box.redrive()).toBe(3);
      await eventually(async () => expect(await box.count()).toBe(3));
      takeLogs();
    });

    it('more than a page of them are all redriven, what is no dead letter is left', async () => {
      const { broker, box, handled, heal, address } = await withDead(230);
      await broker.publish('not ours', address as { list: string });
      heal();
      expect(await box.redrive()).toBe(230);
      await eventually(() => expect(handled).toHaveLength(230));
      expect((await box.list()).map(({ body }) => body)).toEqual(['not ours']);
    });

    it('keep raw bytes and foreign fields as they came', async () => {
      const { stream, box, backend } = await withDead(0);
      if (backend === 'memory') return; // nobody else writes there
      const client = rawClient();
      await client.xadd(stream, '*', '__data__', 'raw text');
      await client.xadd(stream, '*', 'name', 'Ada', 'bytes', Buffer.from([0xff, 0x00]));
      await eventually(async () => expect(await box.count()).toBe(2));
      expect(await box.redrive()).toBe(2);
      await eventually(async () => expect(await box.count()).toBe(2));
      const entries = await client.xrangeBuffer(stream, '-', '+');
      const fields = entries.map(([, all]) => all);
      expect(fields[2]).toEqual(fields[0]);
      expect(fields[3]).toEqual(fields[1]);
      takeLogs();
    });
  });

  it('that their address does not take are tried again without the handler, which goes on; health is yellow', async () => {
    const { broker: newBroker, name } = bench();
    const broker = newBroker();
    const dead = name('dead');
    await broker.publish('of another type', { list: dead });
    const got: unknown[] = [];
    const deadLetter = { stream: dead };
    broker.subscriber({ stream: name('orders'), group: 'g', deadLetter }, (body) => {
      got.push(body);
      if (body === 'bad') throw new Reject('never');
    });
    await broker.start();
    await broker.publish('bad', { stream: name('orders') });
    await broker.publish('good', { stream: name('orders') });
    await eventually(() => expect(got).toEqual(['bad', 'good']));
    await eventually(async () => {
      const { status, problems } = await broker.health();
      expect([status, problems.join()]).toEqual([
        'yellow',
        expect.stringContaining('dead letter') as string,
      ]);
    });
    expect(
      takeLogs()
        .map(({ message }) => message)
        .join(),
    ).toContain('does not take the dead letter');
    // When the list is empty, its name is free.
    await using taken = await broker.subscribe({ list: dead });
    expect((await taken.next({ timeout: 20_000 }))?.body).toBe('of another type');
    await taken.close();
    const letters = broker.deadLetters({ stream: dead });
    await eventually(async () => expect(await letters.count().catch(() => 0)).toBe(1));
    expect(got).toEqual(['bad', 'good']);
    await eventually(async () => expect((await broker.health()).status).toBe('green'));
    takeLogs();
  });

  it('are chosen by error and id: to list, to send back, to remove', async () => {
    const { broker: newBroker, name } = bench();
    const broker = newBroker();
    const stream = name('orders');
    const address = { stream: name('dead') };
    const errors: Record<string, () => Error> = {
      type: () => new TypeError('x is not a function'),
      range: () => new RangeError('far away'),
      code: () => new RpcError('NO_STOCK', 'sold out: nothing left'),
    };
    let isBroken = true;
    const handled: unknown[] = [];
    const at = { stream, group: 'g', deadLetter: address, retry: false } as const;
    broker.subscriber(at, (body: string) => {
      if (isBroken) throw (errors[body] as () => Error)();
      handled.push(body);
    });
    await broker.start();
    const box = broker.deadLetters(address);
    for (const body of ['type', 'range', 'code', 'type', 'range'])
      await broker.publish(body, { stream });
    await eventually(async () => expect(await box.count()).toBe(5));
    takeLogs();
    const bodies = async (error: string): Promise<unknown[]> =>
      (await box.list({ error })).map(({ body }) => body);
    expect(await bodies('TypeError')).toEqual(['type', 'type']);
    expect(await bodies('TypeError: x is not a function')).toEqual(['type', 'type']);
    expect(await bodies('far')).toEqual(['range', 'range']);
    expect(await bodies('NO_STOCK')).toEqual(['code']);
    expect(await bodies('Error')).toEqual([]);
    const [, range = '', , , last] = (await box.list()).map(({ id }) => id);
    expect(await box.list({ error: 'RangeError', after: range })).toMatchObject([{ id: last }]);
    expect(await box.list({ error: 'RangeError', count: 1 })).toMatchObject([{ id: range }]);
    isBroken = false;
    expect(await box.redrive({ error: 'TypeError' })).toBe(2);
    await eventually(() => expect(handled).toEqual(['type', 'type']));
    expect(await box.redrive({ error: 'TypeError', ids: [range] })).toBe(0);
    expect(await box.remove({ ids: [range, 'no id', '99999999999999999999-0'] })).toBe(1);
    expect(await box.remove()).toBe(2);
    expect(await box.count()).toBe(0);
    await expect(box.redrive({ error: '' })).rejects.toMatchObject({ code: 'SETUP' });
    await expect(box.list({ id: 'x' } as never)).rejects.toMatchObject({ code: 'SETUP' });
    await expect(box.remove([] as never)).rejects.toMatchObject({ code: 'SETUP' });
  });

  it('that are sent back reach the group that gave them up, and no other reader', async () => {
    const { broker: newBroker, name } = bench();
    const broker = newBroker();
    const stream = name('orders');
    const address = { stream: name('dead') };
    const heard: string[] = [];
    let isBroken = true;
    const at = { stream, group: 'failing', deadLetter: address, retry: false } as const;
    broker.subscriber(at, (body, ctx) => {
      if (isBroken) throw new Error('no');
      heard.push(`failing ${String(body)} ${ctx.message.deliveryCount}`);
    });
    broker.subscriber({ stream, group: 'fine' }, (body) => void heard.push(`fine ${String(body)}`));
    broker.subscriber({ stream, group: 'own', ackPolicy: 'manual' }, (body, ctx) => {
      heard.push(`own ${String(body)}`);
      return ctx.ack();
    });
    broker.subscriber({ stream }, (body) => void heard.push(`reader ${String(body)}`));
    await broker.start();
    await broker.publish(1, { stream });
    const box = broker.deadLetters(address);
    await eventually(async () => {
      expect(await box.count()).toBe(1);
      expect(heard.toSorted()).toEqual(['fine 1', 'own 1', 'reader 1']);
    });
    takeLogs();
    isBroken = false;
    expect(await box.redrive()).toBe(1);
    await broker.publish(2, { stream });
    await eventually(() => expect(heard).toHaveLength(8));
    const expected = ['failing 1 1', 'failing 2 1', 'fine 1', 'fine 2', 'own 1', 'own 2'];
    expect(heard.toSorted()).toEqual([...expected, 'reader 1', 'reader 2']);
    const group = await broker.subscribe({ stream, group: 'own', claim: { minIdle: 100 } });
    expect(await group.next({ timeout: 250 })).toBeNull(); // what was skipped is not pending
  });

  it('of a subscriber with a format and a codec of its own are readable, and go back in it', async () => {
    const { broker: newBroker, name } = bench();
    const broker = newBroker();
    const stream = name('orders');
    const address = { list: name('dead') };
    const format = {
      encode: ({ headers, body }: { headers: object; body: Uint8Array }) =>
        Buffer.from(JSON.stringify([headers, Buffer.from(body).toString('base64')])),
      decode: (frame: Buffer) => {
        const [headers, body] = JSON.parse(frame.toString()) as [Record<string, string>, string];
        return { headers, body: Buffer.from(body, 'base64') };
      },
    };
    const codec = {
      encode: (value: unknown) => ({
        body: Buffer.from(`~${String(value)}`),
        contentType: 'x/tilde',
      }),
      decode: (body: Buffer) => body.toString().slice(1),
    };
    const handled: unknown[] = [];
    let isBroken = true;
    const at = { stream, group: 'g', deadLetter: address, retry: false, format, codec } as const;
    broker.subscriber(at, (body, ctx) => {
      if (isBroken) throw new Error('no');
      handled.push([body, ctx.message.headers['tenant'], ctx.message.replyTo]);
    });
    await broker.start();
    await broker
      .publisher({ stream }, { format, codec })
      .publish('hello', { headers: { tenant: 't1' }, replyTo: 'answers' });
    const box = broker.deadLetters(address);
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(await box.list()).toMatchObject([
      { body: 'hello', headers: { tenant: 't1' }, origin: { stream }, group: 'g' },
    ]);
    takeLogs();
    isBroken = false;
    expect(await box.redrive()).toBe(1);
    await eventually(() => expect(handled).toEqual([['hello', 't1', 'answers']]));
  });

  it('stay where their origin is outside of the prefix of the broker', async () => {
    const { broker: newBroker, name } = bench();
    const shop = newBroker({ prefix: name('shop:') });
    const all = newBroker();
    all.subscriber(
      {
        list: name('orders'),
        reliable: true,
        retry: false,
        deadLetter: { list: name('shop:dead') },
      },
      () => {
        throw new Error('no');
      },
    );
    await all.start();
    await all.publish(1, { list: name('orders') });
    const box = shop.deadLetters({ list: 'dead' });
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(await box.redrive()).toBe(0);
    expect(await box.count()).toBe(1);
    takeLogs();
  });

  it('cannot be sent to the source that they are from', async () => {
    const { broker: newBroker, name } = bench();
    const mistakes: ((broker: RedisBroker) => void)[] = [
      (broker) => {
        const list = name('own');
        broker.subscriber({ list, reliable: true, deadLetter: { list } }, () => 1);
      },
      (broker) => {
        const router = new RedisRouter({ prefix: 'r:' });
        const at = { stream: name('a'), group: 'g', deadLetter: { stream: name('a') } };
        router.subscriber(at, () => 1);
        broker.include(router);
      },
      (broker) => {
        const ordered = event({ stream: name('c'), group: 'g' }, { schema: z.string() });
        broker.subscriber(ordered, { deadLetter: { stream: name('c') } }, () => undefined);
      },
      (broker) => {
        const [one, two] = [name('one'), name('two')];
        broker.subscriber({ list: one, reliable: true, deadLetter: { stream: two } }, () => 1);
        broker.subscriber({ stream: two, group: 'g', deadLetter: { list: one } }, () => 1);
      },
    ];
    for (const make of mistakes) {
      const broker = newBroker();
      make(broker);
      await expect(broker.start()).rejects.toMatchObject({ code: 'SETUP' });
      const running = newBroker();
      await running.start();
      expect(() => make(running)).toThrow(/dead letters/);
    }
  });
});

/** A list whose messages die as long as `isBroken`, and its box. */
async function failing() {
  const [name, broker, client] = [unique(), newBroker(redisUrl()), rawClient()];
  const state = { isBroken: true, handled: [] as Buffer[] };
  const deadLetter = { stream: `${name}:dead` };
  const at = { list: name, reliable: true, retry: false, deadLetter } as const;
  broker.subscriber(at, (_body, ctx) => {
    if (state.isBroken) throw new Error('no');
    state.handled.push(ctx.message.raw);
  });
  await broker.start();
  return {
    name,
    broker,
    client,
    state,
    box: broker.deadLetters(deadLetter),
    dead: `${name}:dead`,
  };
}

const frameOf = (headers: Record<string, string>, body = 'hello'): Buffer =>
  Buffer.from(binaryFormat.encode({ headers, body: Buffer.from(body) }));

describe('a box of dead letters', () => {
  it("believes no sender's headers about a death, and gives them back", async () => {
    const { name, client, state, box } = await failing();
    const forged = {
      'content-type': 'text/plain',
      'redstart-origin': 'list somebody:else',
      'redstart-origin-form': 'fields',
      'redstart-error-code': 'FORGED',
      'redstart-before:x': 'y',
    };
    const frame = frameOf({ correlation_id: 'evil', ...forged, ['__proto__']: 'kept' });
    await client.rpush(name, frame);
    await eventually(async () => expect(await box.count()).toBe(1));
    const [letter] = await box.list();
    expect(letter).toMatchObject({ body: 'hello', origin: { list: name }, errorCode: undefined });
    expect(letter?.headers['redstart-error-code']).toBe('FORGED');
    takeLogs();
    state.isBroken = false;
    expect(await box.redrive()).toBe(1);
    await eventually(() => expect(state.handled).toEqual([frame]));
  });

  it('is not blocked by what is no dead letter, or a damaged one', async () => {
    const { name, broker, client, state, box, dead } = await failing();
    const odd: (string | Buffer)[][] = [
      ['__data__', Buffer.from('\x89BIN\r\n\x1a\nrubbish', 'latin1')],
      ['__data__', 'text'],
      ['foreign', 'field'],
      [
        '__data__',
        frameOf({ 'redstart-origin': 'stream x', 'redstart-origin-form': 'fields' }, '{'),
      ],
      ['__data__', frameOf({ 'redstart-origin': 'channel x' })],
      ['__data__', frameOf({ 'redstart-origin': 'nowhere' })],
    ];
    await broker.publish(1, { list: name });
    await eventually(async () => expect(await box.count()).toBe(1));
    for (const fields of odd) await client.xadd(dead, '*', ...fields);
    await broker.publish(2, { list: name });
    await eventually(async () => expect(await box.count()).toBe(odd.length + 2));
    takeLogs();
    expect(await box.list()).toHaveLength(odd.length + 2);
    expect((await box.list({ error: 'no' })).map(({ body }) => body)).toEqual([1, 2]);
    state.isBroken = false;
    expect(await box.redrive()).toBe(2);
    await eventually(() => expect(state.handled).toHaveLength(2));
    expect(await box.count()).toBe(odd.length);
    expect(await box.remove()).toBe(odd.length);
  });

  it('takes every message: headers that grow beyond what a frame holds are carried as they came', async () => {
    const { name, client, state, box } = await failing();
    // Not UTF-8: each byte is read as U+FFFD, which is three bytes long.
    const long = Buffer.alloc(40_000, 0xff);
    const head = frameOf({ x: 'y'.repeat(40_000) });
    const frame = Buffer.concat([
      head.subarray(0, head.length - 40_005),
      long,
      Buffer.from('hello'),
    ]);
    await client.rpush(name, frame);
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(await box.list()).toMatchObject([{ error: 'Error: no', origin: { list: name } }]);
    takeLogs();
    state.isBroken = false;
    expect(await box.redrive()).toBe(1);
    await eventually(() => expect(state.handled).toEqual([frame]));
  });

  it('keeps the story of a letter that died itself', async () => {
    const { name, broker, client, box, dead } = await failing();
    await client.rpush(name, '{"raw":1}');
    await eventually(async () => expect(await box.count()).toBe(1));
    const [before] = await box.list();
    const second = { stream: `${name}:second` };
    const reader = newBroker(redisUrl());
    reader.subscriber({ stream: dead, group: 'g', retry: false, deadLetter: second }, () => {
      throw new Error('neither');
    });
    await reader.start();
    const box2 = broker.deadLetters(second);
    await eventually(async () => expect(await box2.count()).toBe(1));
    expect(await box2.list()).toMatchObject([
      { error: 'Error: neither', origin: { stream: dead } },
    ]);
    await reader.stop();
    await client.del(dead);
    expect(await box2.redrive()).toBe(1);
    const [after] = await box.list();
    expect(after).toMatchObject({ ...before, id: after?.id, headers: expect.anything() as object });
    takeLogs();
  });

  it.each([
    ['a name twice', ['a', '1', 'a', '2']],
    ['a name that is not UTF-8', ['a', '1', Buffer.from([0xff, 0xfe]), 'v']],
    ['names that are numbers', ['b', '1', '1', '2', '__proto__', 'x']],
    ['bytes', ['a', Buffer.from([0, 0xff])]],
  ] as const)('gives foreign fields back as they came: %s', async (_what, fields) => {
    const [name, broker, client] = [unique(), newBroker(redisUrl()), rawClient()];
    const deadLetter = { list: `${name}:dead` };
    broker.subscriber({ stream: name, group: 'g', retry: false, deadLetter }, () => {
      throw new Error('no');
    });
    await broker.start();
    await client.xadd(name, '*', ...fields);
    const box = broker.deadLetters(deadLetter);
    await eventually(async () => expect(await box.count()).toBe(1));
    await broker.stop();
    await client.del(name);
    const sender = newBroker(redisUrl());
    expect(await sender.deadLetters(deadLetter).redrive()).toBe(1);
    const [entry] = await client.xrangeBuffer(name, '-', '+');
    expect(entry?.[1]).toEqual(fields.map((field) => Buffer.from(field as string)));
    takeLogs();
  });
});
