import { Reject, Retry, RpcError, type MessageContext, type RedisBroker } from 'redstart';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends, type Bench } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

/** The two structures whose messages are acknowledged. */
const STRUCTURES = {
  group: (name: string) => ({ stream: name, group: 'g' }),
  'reliable list': (name: string) => ({ list: name, reliable: true }),
} as const;

type Structure = keyof typeof STRUCTURES;

/** The address to send to. */
function destinationOf(structure: Structure, name: string): { stream: string } | { list: string } {
  return structure === 'group' ? { stream: name } : { list: name };
}

type Handle = (body: unknown, ctx: MessageContext) => unknown;

/** One subscriber, its dead letters at the default address, and what sends to it. */
function setUp(bench: Bench, structure: Structure, handle: Handle, options: object = {}) {
  const broker: RedisBroker = bench.broker();
  const name = bench.name('work');
  const to = destinationOf(structure, name);
  const work = broker.subscriber(
    { ...STRUCTURES[structure](name), title: 'work', ...options } as never,
    handle,
  );
  const box = broker.deadLetters({ stream: `${name}:dead` });
  const publish = (body: unknown): Promise<unknown> => broker.publish(body, to as { list: string });
  const call = (body: unknown): Promise<unknown> =>
    broker.publish(body, { ...(to as { list: string }), rpc: true, timeout: 20_000 });
  return { broker, work, name, to, box, publish, call };
}

const QUICK = { retry: { maxDeliveries: 3, backoff: 10 } };

onBothBackends('a bad day', (bench) => {
  describe.each(['group', 'reliable list'] as const)('on a %s', (structure) => {
    it('one throw loses nothing, without any option', async () => {
      const seen: number[] = [];
      const { broker, publish, box } = setUp(bench(), structure, (_, ctx) => {
        seen.push(ctx.message.deliveryCount);
        if (ctx.message.deliveryCount === 1) throw new Error('once');
      });
      await broker.start();
      await publish('a');
      await eventually(() => expect(seen).toEqual([1, 2]));
      expect(await box.count()).toBe(0);
      expect(takeLogs()).toMatchObject([
        { level: 'warn', message: expect.stringMatching(/delivery 1 of 10, next in \d+ ms/) },
      ]);
    });

    it('what cannot be handled ends in <name>:dead, once, and one log line says where', async () => {
      const { broker, publish, box, name } = setUp(
        bench(),
        structure,
        () => {
          throw new Error('always');
        },
        QUICK,
      );
      await broker.start();
      await publish('a');
      await eventually(async () => expect(await box.count()).toBe(1));
      expect(await box.list()).toMatchObject([
        { body: 'a', error: 'Error: always', deliveries: 3 },
      ]);
      await broker.stop();
      const logs = takeLogs();
      expect(logs.map(({ level }) => level)).toEqual(['warn', 'warn', 'error']);
      expect(logs[2]?.message).toContain(`in its dead letters, stream '${name}:dead'`);
    });

    it('what would fail again is not retried: an invalid body', async () => {
      const { broker, publish, box } = setUp(bench(), structure, () => 1, { schema: z.string() });
      await broker.start();
      await publish(7);
      await eventually(async () => expect(await box.count()).toBe(1));
      expect(await box.list()).toMatchObject([{ deliveries: 1, errorCode: 'INVALID_MESSAGE' }]);
      takeLogs();
    });

    it('a call is answered at once and not retried, and leaves no dead letter', async () => {
      let runs = 0;
      const { broker, call, box } = setUp(bench(), structure, () => {
        runs++;
        throw new Error('no');
      });
      await broker.start();
      await expect(call('a')).rejects.toMatchObject({ code: 'REMOTE', message: 'no' });
      await expect(call('b')).rejects.toMatchObject({ code: 'REMOTE', message: 'no' });
      expect(runs).toBe(2);
      expect(await box.count()).toBe(0);
      expect(takeLogs()).toHaveLength(2);
    });

    it('with `retry` calls are retried, too, and the caller hears the last outcome', async () => {
      const { broker, call } = setUp(
        bench(),
        structure,
        (body, ctx) => {
          if (body === 'never' || ctx.message.deliveryCount < 3) throw new Error('no');
          return 'done';
        },
        QUICK,
      );
      await broker.start();
      expect(await call('later')).toBe('done');
      await expect(call('never')).rejects.toThrow('no');
      takeLogs();
    });

    it('an RpcError is an answer; where nobody waits it is a dead letter at once', async () => {
      const { broker, call, publish, box } = setUp(bench(), structure, () => {
        throw new RpcError('OUT_OF_STOCK');
      });
      await broker.start();
      await expect(call('a')).rejects.toMatchObject({ code: 'OUT_OF_STOCK' });
      expect(await box.count()).toBe(0);
      await publish('b');
      await eventually(async () => expect(await box.count()).toBe(1));
      expect(await box.list()).toMatchObject([{ body: 'b', deliveries: 1 }]);
      takeLogs();
    });

    it('Reject says never: a dead letter at once, and a caller gets the error', async () => {
      const { broker, call, publish, box } = setUp(bench(), structure, () => {
        throw new Reject('not for us');
      });
      await broker.start();
      await publish('a');
      await eventually(async () => expect(await box.count()).toBe(1));
      expect(await box.list()).toMatchObject([{ error: 'Reject: not for us', deliveries: 1 }]);
      await expect(call('b')).rejects.toThrow('not for us');
      takeLogs();
    });

    it('Retry and ctx.nack({ after }) say not now, and spend no delivery', async () => {
      const counts: number[] = [];
      const { broker, publish, call, box } = setUp(
        bench(),
        structure,
        async (body, ctx) => {
          counts.push(ctx.message.deliveryCount);
          if (counts.length > 4) return 'at last';
          if (body === 'nack') return ctx.nack({ after: 20 });
          throw new Retry({ after: 20 });
        },
        { retry: { maxDeliveries: 2, backoff: 10 } },
      );
      await broker.start();
      await publish('retry');
      await eventually(() => expect(counts).toEqual([1, 1, 1, 1, 1]));
      counts.length = 0;
      expect(await call('nack')).toBe('at last');
      expect(counts).toEqual([1, 1, 1, 1, 1]);
      expect(await box.count()).toBe(0);
      takeLogs();
    });

    it('a nack of the last delivery gives the message up, and its caller is told', async () => {
      const { broker, call, box } = setUp(
        bench(),
        structure,
        async (_, ctx) => {
          await ctx.nack();
        },
        { retry: { maxDeliveries: 2, backoff: 10 } },
      );
      await broker.start();
      await expect(call('a')).rejects.toMatchObject({ code: 'NO_REPLY' });
      expect(await box.count()).toBe(1);
      takeLogs();
    });

    it('a backoff that throws or returns nonsense costs a log line, and nothing else', async () => {
      const counts: number[] = [];
      let asked = 0;
      const { broker, publish } = setUp(
        bench(),
        structure,
        (_, ctx) => {
          counts.push(ctx.message.deliveryCount);
          if (ctx.message.deliveryCount < 2) throw new Error('no');
        },
        {
          retry: {
            backoff: () => {
              asked++;
              throw new TypeError('broken backoff');
            },
          },
        },
      );
      await broker.start();
      await publish('a');
      await eventually(() => expect(counts).toEqual([1, 2]));
      expect(asked).toBe(1);
      expect(
        takeLogs()
          .map(({ message }) => message)
          .join(),
      ).toContain("'retry.backoff' failed");
    });

    it('one bad item of a batch costs that item alone', async () => {
      const batches: unknown[][] = [];
      const { broker, to, box } = setUp(
        bench(),
        structure,
        (bodies) => {
          batches.push(bodies as unknown[]);
          return (bodies as string[]).map((body) =>
            body === 'bad' ? new Error('bad item') : body,
          );
        },
        { batch: true, ...QUICK },
      );
      await broker.publishBatch(['a', 'bad', 'c'], to as { list: string });
      await broker.start();
      await eventually(async () => expect(await box.count()).toBe(1));
      expect(batches).toEqual([['a', 'bad', 'c'], ['bad'], ['bad']]);
      takeLogs();
    });

    it('after a batch that threw, its items come alone', async () => {
      const handled: unknown[] = [];
      const { broker, to, box } = setUp(
        bench(),
        structure,
        (bodies) => {
          if ((bodies as string[]).includes('bad')) throw new Error('the whole batch');
          handled.push(...(bodies as unknown[]));
        },
        { batch: true, ...QUICK },
      );
      await broker.publishBatch(['a', 'bad', 'c'], to as { list: string });
      await broker.start();
      await eventually(async () => expect(await box.count()).toBe(1));
      await eventually(() => expect(new Set(handled)).toEqual(new Set(['a', 'c'])));
      expect(await box.list()).toMatchObject([{ body: 'bad', deliveries: 3 }]);
      takeLogs();
    });

    it('a hung handler is timed out, its place is free, and its message is retried', async () => {
      const seen: string[] = [];
      let aborted: unknown;
      const { broker, publish, box } = setUp(
        bench(),
        structure,
        (body, ctx) => {
          seen.push(`${body as string} ${ctx.message.deliveryCount}`);
          if (body !== 'hangs') return undefined;
          ctx.signal.addEventListener('abort', () => (aborted = ctx.signal.reason));
          return new Promise(() => {});
        },
        { timeout: 50, retry: { maxDeliveries: 2, backoff: 10 } },
      );
      await broker.start();
      await publish('hangs');
      await publish('next');
      await eventually(() => expect(seen).toContain('next 1'));
      await eventually(async () => expect(await box.count()).toBe(1));
      expect(seen.filter((one) => one.startsWith('hangs'))).toEqual(['hangs 1', 'hangs 2']);
      expect(aborted).toMatchObject({ code: 'HANDLER_TIMEOUT', timeout: 50 });
      expect(await box.list()).toMatchObject([{ errorCode: 'HANDLER_TIMEOUT' }]);
      takeLogs();
    });

    it('a caller of a hung handler hears that it took too long', async () => {
      const { broker, call } = setUp(bench(), structure, () => new Promise(() => {}), {
        timeout: 50,
      });
      await broker.start();
      await expect(call('a')).rejects.toMatchObject({ remoteCode: 'HANDLER_TIMEOUT' });
      takeLogs();
    });

    it('stops reading while every message fails, tries one after a while, and goes on in order', async () => {
      let isAway = true;
      const handled: unknown[] = [];
      let attempts = 0;
      const { broker, to, box } = setUp(
        bench(),
        structure,
        (body) => {
          attempts++;
          if (isAway) throw new Error('the database is away');
          handled.push(body);
        },
        { pause: { after: 5, for: 300 }, retry: { maxDeliveries: 10, backoff: 50 } },
      );
      const bodies = Array.from({ length: 200 }, (_, i) => i);
      await broker.publishBatch(bodies, to as { list: string });
      const began = performance.now();
      await broker.start();
      await eventually(async () => {
        const { subscribers, ready, status } = await broker.health();
        expect(subscribers[0]?.state).toBe('open');
        expect([ready, status]).toEqual([true, 'yellow']);
      });
      // One more for each pause that has passed: a busy machine sees late that it does not read.
      expect(attempts).toBeLessThan(20 + (performance.now() - began) / 300);
      expect((await broker.health()).subscribers[0]?.held).toBeLessThan(60);
      isAway = false;
      await eventually(() => expect(handled).toHaveLength(200));
      expect(await box.count()).toBe(0);
      expect(new Set(handled).size).toBe(200);
      const { subscribers } = await broker.health();
      expect(subscribers[0]?.state).toBe('running');
      const messages = takeLogs().map(({ message }) => message);
      expect(messages.filter((text) => text.includes('failures in a row'))).not.toEqual([]);
    });

    it('a poison message among good ones does not keep it from reading', async () => {
      const handled: unknown[] = [];
      let failures = 0;
      const { broker, publish, box } = setUp(
        bench(),
        structure,
        async (body) => {
          if (body !== 'poison') return handled.push(body);
          // A good message before each failure of the bad one: never two failures in a row.
          const good = ++failures;
          await publish(good);
          await eventually(() => expect(handled).toContain(good));
          await pause(1); // its success is counted when its handler has returned
          throw new Error('always');
        },
        {
          ...{ concurrency: 2, pause: { after: 2, for: 60_000 } },
          retry: { maxDeliveries: 4, backoff: 20 },
        },
      );
      await broker.start();
      await publish('poison');
      await eventually(async () => expect(await box.count()).toBe(1));
      await publish('the last');
      await eventually(() => expect(handled).toEqual([1, 2, 3, 4, 'the last']));
      takeLogs();
    });

    it('pause() stops it until resume(), across messages that wait', async () => {
      const seen: unknown[] = [];
      const { broker, work, publish } = setUp(bench(), structure, (body) => void seen.push(body));
      await broker.start();
      await publish(1);
      await eventually(() => expect(seen).toEqual([1]));
      await work.pause();
      await publish(2);
      await publish(3);
      await pause(100);
      expect(seen).toEqual([1]);
      expect((await broker.health()).subscribers[0]?.state).toBe('paused');
      await work.resume();
      await eventually(() => expect(seen).toEqual([1, 2, 3]));
    });
  });
});
