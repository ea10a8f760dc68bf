// A schema of the caller's that takes its time over an answer.
import { BrokerClosedError, rpc, RpcTimeoutError } from 'redstart';
import { expect, it } from 'vitest';
import { deferred } from '../../src/internal/deferred.ts';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

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
    // Long enough for the answer to come.
    const late = caller.publish(0, ask, { timeout: 3_000 });
    await expect(late).rejects.toThrow('an answer came, and its schema has not finished');
    await expect(late).rejects.toBeInstanceOf(RpcTimeoutError);
    await eventually(() => answers === 2);

    const controller = new AbortController();
    const { signal } = controller;
    const given = caller.publish(0, ask, { timeout: 20_000, signal });
    given.catch(() => undefined); // looked at below
    await eventually(() => answers === 4);
    controller.abort(new Error('given up'));
    await expect(given).rejects.toThrow('given up');

    const first = caller.publish(0, ask, { timeout: 20_000 });
    await eventually(() => answers === 6);
    gate.resolve();
    expect(await first).toBe(5);

    const never = rpc(name(), {
      request: slow(Promise.resolve()),
      reply: slow(new Promise(() => {})),
    });
    const closed = caller.publish(0, never, { timeout: 20_000 });
    closed.catch(() => undefined);
    await eventually(() => answers === 8);
    await caller.stop();
    await expect(closed).rejects.toBeInstanceOf(BrokerClosedError);
  });
});
