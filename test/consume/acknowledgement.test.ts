import type { AckPolicy, MessageContext, RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient, redisUrl, unique } from '../support/redis.ts';

const POLICIES = ['ack', 'ack-first', 'reject-on-error', 'nack-on-error', 'manual'] as const;

/** A group of one consumer, and what Redis holds pending for it. */
function setUp(handler: (body: unknown, ctx: MessageContext) => unknown, ackPolicy?: AckPolicy) {
  const broker: RedisBroker = newBroker(redisUrl());
  const [stream, client] = [unique(), rawClient()];
  const address = { stream, group: 'g', consumer: 'c' };
  broker.subscriber({ ...address, ...(ackPolicy && { ackPolicy }) }, handler);
  return {
    broker,
    stream,
    publish: (body: unknown) => broker.publish(body, { stream }),
    pending: async () => {
      const rows = (await client.xpending(stream, 'g', '-', '+', 100)) as [string, string][];
      return rows.map(([id]) => id);
    },
  };
}

/** Waits until a later entry is done, so that whatever was to happen to earlier ones has happened. */
async function settle(broker: RedisBroker, stream: string): Promise<void> {
  await broker.publish('end', { stream, rpc: true, timeout: 20_000 });
}

describe('an entry whose handler succeeds', () => {
  it.each(POLICIES.filter((policy) => policy !== 'manual'))(
    'is acknowledged (%s)',
    async (policy) => {
      const { broker, publish, pending, stream } = setUp(() => 'done', policy);
      await broker.start();
      await publish(1);
      await settle(broker, stream);
      await eventually(async () => expect(await pending()).toEqual([]));
    },
  );

  it('stays pending (manual)', async () => {
    const { broker, publish, pending, stream } = setUp(() => 'done', 'manual');
    await broker.start();
    const id = await publish(1);
    await settle(broker, stream);
    expect((await pending())[0]).toBe(id);
  });

  it('is acknowledged after the answer and not before the handler is done', async () => {
    let end: ((result: string) => void) | undefined;
    const { broker, pending, stream } = setUp(() => new Promise((resolve) => void (end = resolve)));
    await broker.start();
    const answer = broker.publish(1, { stream, rpc: true, timeout: 20_000 });
    await eventually(() => expect(end).toBeDefined());
    expect(await pending()).toHaveLength(1);
    end?.('done');
    expect(await answer).toBe('done');
    await eventually(async () => expect(await pending()).toEqual([]));
  });
});

/** A handler that fails, but for the marker of {@link settle}. */
const fails = (count: { calls: number }) => (body: unknown) => {
  if (body === 'end') return;
  count.calls++;
  throw new Error('no good');
};

describe('an entry whose handler throws', () => {
  it.each(['ack', 'ack-first', 'reject-on-error'] as const)(
    'is acknowledged and not delivered again (%s)',
    async (policy) => {
      const count = { calls: 0 };
      const { broker, publish, pending, stream } = setUp(fails(count), policy);
      await broker.start();
      await publish(1);
      await settle(broker, stream);
      await eventually(async () => expect(await pending()).toEqual([]));
      expect(count.calls).toBe(1);
      expect(takeLogs()).toMatchObject([{ level: 'error', error: { message: 'no good' } }]);
    },
  );

  it.each(['nack-on-error', undefined] as const)(
    'stays pending and is delivered again until it succeeds (%s)',
    async (policy) => {
      const counts: number[] = [];
      let before: string[] = [];
      const { broker, publish, pending } = setUp(async (_, { message }) => {
        counts.push(message.deliveryCount);
        if (counts.length < 3) throw new Error('not yet');
        before = await pending();
      }, policy);
      await broker.start();
      const id = await publish(1);
      await eventually(() => expect(counts).toEqual([1, 2, 3]));
      await eventually(() => expect(before).toEqual([id]));
      await eventually(async () => expect(await pending()).toEqual([]));
      expect(takeLogs().length).toBeGreaterThanOrEqual(2);
    },
  );

  it('does not hold up the entries behind it (nack-on-error)', async () => {
    const seen: unknown[] = [];
    const { broker, publish } = setUp((body) => {
      if (body === 'bad') throw new Error('never');
      seen.push(body);
    }, 'nack-on-error');
    await broker.start();
    await publish('bad');
    for (const body of [1, 2, 3]) await publish(body);
    await eventually(() => expect(seen).toEqual([1, 2, 3]));
    await broker.stop();
    expect(takeLogs().length).toBeGreaterThanOrEqual(1);
  });

  it('waits longer before each new delivery (nack-on-error)', async () => {
    const times: number[] = [];
    const { broker, publish } = setUp(() => {
      times.push(performance.now());
      if (times.length < 4) throw new Error('not yet');
    }, 'nack-on-error');
    await broker.start();
    await publish(1);
    await eventually(() => expect(times).toHaveLength(4));
    const pauses = times.slice(1).map((time, i) => time - (times[i] as number));
    // A backoff, and no hot loop: jitter may shorten a pause, never to nothing.
    for (const pause of pauses) expect(pause).toBeGreaterThan(20);
    // As they are said: a busy machine may make any of them longer.
    const said = takeLogs().map(({ message }) => Number(/next in (\d+) ms/.exec(message)?.[1]));
    expect(said).toHaveLength(3);
    expect(said[2]).toBeGreaterThan(said[0] as number);
  });

  it('stays pending and is not delivered again (manual)', async () => {
    const count = { calls: 0 };
    const { broker, publish, pending, stream } = setUp(fails(count), 'manual');
    await broker.start();
    const id = await publish(1);
    await settle(broker, stream);
    expect((await pending())[0]).toBe(id);
    expect(count.calls).toBe(1);
    expect(takeLogs()).toHaveLength(1);
  });
});

describe('an entry under ack-first', () => {
  it('is acknowledged before the handler runs', async () => {
    let atHandler: string[] | undefined;
    const setup = setUp(async () => {
      atHandler = await setup.pending();
    }, 'ack-first');
    await setup.broker.start();
    await setup.publish(1);
    await eventually(() => expect(atHandler).toEqual([]));
  });

  it.each([{}, { batch: true }])(
    'is not handled before Redis has taken the acknowledgement, and once (%o)',
    async (more) => {
      const server = await ownServer();
      const client = rawClient(server.url);
      await client.acl('SETUSER', 'u', 'on', '>p', '~*', '&*', '+@all', '-xack');
      const broker = newBroker(server.url.replace('//', '//u:p@'));
      const got: unknown[] = [];
      const address = { stream: 'x', group: 'g', ackPolicy: 'ack-first', claim: { minIdle: 300 } };
      broker.subscriber({ ...address, ...more } as object as { list: string }, (body) => {
        got.push(body);
      });
      await broker.start();
      await broker.publish(1, { stream: 'x' });
      await eventually(() => expect(takeLogs()).not.toEqual([]));
      await new Promise((resolve) => setTimeout(resolve, 600)); // twice minIdle
      expect(got).toEqual([]);
      await client.acl('SETUSER', 'u', '+xack');
      await eventually(() => expect(got.flat()).toEqual([1]));
      expect((await client.xpending('x', 'g'))[0]).toBe(0);
      takeLogs();
    },
  );
});

describe('a handler that settles its entry itself', () => {
  it.each(['ack', 'reject'] as const)('acknowledges it at once with %s()', async (how) => {
    let after: string[] | undefined;
    const setup = setUp(async (body, ctx) => {
      if (body === 'end') return ctx.ack();
      await ctx[how]();
      await ctx[how](); // a second time does nothing
      after = await setup.pending();
    }, 'manual');
    await setup.broker.start();
    await setup.publish(1);
    await eventually(() => expect(after).toEqual([]));
    expect(takeLogs().filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('keeps what it said first, whatever the policy and later calls say', async () => {
    const counts: number[] = [];
    const { broker, publish, pending } = setUp(async (_, ctx) => {
      counts.push(ctx.message.deliveryCount);
      if (counts.length > 1) return;
      await ctx.nack();
      await ctx.ack();
      await ctx.reject();
    });
    await broker.start();
    await publish(1);
    await eventually(() => expect(counts).toEqual([1, 2]));
    await eventually(async () => expect(await pending()).toEqual([]));
  });

  it('nack() of what is acknowledged already changes nothing, and a caller is answered', async () => {
    const counts: number[] = [];
    const { broker, publish, pending, stream } = setUp(async (body, ctx) => {
      counts.push(ctx.message.deliveryCount);
      await (body === 'now' ? ctx.nack() : ctx.nack({ after: 10 }));
      return body;
    }, 'ack-first');
    await broker.start();
    await publish('later');
    expect(await broker.publish('now', { stream, rpc: true, timeout: 20_000 })).toBe('now');
    await eventually(async () => expect(await pending()).toEqual([]));
    expect(counts).toEqual([1, 1]);
  });

  it('nack() leaves it pending and has it delivered again', async () => {
    const seen: number[] = [];
    let between: string[] = [];
    const setup = setUp(async (_, ctx) => {
      seen.push(ctx.message.deliveryCount);
      if (seen.length > 1) return ctx.ack();
      await ctx.nack();
      between = await setup.pending();
    }, 'manual');
    await setup.broker.start();
    const id = await setup.publish(1);
    await eventually(() => expect(seen).toEqual([1, 2]));
    expect(between).toEqual([id]);
    await eventually(async () => expect(await setup.pending()).toEqual([]));
  });

  it('may throw afterwards: an acknowledged entry stays acknowledged (nack-on-error)', async () => {
    let calls = 0;
    const { broker, publish, pending, stream } = setUp(async (body, ctx) => {
      if (body === 'end') return;
      calls++;
      await ctx.ack();
      throw new Error('after the ack');
    }, 'nack-on-error');
    await broker.start();
    await publish(1);
    await settle(broker, stream);
    expect(await pending()).toEqual([]);
    expect(calls).toBe(1);
    expect(takeLogs()).toHaveLength(1);
  });
});

describe('an entry that cannot be handled at all', () => {
  it.each(['ack', 'reject-on-error'] as const)(
    'is acknowledged and logged (%s)',
    async (policy) => {
      let calls = 0;
      const { broker, pending, stream } = setUp(() => void calls++, policy);
      await broker.start();
      await broker.publish('{broken', { stream, headers: { 'content-type': 'application/json' } });
      await settle(broker, stream);
      await eventually(async () => expect(await pending()).toEqual([]));
      expect(calls).toBe(1);
      expect(takeLogs()).toMatchObject([{ level: 'error', error: { code: 'DECODE' } }]);
    },
  );
});
