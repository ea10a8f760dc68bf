// A schema of the caller's that takes its time over an answer.
import { BrokerClosedError, rpc, RpcTimeoutError } from 'redstart';
import { expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { onBothBackends } from '../support/broker.ts';

/** A schema that has checked a number when `until` resolves. */
const slow = (until: Promise<unknown>) => ({
  '~standard': {
    version: 1 as const,
    vendor: 'test',
    validate: async (value: unknown) => {
      await until;
      return { value: value as number };
    },
  },
});

onBothBackends('a call whose answer a slow schema checks', (bench) => {
  it('ends by its timeout, by its signal, when its broker stops, and with the first answer', async () => {
    const { broker, name } = bench();
    const services = [broker(), broker()];
    let answers = 0;
    for (const service of services) {
      service.subscriber(name(), (body: number) => body + ++answers);
      await service.start();
    }
    const caller = broker();
    const gate = deferred<void>();
    const ask = rpc(name(), { request: slow(Promise.resolve()), reply: slow(gate.promise) });
    const late = caller.publish(0, ask, { timeout: 500 });
    await expect(late).rejects.toThrow('an answer came, and its schema has not finished');
    await expect(late).rejects.toBeInstanceOf(RpcTimeoutError);

    const signal = AbortSignal.timeout(300);
    await expect(caller.publish(0, ask, { timeout: 20_000, signal })).rejects.toThrow('aborted');

    answers = 10;
    const first = caller.publish(0, ask, { timeout: 20_000 });
    await expect.poll(() => answers).toBe(12);
    gate.resolve();
    expect(await first).toBe(11);

    const never = rpc(name(), {
      request: slow(Promise.resolve()),
      reply: slow(new Promise(() => {})),
    });
    answers = 20;
    const closed = caller.publish(0, never, { timeout: 20_000 });
    closed.catch(() => undefined);
    await expect.poll(() => answers).toBe(22);
    await caller.stop();
    await expect(closed).rejects.toBeInstanceOf(BrokerClosedError);
  });
});
