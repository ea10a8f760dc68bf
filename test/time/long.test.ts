// A timer of Node that is longer than 24.8 days ends after 1 ms: no time that a user gives may become one.
import { expect, it } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import { onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const MONTH = 30 * 86_400_000;

onBothBackends('a time of a month', (bench) => {
  it('ends no call, gather, stream, item or next()', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name('echo'), async (body) => {
      await pause(20);
      return body;
    });
    service.subscriber(name('many'), { timeout: MONTH }, async function* () {
      await pause(20);
      yield 1;
    });
    await service.start();
    const [echo, many] = [{ channel: name('echo') }, { channel: name('many') }];
    await using consumer = await service.subscribe({ list: name() });
    const taken = consumer.next({ timeout: MONTH });
    expect(await service.publish(1, { ...echo, rpc: true, timeout: MONTH })).toBe(1);
    const { answers } = await service.gather(2, { ...echo, timeout: MONTH });
    expect(answers.map(({ body }) => body)).toEqual([2]);
    const stream = service.requestMany(1, { ...many, timeout: MONTH, itemTimeout: MONTH });
    expect(await collect(stream)).toEqual([1]);
    await service.publish('late', { list: name() });
    expect((await taken)?.body).toBe('late');
  });

  it('retries no message soon, and aborts no handler at a stop', async () => {
    const { broker, name } = bench();
    const service = broker({ gracefulTimeout: MONTH });
    const at = { stream: name('work'), group: 'g' };
    let deliveries = 0;
    service.subscriber({ ...at, retry: { backoff: MONTH } }, () => {
      deliveries++;
      throw new Error('no');
    });
    const aborted: boolean[] = [];
    let isIn = false;
    service.subscriber({ list: name() }, async (_, { signal }) => {
      isIn = true;
      await pause(60);
      aborted.push(signal.aborted);
    });
    await service.start();
    await service.publish(1, { stream: name('work') });
    await service.publish(1, { list: name() });
    await eventually(() => expect([isIn, deliveries]).toEqual([true, 1]));
    await service.stop();
    expect([aborted, deliveries]).toEqual([[false], 1]);
    takeLogs();
  });
});
