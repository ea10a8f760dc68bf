// A schema of the caller's that takes its time over an answer.
import { BrokerClosedError, rpc, RpcTimeoutError, type RedisBroker } from 'redstart';
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
    const [service] = services as [RedisBroker];
    await service.subscriber(name('late'), () => 1).started();
    const late = rpc(name('late'), {
      request: slow(Promise.resolve()),
      reply: slow(gate.promise),
    });
    // Until it is long enough for the answer to come: on a busy machine that takes a while.
    for (let timeout = 500; ; timeout *= 2) {
      const error: unknown = await caller.publish(0, late, { timeout }).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(RpcTimeoutError);
      if (timeout < 10_000 && !/an answer came/.test(String(error))) continue;
      expect(String(error)).toContain('an answer came, and its schema has not finished');
      break;
    }

    const controller = new AbortController();
    const { signal } = controller;
    const given = caller.publish(0, ask, { timeout: 20_000, signal });
    given.catch(() => undefined); // looked at below
    await eventually(() => answers === 2);
    controller.abort(new Error('given up'));
    await expect(given).rejects.toThrow('given up');

    const first = caller.publish(0, ask, { timeout: 20_000 });
    await eventually(() => answers === 4);
    gate.resolve();
    expect(await first).toBe(3);

    const never = rpc(name(), {
      request: slow(Promise.resolve()),
      reply: slow(new Promise(() => {})),
    });
    const closed = caller.publish(0, never, { timeout: 20_000 });
    closed.catch(() => undefined);
    await eventually(() => answers === 6);
    await caller.stop();
    await expect(closed).rejects.toBeInstanceOf(BrokerClosedError);
  });
});
