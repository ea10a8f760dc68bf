import { RpcError, type MessageContext, type RedisBroker } from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends, type Bench } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

interface Seen {
  readonly body: unknown;
  readonly count: number;
}

/** A group whose handler is given, and a stream for what it gives up. */
function setUp(
  bench: Bench,
  handler: (body: unknown, ctx: MessageContext) => unknown,
  options: object = { retry: { maxDeliveries: 3, backoff: 10 } },
) {
  const broker: RedisBroker = bench.broker();
  const [stream, dead] = [bench.name('orders'), bench.name('dead')];
  const seen: Seen[] = [];
  broker.subscriber(
    { stream, group: 'g', deadLetter: { stream: dead }, ...options },
    (body: unknown, ctx) => {
      seen.push({ body, count: ctx.message.deliveryCount });
      return handler(body, ctx);
    },
  );
  return { broker, stream, dead, seen, box: broker.deadLetters({ stream: dead }) };
}

function refuse(body: unknown, ctx: MessageContext): unknown {
  if (body === 'reject') return ctx.reject();
  throw new Error('no');
}

onBothBackends('a stream group with retries', (bench) => {
  it('delivers what failed again, and counts the deliveries', async () => {
    const { broker, stream, seen, box } = setUp(bench(), (_body, ctx) => {
      if (ctx.message.deliveryCount < 3) throw new Error('not yet');
    });
    await broker.start();
    await broker.publish('a', { stream });
    await eventually(() => expect(seen.map(({ count }) => count)).toEqual([1, 2, 3]));
    await broker.publish('end', { stream });
    // It fails twice as well: what is logged of that comes before the logs are taken.
    await eventually(() => expect(seen.filter(({ body }) => body === 'end')).toHaveLength(3));
    expect(await box.count()).toBe(0);
    takeLogs();
  });

  it('gives up after maxDeliveries, and buries the message with what happened', async () => {
    const { broker, stream, dead, seen, box } = setUp(bench(), () => {
      throw new TypeError('broken');
    });
    await broker.start();
    const id = await broker.publish({ sku: 'A' }, { stream, headers: { tenant: 'acme' } });
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(seen.map(({ count }) => count)).toEqual([1, 2, 3]);
    const [letter] = await box.list();
    expect(letter).toMatchObject({
      body: { sku: 'A' },
      error: 'TypeError: broken',
      deliveries: 3,
      origin: { stream },
      originId: id,
      group: 'g',
      headers: { tenant: 'acme', correlation_id: expect.any(String) },
    });
    expect(Date.now() - Number(letter?.diedAt)).toBeLessThan(10_000);
    // A dead letter is an ordinary message, which any subscriber may read.
    const reader = await broker.subscribe({ stream: dead, lastId: '0' });
    const message = await reader.next({ timeout: 20_000 });
    expect(message?.body).toEqual({ sku: 'A' });
    expect(message?.headers).toMatchObject({ tenant: 'acme', 'redstart-deliveries': '3' });
    takeLogs();
  });

  it('waits as long as its backoff says, a number or a function of the deliveries', async () => {
    const asked: number[] = [];
    const times: number[] = [];
    const backoff = (deliveries: number): number => {
      asked.push(deliveries);
      return 150;
    };
    const fail = (): never => {
      times.push(performance.now());
      throw new Error('no');
    };
    const { broker, stream, box } = setUp(bench(), fail, { retry: { maxDeliveries: 3, backoff } });
    await broker.start();
    await broker.publish(1, { stream });
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(asked).toEqual([1, 2]);
    expect((times[1] as number) - (times[0] as number)).toBeGreaterThan(140);
    takeLogs();
  });

  it('answers a caller when it is settled: with the value of a later delivery, or the last error', async () => {
    const { broker, stream } = setUp(bench(), (body, ctx) => {
      if (body === 'never' || ctx.message.deliveryCount < 2)
        throw new Error(`failed: ${body as string}`);
      return 'done';
    });
    await broker.start();
    const call = (body: string): Promise<unknown> =>
      broker.publish(body, { stream, rpc: true, timeout: 10_000 });
    expect(await call('later')).toBe('done');
    await expect(call('never')).rejects.toThrow('failed: never');
    takeLogs();
  });

  it('does not repeat what cannot get better: a body that does not fit its schema', async () => {
    const { broker, stream, seen, box } = setUp(bench(), () => 1, {
      retry: { maxDeliveries: 5, backoff: 10 },
      schema: z.object({ sku: z.string() }),
    });
    await broker.start();
    await broker.publish({ sku: 7 }, { stream });
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(seen).toEqual([]);
    expect(await box.list()).toMatchObject([{ deliveries: 1, errorCode: 'INVALID_MESSAGE' }]);
    takeLogs();
  });

  it('takes an RpcError for an answer, which is neither repeated nor buried', async () => {
    const { broker, stream, seen, box } = setUp(bench(), () => {
      throw new RpcError('OUT_OF_STOCK');
    });
    await broker.start();
    const call = broker.publish(1, { stream, rpc: true, timeout: 10_000 });
    await expect(call).rejects.toMatchObject({ code: 'OUT_OF_STOCK' });
    expect(seen).toHaveLength(1);
    expect(await box.count()).toBe(0);
  });

  it('buries one item of a batch, and not its neighbours', async () => {
    const { broker, dead } = setUp(bench(), () => 1);
    const stream = bench().name('batch');
    const bodies: unknown[] = [];
    broker.subscriber(
      { stream, group: 'g', batch: true, schema: z.number(), deadLetter: { stream: dead } },
      (all) => void bodies.push(...all),
    );
    await broker.publishBatch([1, 'two', 3], { stream });
    await broker.start();
    const box = broker.deadLetters({ stream: dead });
    await eventually(async () => expect(await box.count()).toBe(1));
    expect(bodies).toEqual([1, 3]);
    expect(await box.list()).toMatchObject([{ body: 'two' }]);
    takeLogs();
  });
});

onBothBackends('a stream group without retries', (bench) => {
  it('buries what fails at once, and what ctx.reject() refuses', async () => {
    const { broker, stream, box } = setUp(bench(), refuse, { retry: false });
    await broker.start();
    await broker.publish('fail', { stream });
    await broker.publish('reject', { stream });
    await eventually(async () => expect(await box.count()).toBe(2));
    expect(await box.list()).toMatchObject([
      { body: 'fail', error: 'Error: no', deliveries: 1 },
      { body: 'reject', errorCode: 'REJECTED', deliveries: 1 },
    ]);
    takeLogs();
  });
});
