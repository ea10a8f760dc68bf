// The option `timeout` of a subscriber whose handler answers with a stream.
import { RedisBroker, RemoteError } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs, testLogger } from '../support/logs.ts';

function hangs(): Promise<never> {
  return new Promise(() => undefined);
}

it('bounds each item of a streamed answer, and not the whole', async () => {
  const broker = new RedisBroker('memory://stream-timeouts', { logger: testLogger });
  broker.subscriber({ list: 'rows', timeout: 1_000 }, async function* rows() {
    for (let i = 1; i <= 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      yield i;
    }
  });
  await using test = await testBroker(broker);
  const items: number[] = [];
  // The caller takes its time, five times as much as an item has.
  for await (const item of broker.requestMany<number>(1, {
    list: 'rows',
    window: 1,
    timeout: null,
  })) {
    items.push(item);
    await test.advance(900);
  }
  expect(items).toEqual([1, 2, 3, 4, 5]);
});

onBothBackends('a streamed answer', (bench) => {
  it.each(['at once', 'after an item'])(
    'whose generator hangs %s ends with HANDLER_TIMEOUT at its caller, and frees its place',
    async (when) => {
      const { broker, name } = bench();
      const service = broker({ gracefulTimeout: 50 });
      const stages: (string | undefined)[] = [];
      service.observe({ handled: ({ stage }) => void stages.push(stage) });
      let signal: AbortSignal | undefined;
      service.subscriber({ list: name(), timeout: 300 }, async function* rows(body, ctx) {
        ({ signal } = ctx);
        if (body === 'quick') {
          yield 'quick';
          return;
        }
        if (when === 'after an item') yield 1;
        await hangs();
      });
      await service.start();
      const items: unknown[] = [];
      const reading = async (): Promise<void> => {
        for await (const item of service.requestMany(null, { list: name(), timeout: 20_000 }))
          items.push(item);
      };
      await expect(reading()).rejects.toMatchObject({ remoteCode: 'HANDLER_TIMEOUT' });
      await expect(reading).rejects.toBeInstanceOf(RemoteError);
      expect(items).toEqual(when === 'after an item' ? [1, 1] : []);
      expect(signal?.reason).toMatchObject({ code: 'HANDLER_TIMEOUT' });
      // One at a time: the next is handled although both generators still hang.
      const quick = service.requestMany('quick', { list: name(), timeout: 20_000 });
      for await (const item of quick) expect(item).toBe('quick');
      await eventually(() => expect(stages).toEqual(['timeout', 'timeout', undefined]));
      takeLogs();
    },
  );

  it('whose generator cleans up when its signal aborts has its `finally` run', async () => {
    const { broker, name } = bench();
    const service = broker();
    const ended: string[] = [];
    service.subscriber({ list: name(), timeout: 100 }, async function* rows(_, ctx) {
      try {
        await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
        yield 'too late';
      } finally {
        ended.push('finally');
      }
    });
    await service.start();
    const items = service.requestMany(null, { list: name(), timeout: 20_000 });
    await expect(
      (async () => {
        for await (const _ of items);
      })(),
    ).rejects.toMatchObject({
      remoteCode: 'HANDLER_TIMEOUT',
    });
    await eventually(() => expect(ended).toEqual(['finally']));
    takeLogs();
  });
});
